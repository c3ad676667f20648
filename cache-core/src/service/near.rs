//! The hit path: the near tier, without allocating, locking or suspending.

use std::sync::Arc;

use super::Inner;
use crate::entry::Value;

/// What the near tier says of a key.
pub(super) enum Near<T> {
    Hit(Arc<T>),
    /// The source is known to have no value.
    Absent,
    Miss,
}

impl Inner {
    /// Looks `key` up, and counts the hit or miss.
    pub(super) fn look_near<T: Send + Sync + 'static>(&self, key: &str, schema: u32) -> Near<T> {
        let found = self.peek_near(key, schema);
        if self.near.is_some() {
            match found {
                Near::Hit(_) | Near::Absent => self.near_counters.hits.increment(),
                Near::Miss => self.near_counters.misses.increment(),
            }
        }
        found
    }

    /// Looks `key` up without counting.
    pub(super) fn peek_near<T: Send + Sync + 'static>(&self, key: &str, schema: u32) -> Near<T> {
        let Some(entry) = self.near.as_ref().and_then(|near| near.look_up(key)) else { return Near::Miss };
        if entry.schema != schema || !self.coherence.may_serve(&entry, self.clock.now()) {
            return Near::Miss;
        }
        match &entry.value {
            Value::Typed(value) => match Arc::clone(value).downcast() {
                Ok(value) => Near::Hit(value),
                // Another caller keeps another type under this key: the far tiers have bytes that both can read.
                Err(_) => Near::Miss,
            },
            Value::Absent => Near::Absent,
            Value::Encoded { .. } => Near::Miss,
        }
    }
}
