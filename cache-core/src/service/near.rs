//! The hit path: the near tier, without allocating, locking or suspending.

use std::sync::Arc;

use super::{Cacheable, Inner, Plan};
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
        let (mut found, mut packed) = (Near::Miss, None);
        if let Some(near) = &self.near {
            near.inspect(key, &mut |entry| {
                if entry.schema != schema || !self.coherence.may_serve(entry, self.clock.now_or_later()) {
                    return;
                }
                match &entry.value {
                    Value::Typed(value) => {
                        // Another caller may keep another type under this key: the far tiers have bytes that both can read.
                        if let Ok(value) = Arc::clone(value).downcast() {
                            found = Near::Hit(value);
                        }
                    }
                    Value::Absent => found = Near::Absent,
                    Value::Encoded { .. } => packed = Some(Arc::clone(entry)),
                }
            });
        }
        match packed {
            Some(entry) => self.unpack(key, &entry),
            None => found,
        }
    }

    /// The value of an entry that another node sent. The near tier has it by reference from here on.
    #[cold]
    fn unpack<T: Cacheable>(&self, key: &str, entry: &Arc<Entry>) -> Near<T> {
        let Value::Encoded { bytes, codec } = &entry.value else { return Near::Miss };
        let (now, codec) = (self.clock.now(), *codec);
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
