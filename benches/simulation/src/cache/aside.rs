//! The near tier, by the calls that the service makes.

use std::time::Duration;

use cache_aside::clock::Timestamp;
use cache_aside::{Entry, EvictionPolicy, Key, LocalTier, NearTier, Value};

use super::Cache;

const HOUR: Duration = Duration::from_secs(3_600);

pub(crate) struct Aside {
    tier: LocalTier,
    keys: Vec<Key>,
    entry: Entry,
}

impl Aside {
    pub(crate) fn new(capacity: usize, keys: usize, policy: EvictionPolicy) -> Self {
        let key = |number| Key::new(format!("key:{number}")).expect("it is short and has no control characters");
        Self {
            tier: LocalTier::builder().max_entries(capacity as u64).eviction_policy(policy).build(),
            keys: (0..keys).map(key).collect(),
            entry: Entry::new(Value::Absent, Timestamp::ZERO, Timestamp::MAX),
        }
    }
}

impl Cache for Aside {
    fn access(&mut self, key: u32, _next: u32) -> bool {
        let key = &self.keys[key as usize];
        let mut hit = false;
        self.tier.inspect(key.as_str(), &mut |_| hit = true);
        if !hit {
            self.tier.insert(key, self.entry.clone(), HOUR);
        }
        hit
    }
}
