//! The hit path: the near tier, without allocating, locking or suspending.

use std::sync::Arc;

use super::read::Wanted;
use super::refresh::{self, Due};
use super::{Cacheable, Inner, Plan};
use crate::clock::Timestamp;
use crate::codec;
use crate::coherence::AtHand;
use crate::entry::{Entry, Value};
use crate::erased::AnyValue;
use crate::key::Key;
use crate::policy::Policy;
use crate::selection::{Access, Tier};

/// What a caller can make of what the near tier has.
#[derive(Clone, Copy)]
pub(super) struct Caller {
    /// It can load in the background.
    pub(super) behind: bool,
    /// It takes an absence for an answer.
    pub(super) optional: bool,
}

/// What the near tier says of a key.
pub(super) enum Near<T> {
    Hit(Arc<T>),
    /// A value that may be served, and is to be loaded anew in the background.
    Due(Arc<T>, Due),
    /// The source is known to have no value.
    Absent,
    Miss,
}

/// What the leader of a flight finds in the near tier.
pub(super) enum Found {
    Value(AnyValue, AtHand),
    /// The source is known to have no value.
    Absent,
}

impl Inner {
    /// Looks `key` up, and counts the hit or miss.
    pub(super) fn look_near<T: Cacheable>(&self, key: &str, policy: &Policy, caller: Caller) -> Near<T> {
        let found = self.peek_near(key, policy, caller);
        if self.near.is_some() {
            match found {
                Near::Hit(_) | Near::Absent | Near::Due(..) => self.near_counters.hits.increment(),
                Near::Miss => self.near_counters.misses.increment(),
            }
        }
        found
    }

    /// The value under `key`, if the near tier has one that is fresh by every policy and of the service's own schema. Only a
    /// hit is counted: after anything else the call goes on to look closer.
    #[inline]
    pub(crate) fn settled<T: Cacheable>(&self, key: &str) -> Option<Arc<T>> {
        self.settled_by(key, &self.policy, self.access)
    }

    /// As [`Inner::settled`], of the schema of `policy`, if `access` reads the near tier.
    #[inline]
    pub(super) fn settled_by<T: Cacheable>(&self, key: &str, policy: &Policy, access: Access) -> Option<Arc<T>> {
        let found = self.settled_any(key, policy, access)?.downcast().ok()?;
        self.near_counters.hits.increment();
        Some(found)
    }

    /// As [`Inner::settled_by`], a value of any type, without counting. It is compiled here, once for all types.
    fn settled_any(&self, key: &str, policy: &Policy, access: Access) -> Option<AnyValue> {
        if !access.reads(Tier::NEAR) {
            return None;
        }
        let mut found = None;
        self.coherence.inspect(key, &mut |entry| {
            if self.is_settled(entry, policy)
                && let Value::Typed(value) = &entry.value
            {
                found = Some(Arc::clone(value));
            }
        });
        found
    }

    /// Whether the near tier knows that the source has no value under `key`, freshly by every policy and of the service's own
    /// schema. Only a hit is counted, as by [`Inner::settled`]; only functions that may return none ask.
    pub(crate) fn settled_absence(&self, key: &str) -> bool {
        self.settled_absence_by(key, &self.policy, self.access)
    }

    /// As [`Inner::settled_absence`], of the schema of `policy`, if `access` reads the near tier.
    pub(super) fn settled_absence_by(&self, key: &str, policy: &Policy, access: Access) -> bool {
        if !access.reads(Tier::NEAR) {
            return false;
        }
        let mut absent = false;
        self.coherence.inspect(key, &mut |entry| {
            absent = matches!(entry.value, Value::Absent) && self.is_settled(entry, policy);
        });
        if absent {
            self.near_counters.hits.increment();
        }
        absent
    }

    /// Whether an entry of the near tier is fresh by every policy, and of the schema of `policy`.
    #[inline]
    fn is_settled(&self, entry: &Entry, policy: &Policy) -> bool {
        let now = self.clock.now_or_later();
        entry.schema == policy.schema_version() && now < entry.settled_until && self.coherence.is_trusted(entry, now)
    }

    /// Looks `key` up and counts, if `plan` reads the near tier.
    pub(super) fn look_near_as<T: Cacheable>(&self, key: &str, plan: &Plan) -> Near<T> {
        let caller = Caller { behind: false, optional: plan.optional };
        if plan.access.reads(Tier::NEAR) { self.look_near(key, &plan.policy, caller) } else { Near::Miss }
    }

    /// Looks `key` up without counting.
    fn peek_near<T: Cacheable>(&self, key: &str, policy: &Policy, caller: Caller) -> Near<T> {
        let Caller { behind, optional } = caller;
        let (mut found, mut packed) = (Near::Miss, None);
        self.coherence.inspect(key, &mut |entry| {
            let now = self.clock.now_or_later();
            if entry.schema != policy.schema_version() || !self.coherence.is_trusted(entry, now) {
                return;
            }
            let settled = now < entry.settled_until;
            let age = if settled { Age::Fresh } else { age(entry, policy, behind, self.clock.now()) };
            match (&entry.value, age) {
                (_, Age::Over) => {}
                (Value::Typed(value), age) => {
                    // Another caller may keep another type under this key: the far tiers have bytes that both can read.
                    if let Ok(value) = Arc::clone(value).downcast() {
                        found = age.given(value);
                    }
                }
                (Value::Absent, _) if optional => found = Near::Absent,
                (Value::Absent, _) => {}
                (Value::Encoded { .. }, age) => packed = Some((entry.clone(), age)),
            }
        });
        match packed {
            Some((entry, age)) => self.unpack(key, &entry).map_or(Near::Miss, |value| age.given(value)),
            None => found,
        }
    }

    /// What the near tier holds, fresh or not, without counting.
    pub(super) fn find_near(&self, wanted: Wanted<'_>) -> Option<Found> {
        let Wanted { key, plan, of } = wanted;
        if !plan.access.reads(Tier::NEAR) {
            return None;
        }
        // Before the look-up, so that nothing that voids it later is missed.
        let ticket = self.coherence.note(key.as_str());
        let entry = self.coherence.look_up(key.as_str())?;
        let now = self.clock.now();
        if entry.schema != plan.policy.schema_version() || !self.coherence.may_serve(&entry, now) {
            return None;
        }
        let value = match &entry.value {
            Value::Typed(value) if of.is_type_of(value) => Arc::clone(value),
            Value::Absent if plan.optional && entry.fresh_until > now => return Some(Found::Absent),
            _ => return None,
        };
        Some(Found::Value(value, AtHand { ticket, entry: Arc::new(entry) }))
    }

    /// The value of an entry that another node sent. The near tier has it by reference from here on.
    #[cold]
    fn unpack<T: Cacheable>(&self, key: &str, entry: &Entry) -> Option<Arc<T>> {
        let Value::Encoded { bytes, codec } = &entry.value else { return None };
        let (now, codec) = (self.clock.now(), *codec);
        let known = self.codec.as_deref().filter(|known| known.id() == codec);
        let Some(value) = known.and_then(|known| codec::decode::<T>(known, self.place(key), bytes).ok()) else {
            self.counters.undecodable.increment();
            return None;
        };
        let value = Arc::new(value);
        if let (Some(near), Ok(key)) = (&self.near, Key::new(key)) {
            let typed = entry.with_value(Value::Typed(Arc::clone(&value) as _));
            self.coherence.replace(key.as_str(), entry, || near.insert(&key, typed, entry.expires.since(now)));
        }
        Some(value)
    }
}

enum Age {
    Fresh,
    Due(Due),
    Over,
}

impl Age {
    /// What a caller is given who may have `value`.
    fn given<T>(self, value: Arc<T>) -> Near<T> {
        match self {
            Self::Due(due) => Near::Due(value, due),
            Self::Fresh | Self::Over => Near::Hit(value),
        }
    }
}

/// How far an entry is that is near its end, or past it.
#[cold]
fn age(entry: &Entry, policy: &Policy, behind: bool, now: Timestamp) -> Age {
    let fresh = now < entry.fresh_until;
    let due = match (behind, fresh) {
        (true, true) => refresh::is_early(policy, entry.fresh_until, entry.cost, now),
        (true, false) => now < entry.expires && now < entry.fresh_until + policy.revalidate_window(),
        (false, _) => false,
    };
    match (due, fresh) {
        (true, _) => Age::Due(Due::new(entry)),
        (false, true) => Age::Fresh,
        (false, false) => Age::Over,
    }
}
