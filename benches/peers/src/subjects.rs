//! The caches, each filled with the same keys.

use std::sync::Arc;

use cache_aside::{CachingService, LocalTier};
use futures_util::FutureExt;

use crate::data::Record;

pub(crate) const OURS: &str = "cache-aside";
pub(crate) const MOKA: &str = "moka";
pub(crate) const QUICK: &str = "quick_cache";

/// Room for twice the keys, so that nobody evicts.
fn capacity(keys: &[String]) -> usize {
    keys.len() * 2 + 100
}

pub(crate) fn ours(keys: &[String]) -> anyhow::Result<CachingService> {
    let tier = LocalTier::new(capacity(keys) as u64);
    let cache = now(CachingService::builder().local(tier).build())??;
    for (key, number) in keys.iter().zip(0..) {
        now(cache.set::<Record>(key, number))?;
    }
    Ok(cache)
}

pub(crate) fn moka(keys: &[String]) -> moka::sync::Cache<String, Arc<Record>> {
    let cache = moka::sync::Cache::new(capacity(keys) as u64);
    for (key, number) in keys.iter().zip(0..) {
        cache.insert(key.clone(), Arc::new(number));
    }
    cache.run_pending_tasks();
    cache
}

pub(crate) fn quick_cache(keys: &[String]) -> quick_cache::sync::Cache<String, Arc<Record>> {
    let cache = quick_cache::sync::Cache::new(capacity(keys));
    for (key, number) in keys.iter().zip(0..) {
        cache.insert(key.clone(), Arc::new(number));
    }
    cache
}

/// What a future that need not wait gives.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    future.now_or_never().ok_or_else(|| anyhow::anyhow!("it waits where it should not"))
}
