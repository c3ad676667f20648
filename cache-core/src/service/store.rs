//! How a loaded value goes into the tiers: from the far end to the near one, and nowhere once it is void.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::load::Store;
use super::{Cacheable, Inner, Plan};
use crate::clock::Timestamp;
use crate::codec;
use crate::coherence::{Change, Insertion, Position, Ticket};
use crate::entry::{Entry, Token, Value};
use crate::event::Event;
use crate::far::{Far, Manner};
use crate::key::Key;

/// What came of encoding a value.
pub(super) enum Encoded {
    As(Value),
    /// It cannot be encoded, and so goes into near tiers only.
    Not,
    /// It is longer than its policy allows, and goes nowhere.
    TooLarge,
}

/// What was known when a load began.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) ticket: Ticket,
    pub(super) birth: Position,
    pub(super) began: Timestamp,
}

impl Inner {
    /// To be noted before the loader is called.
    pub(super) fn origin(&self, key: &Key) -> Origin {
        let ticket = self.coherence.note(key.as_str());
        Origin { ticket, birth: self.coherence.known(), began: self.clock.now() }
    }

    /// An entry for a value whose load began at `origin`, to live for `ttl` from now.
    pub(super) fn entry_of(&self, plan: &Plan, origin: Origin, token: Token, value: Value, ttl: Duration) -> Entry {
        let now = self.clock.now();
        Entry {
            token,
            as_of: origin.began,
            cost: now.since(origin.began),
            birth: origin.birth,
            version: plan.version,
            schema: plan.policy.schema_version(),
            tags: plan.policy.tag_slots().clone(),
            ..Entry::new(value, origin.began, now + ttl)
        }
    }

    pub(super) fn encode<T: Cacheable>(&self, key: &Key, plan: &Plan, value: Option<&T>) -> Encoded {
        let Some(value) = value else { return Encoded::As(Value::Absent) };
        let Some(codec) = self.codec.as_deref() else {
            return if self.admits(key, plan, size_of::<T>() as u64) { Encoded::Not } else { Encoded::TooLarge };
        };
        match codec::encode(codec, self.place(key.as_str()), value) {
            Ok(bytes) if !self.admits(key, plan, bytes.len() as u64) => Encoded::TooLarge,
            Ok(bytes) => Encoded::As(Value::Encoded { bytes: Bytes::from(bytes), codec: codec.id() }),
            Err(_) => {
                self.counters.unencodable.increment();
                self.events.emit(Event::Unencodable { key: key.clone() });
                Encoded::Not
            }
        }
    }

    /// Whether a value of so many bytes may be stored, or decoded. One that may not is counted.
    pub(super) fn admits(&self, key: &Key, plan: &Plan, bytes: u64) -> bool {
        let admitted = plan.policy.admits(bytes);
        if !admitted {
            self.counters.too_large.increment();
            self.events.emit(Event::TooLarge { key: key.clone(), bytes });
        }
        admitted
    }

    /// Stores what a load gave, as far as `store` permits and nothing has voided it since `origin`.
    pub(super) async fn store<T: Cacheable>(
        &self,
        key: &Key,
        plan: &Plan,
        store: Store,
        origin: Origin,
        value: Option<Arc<T>>,
    ) {
        let ttl = plan.policy.draw_ttl(value.is_none()).min(self.max_ttl);
        if ttl.is_zero() || matches!(store, Store::Nowhere) {
            return;
        }
        if matches!(store, Store::Unshared) && origin.ticket.fenced {
            self.note_fenced(key);
            return;
        }
        let token = if let Store::Fill(lease) = &store { lease.token() } else { Token::random() };
        let near_value = value.clone().map_or(Value::Absent, |value| Value::Typed(value));
        let mut entry = self.entry_of(plan, origin, token, near_value, ttl);
        if !self.coherence.may_store(key.as_str(), &entry, origin.ticket) {
            self.note_fenced(key);
            return;
        }
        let mut filled = None;
        let into_far = plan.access.writes_far() && !self.far.is_empty();
        if into_far || plan.policy.is_bounded() {
            match self.encode(key, plan, value.as_deref()) {
                Encoded::As(encoded) if into_far => {
                    entry = self.entry_of(plan, origin, token, encoded, ttl);
                    filled = self.store_far(key, &entry, plan, store, origin.ticket).await;
                }
                Encoded::As(_) | Encoded::Not => {}
                Encoded::TooLarge => return,
            }
        }
        let near_ttl = plan.near_ttl(ttl);
        let near_ttl = match filled {
            Some(true) => near_ttl,
            // Without an answer nobody knows whether the lease stood.
            None if !origin.ticket.fenced => near_ttl.min(self.unleased_limit(plan, origin)),
            Some(false) | None => {
                self.note_fenced(key);
                return;
            }
        };
        self.insert_near(key, &entry, value, origin.ticket, near_ttl, Insertion::Fill);
    }

    /// For how long a value may be kept that the shared tier has not taken: it may have refused it.
    fn unleased_limit(&self, plan: &Plan, origin: Origin) -> Duration {
        let doubtful = self.shared_to_fill(plan).is_some();
        let until = origin.began + self.coherence.trust.timings().isolated_ttl;
        if doubtful { until.since(self.clock.now()) } else { Duration::MAX }
    }

    /// Stores an encoded entry in the far tiers. Tells whether the shared one has taken it; `None` when it was not asked, or
    /// could not say.
    async fn store_far(&self, key: &Key, entry: &Entry, plan: &Plan, store: Store, ticket: Ticket) -> Option<bool> {
        let ttl = entry.expires.since(self.clock.now());
        let filled = match store {
            Store::Fill(lease) => lease.fill(entry.clone(), ttl).await,
            Store::Unshared | Store::Nowhere => None,
        };
        if filled != Some(false) {
            for (_, far) in self.unshared_to_fill(plan).rev() {
                self.store_unfenced(far, key, entry.clone(), ttl, ticket).await;
            }
        }
        filled
    }

    /// Stores an entry in a tier that cannot fence fills: an invalidation that came while it was stored removes it again.
    pub(super) async fn store_unfenced(&self, far: &Far, key: &Key, entry: Entry, ttl: Duration, ticket: Ticket) {
        if !self.coherence.may_store(key.as_str(), &entry, ticket) {
            return;
        }
        far.ask(far.tier.set(key, entry.clone(), ttl)).await;
        if !self.coherence.may_store(key.as_str(), &entry, ticket) {
            // What could not be removed now is queued, and the tier is not read until it is gone.
            let _ = far.invalidate(&Change::Keys([key.clone()].into()), Manner::default(), &self.coherence).await;
        }
    }
}
