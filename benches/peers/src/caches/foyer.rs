//! foyer's in-memory cache: `CacheBuilder::new(..).build()` with its default eviction, as in its README. An entry is a
//! reference to what the cache holds. It has no time to live.

use std::hint::black_box;
use std::io;
use std::sync::Arc;

use foyer_memory::CacheBuilder;

use super::{Cache, Call, Keys, Peer, Record, capacity, now};

pub(super) const PEER: Peer = Peer {
    name: "foyer",
    calls: &[Call::Get, Call::GetOrLoad],
    fill: |keys| {
        let cache = CacheBuilder::new(capacity(&keys)).build();
        for (key, number) in keys.iter().zip(0..) {
            cache.insert(key.clone(), Arc::new(number));
        }
        Ok(Box::new(Foyer { cache, keys }))
    },
};

struct Foyer {
    cache: foyer_memory::Cache<String, Arc<Record>>,
    keys: Keys,
}

impl Cache for Foyer {
    fn hits(&self, call: Call, places: &[u32]) -> usize {
        now(async {
            let mut hits = 0;
            for place in places {
                let key = black_box(self.keys[*place as usize].as_str());
                hits += usize::from(match call {
                    Call::Get => black_box(self.cache.get(key)).is_some(),
                    _ => {
                        let load = || async { Err::<Arc<Record>, _>(io::Error::other("a hit loads nothing")) };
                        black_box(self.cache.get_or_fetch(key, load).await).is_ok()
                    }
                });
            }
            hits
        })
    }
}
