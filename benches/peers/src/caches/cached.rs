//! cached: its sharded store with a size and a time to live, which its README recommends for what threads share, by itself and
//! behind `#[concurrent_cached]`; and `#[cached]`, its first macro, which has one lock. The key of the annotated functions is
//! made by `convert`, the way it documents for arguments that are references; it makes the key of the other calls.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cached::{ConcurrentCachedAsync, ShardedLruTtlCache};

use super::{Cache, Call, Keys, Peer, Record, TTL, capacity, now};

pub(super) const PEER: Peer = Peer {
    name: "cached",
    calls: &[Call::Get, Call::GetOrLoad],
    fill: |keys| {
        let store = ShardedLruTtlCache::builder().max_size(capacity(&keys)).ttl(TTL).build()?;
        for (key, number) in keys.iter().zip(0..) {
            store.set(key.clone(), Arc::new(number));
        }
        Ok(Box::new(Store { store, keys }))
    },
};

pub(super) const CONCURRENT: Peer = Peer {
    name: "cached, `#[concurrent_cached]`",
    calls: &[Call::Annotated],
    fill: |keys| {
        (0..keys.len() as u64).for_each(|id| drop(now(find_user_by_shard("tenant-1", id))));
        Ok(Box::new(Annotated { locked: false }))
    },
};

pub(super) const LOCKED: Peer = Peer {
    name: "cached, `#[cached]`",
    calls: &[Call::Annotated],
    fill: |keys| {
        (0..keys.len() as u64).for_each(|id| drop(now(find_user_by_lock("tenant-1", id))));
        Ok(Box::new(Annotated { locked: true }))
    },
};

struct Store {
    store: ShardedLruTtlCache<String, Arc<Record>>,
    keys: Keys,
}

impl Cache for Store {
    fn hits(&self, call: Call, places: &[u32]) -> usize {
        now(async {
            let mut hits = 0;
            for place in places {
                let key = black_box(self.keys[*place as usize].as_str());
                hits += usize::from(match call {
                    Call::Get => black_box(self.store.get(key)).is_some(),
                    // It takes the key as it holds it, so each call makes a `String`.
                    _ => {
                        let load = || async { Err(()) };
                        let found = self.store.async_cache_try_get_or_set_with(key.to_owned(), load).await;
                        matches!(black_box(found), Ok(Ok(_)))
                    }
                });
            }
            hits
        })
    }
}

/// How often a body ran.
static LOADS: AtomicUsize = AtomicUsize::new(0);

fn load(tenant: &str, id: u64) -> Arc<Record> {
    LOADS.fetch_add(1, Ordering::Relaxed);
    Arc::new(id + tenant.len() as u64)
}

#[cached::macros::concurrent_cached(
    max_size = 100_000,
    ttl_secs = 3600,
    key = "String",
    convert = { format!("user:{tenant}:{id}") }
)]
async fn find_user_by_shard(tenant: &str, id: u64) -> Arc<Record> {
    load(tenant, id)
}

#[cached::macros::cached(
    max_size = 100_000,
    ttl_secs = 3600,
    key = "String",
    convert = { format!("user:{tenant}:{id}") }
)]
async fn find_user_by_lock(tenant: &str, id: u64) -> Arc<Record> {
    load(tenant, id)
}

struct Annotated {
    locked: bool,
}

impl Cache for Annotated {
    fn hits(&self, _: Call, places: &[u32]) -> usize {
        let loads = LOADS.load(Ordering::Relaxed);
        now(async {
            for place in places {
                let (tenant, id) = (black_box("tenant-1"), black_box(u64::from(*place)));
                drop(black_box(if self.locked {
                    find_user_by_lock(tenant, id).await
                } else {
                    find_user_by_shard(tenant, id).await
                }));
            }
        });
        places.len() - (LOADS.load(Ordering::Relaxed) - loads)
    }
}
