//! moka alone.

use super::Cache;

pub(crate) struct Moka(moka::sync::Cache<u32, ()>);

impl Moka {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(moka::sync::Cache::new(capacity as u64))
    }
}

impl Cache for Moka {
    fn access(&mut self, key: u32, _next: u32) -> bool {
        let hit = self.0.get(&key).is_some();
        if !hit {
            self.0.insert(key, ());
        }
        hit
    }
}
