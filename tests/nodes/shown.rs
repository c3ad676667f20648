//! A near tier that tests can look into.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache_aside::{CacheTier, Entry, Key, LocalTier, NearTier, Pattern, TierError};

/// A near tier that can be looked into from outside.
#[derive(Clone)]
pub(super) struct Shown(pub(super) Arc<LocalTier>);

impl Default for Shown {
    fn default() -> Self {
        Self(Arc::new(LocalTier::new(100)))
    }
}

#[async_trait]
impl CacheTier for Shown {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, TierError> {
        self.0.get(key).await
    }

    async fn set(&self, key: &Key, entry: Entry, ttl: Duration) -> Result<(), TierError> {
        self.0.set(key, entry, ttl).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64, TierError> {
        self.0.delete(keys).await
    }

    async fn invalidate_pattern(&self, pattern: &Pattern) -> Result<u64, TierError> {
        self.0.invalidate_pattern(pattern).await
    }

    async fn ping(&self) -> Result<(), TierError> {
        self.0.ping().await
    }
}

impl NearTier for Shown {
    fn inspect(&self, key: &str, look: &mut dyn FnMut(&Entry)) {
        self.0.inspect(key, look);
    }

    fn insert(&self, key: &Key, entry: Entry, ttl: Duration) {
        self.0.insert(key, entry, ttl);
    }

    fn remove(&self, key: &str) -> bool {
        self.0.remove(key)
    }

    fn remove_matching(&self, void: &dyn Fn(&Key, &Entry) -> bool) -> u64 {
        self.0.remove_matching(void)
    }
}
