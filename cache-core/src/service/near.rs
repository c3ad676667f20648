//! The hit path: the near tier, without allocating, locking or suspending.

use std::sync::Arc;

use super::{Cacheable, Inner, Plan};
use crate::clock::Timestamp;
use crate::codec;
use crate::entry::{Entry, Value};
use crate::key::Key;
use crate::selection::Tier;

/// What the near tier says of a key.
pub(super) enum Near<T> {
    Hit(Arc<T>),
    /// The source is known to have no value.
    Absent,
    Miss,
}

impl Inner {
    /// Looks `key` up, and counts the hit or miss.
    pub(super) fn look_near<T: Cacheable>(&self, key: &str, schema: u32) -> Near<T> {
        let found = self.peek_near(key, schema);
        if self.near.is_some() {
            match found {
                Near::Hit(_) | Near::Absent => self.near_counters.hits.increment(),
                Near::Miss => self.near_counters.misses.increment(),
            }
        }
        found
    }

    /// Looks `key` up and counts, if `plan` reads the near tier.
    pub(super) fn look_near_as<T: Cacheable>(&self, key: &str, plan: &Plan) -> Near<T> {
        if plan.access.reads(Tier::NEAR) { self.look_near(key, plan.policy.schema_version()) } else { Near::Miss }
    }

    /// Looks `key` up without counting.
    pub(super) fn peek_near<T: Cacheable>(&self, key: &str, schema: u32) -> Near<T> {
        let Some(entry) = self.near.as_ref().and_then(|near| near.look_up(key)) else { return Near::Miss };
        let now = self.clock.now();
        if entry.schema != schema || !self.coherence.may_serve(&entry, now) {
            return Near::Miss;
        }
        match &entry.value {
            Value::Typed(value) => match Arc::clone(value).downcast() {
                Ok(value) => Near::Hit(value),
                // Another caller keeps another type under this key: the far tiers have bytes that both can read.
                Err(_) => Near::Miss,
            },
            Value::Absent => Near::Absent,
            Value::Encoded { bytes, codec } => self.unpack(key, &entry, bytes, *codec, now),
        }
    }

    /// The value of an entry that another node sent. The near tier has it by reference from here on.
    #[cold]
    fn unpack<T: Cacheable>(&self, key: &str, entry: &Arc<Entry>, bytes: &[u8], codec: u8, now: Timestamp) -> Near<T> {
        let known = self.codec.as_deref().filter(|known| known.id() == codec);
        let Some(value) = known.and_then(|known| codec::decode::<T>(known, self.place(key), bytes).ok()) else {
            self.counters.undecodable.increment();
            return Near::Miss;
        };
        let value = Arc::new(value);
        if let (Some(near), Ok(key)) = (&self.near, Key::new(key)) {
            let typed = Arc::new(entry.with_value(Value::Typed(Arc::clone(&value) as _)));
            self.coherence.replace(key.as_str(), entry, || near.insert(&key, typed, entry.expires.since(now)));
        }
        Near::Hit(value)
    }
}
