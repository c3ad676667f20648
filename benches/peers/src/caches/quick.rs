//! quick_cache: `sync::Cache::new`, as in its introduction. It has no time to live.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use super::{Cache, Call, Keys, Peer, QUICK, Record, capacity, now};

pub(super) const PEER: Peer = Peer {
    name: QUICK,
    calls: &[Call::Get, Call::GetOrLoad],
    fill: |keys| {
        let cache = quick_cache::sync::Cache::new(capacity(&keys));
        for (key, number) in keys.iter().zip(0..) {
            cache.insert(key.clone(), Arc::new(number));
        }
        Ok(Box::new(Quick { cache, keys }))
    },
};

struct Quick {
    cache: quick_cache::sync::Cache<String, Arc<Record>>,
    keys: Keys,
}

impl Cache for Quick {
    fn hits(&self, call: Call, places: &[u32]) -> usize {
        now(async {
            let mut hits = 0;
            for place in places {
                let key = black_box(self.keys[*place as usize].as_str());
                hits += usize::from(match call {
                    Call::Get => black_box(self.cache.get(key)).is_some(),
                    _ => {
                        let load = async { unreachable!("a hit loads nothing") };
                        black_box(self.cache.get_or_insert_async::<str, Infallible>(key, load).await).is_ok()
                    }
                });
            }
            hits
        })
    }
}
