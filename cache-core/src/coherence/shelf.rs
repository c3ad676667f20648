//! A near tier whose only lock belongs to the scheduler.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::entry::Entry;
use crate::error::TierError;
use crate::key::Key;
use crate::pattern::Pattern;
use crate::sync::Mutex;
use crate::tier::{CacheTier, NearTier};

#[derive(Default)]
pub(crate) struct Shelf(Mutex<HashMap<Key, Entry>>);

#[async_trait]
impl CacheTier for Shelf {
    fn name(&self) -> &'static str {
        "shelf"
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, TierError> {
        Ok(self.look_up(key.as_str()))
    }

    async fn set(&self, key: &Key, entry: Entry, ttl: Duration) -> Result<(), TierError> {
        self.insert(key, entry, ttl);
        Ok(())
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64, TierError> {
        Ok(keys.iter().map(|key| u64::from(self.remove(key.as_str()))).sum())
    }

    async fn invalidate_pattern(&self, pattern: &Pattern) -> Result<u64, TierError> {
        Ok(self.remove_matching(&|key, _| pattern.matches(key.as_str())))
    }

    async fn ping(&self) -> Result<(), TierError> {
        Ok(())
    }
}

impl NearTier for Shelf {
    fn inspect(&self, key: &str, look: &mut dyn FnMut(&Entry)) {
        let found = self.0.lock().unwrap().get(key).cloned();
        if let Some(entry) = found {
            look(&entry);
        }
    }

    fn insert(&self, key: &Key, entry: Entry, _: Duration) {
        self.0.lock().unwrap().insert(key.clone(), entry);
    }

    fn remove(&self, key: &str) -> bool {
        self.0.lock().unwrap().remove(key).is_some()
    }

    fn remove_matching(&self, void: &dyn Fn(&Key, &Entry) -> bool) -> u64 {
        let mut entries = self.0.lock().unwrap();
        let before = entries.len();
        entries.retain(|key, entry| !void(key, entry));
        (before - entries.len()) as u64
    }
}
