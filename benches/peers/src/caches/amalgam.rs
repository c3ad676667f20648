//! amalgam-cache: an asynchronous `Cache` in memory alone, with a lifetime of one hour and a bound on its entries, asked as in
//! its own benchmarks (`benches/scaling.rs`). It clones values at a hit, so it holds an `Arc`.

use std::hint::black_box;
use std::sync::Arc;

use amalgam::EntryOptions;

use super::{AMALGAM, Cache, Call, Keys, Peer, Record, TTL, capacity, now};

pub(super) const PEER: Peer = Peer {
    name: AMALGAM,
    calls: &[Call::Get, Call::GetOrLoad],
    fill: |keys| {
        let cache = amalgam::Cache::builder()
            .default_options(EntryOptions::new(TTL))
            .max_capacity(capacity(&keys) as u64)
            .try_build()?;
        for (key, number) in keys.iter().zip(0..) {
            now(async { cache.set(key, Arc::new(number)).await })?;
        }
        Ok(Box::new(Amalgam { cache, keys }))
    },
};

struct Amalgam {
    cache: amalgam::Cache<Arc<Record>>,
    keys: Keys,
}

impl Cache for Amalgam {
    fn hits(&self, call: Call, places: &[u32]) -> usize {
        now(async {
            let mut hits = 0;
            for place in places {
                let key = black_box(self.keys[*place as usize].as_str());
                hits += usize::from(match call {
                    Call::Get => matches!(black_box(self.cache.try_get(key).await), Ok(Some(_))),
                    _ => {
                        let load =
                            amalgam::source::factory(|context| async move { Err(context.fail("a hit loads nothing")) });
                        black_box(self.cache.get_or_set(key, load).await).is_ok()
                    }
                });
            }
            hits
        })
    }
}
