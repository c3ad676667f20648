//! moka by itself, bare: no time to live, no listener. `sync` is what its documentation recommends where no call has to wait,
//! `future` where the loader does.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use super::{Cache, Call, Keys, MOKA, Peer, Record, capacity, now};

pub(super) const SYNC: Peer = Peer {
    name: MOKA,
    calls: &[Call::Get, Call::GetOrLoad],
    fill: |keys| {
        let cache = moka::sync::Cache::new(capacity(&keys) as u64);
        for (key, number) in keys.iter().zip(0..) {
            cache.insert(key.clone(), Arc::new(number));
        }
        cache.run_pending_tasks();
        Ok(Box::new(Sync { cache, keys }))
    },
};

pub(super) const FUTURE: Peer = Peer {
    name: "moka::future",
    calls: &[Call::Get, Call::GetOrLoad],
    fill: |keys| {
        let cache = moka::future::Cache::new(capacity(&keys) as u64);
        for (key, number) in keys.iter().zip(0..) {
            now(cache.insert(key.clone(), Arc::new(number)));
        }
        now(cache.run_pending_tasks());
        Ok(Box::new(Future { cache, keys }))
    },
};

struct Sync {
    cache: moka::sync::Cache<String, Arc<Record>>,
    keys: Keys,
}

impl Cache for Sync {
    fn hits(&self, call: Call, places: &[u32]) -> usize {
        let mut hits = 0;
        for place in places {
            let key = black_box(self.keys[*place as usize].as_str());
            hits += usize::from(match call {
                Call::Get => black_box(self.cache.get(key)).is_some(),
                // Its loader is a plain closure: it cannot wait for a database.
                _ => {
                    let load = || -> Result<Arc<Record>, Infallible> { unreachable!("a hit loads nothing") };
                    black_box(self.cache.try_get_with_by_ref(key, load)).is_ok()
                }
            });
        }
        hits
    }
}

struct Future {
    cache: moka::future::Cache<String, Arc<Record>>,
    keys: Keys,
}

impl Cache for Future {
    fn hits(&self, call: Call, places: &[u32]) -> usize {
        now(async {
            let mut hits = 0;
            for place in places {
                let key = black_box(self.keys[*place as usize].as_str());
                hits += usize::from(match call {
                    Call::Get => black_box(self.cache.get(key).await).is_some(),
                    _ => {
                        let load = async { unreachable!("a hit loads nothing") };
                        let found = self.cache.try_get_with_by_ref::<_, Infallible, str>(key, load).await;
                        black_box(found).is_ok()
                    }
                });
            }
            hits
        })
    }
}
