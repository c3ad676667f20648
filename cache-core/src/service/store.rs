//! How a loaded value goes into the tiers: from the far end to the near one, and nowhere once it is void.

use std::time::Duration;

use bytes::Bytes;

use super::claim::Claim;
use super::lease::Lease;
use super::loaded::AnyLoaded;
use super::read::Wanted;
use super::{Inner, Plan};
use crate::clock::Timestamp;
use crate::coherence::{AtHand, Change, Insertion, Position, Ticket};
use crate::entry::{Entry, Token, Value};
use crate::erased::AnyValue;
use crate::event::Event;
use crate::far::{Far, Manner, Owed};
use crate::key::Key;
use crate::policy::Life;
use crate::tags::Tags;

/// What came of encoding a value.
pub(super) enum Encoded {
    As(Value),
    /// It cannot be encoded, and so goes into near tiers only.
    Not,
    /// It is longer than its policy allows, and goes nowhere.
    TooLarge,
}

/// Where a loaded value may go.
pub(super) enum Store {
    /// Into the shared tier, under the lease, and then into the others.
    Fill(Lease),
    /// Into the shared tier, over the very entry that is claimed, and then into the others.
    Refill(Claim),
    /// Into the tiers that are not shared.
    Unshared,
    /// Nowhere.
    Nowhere,
}

impl Store {
    /// The token that an entry is to have: the lease's own, where there is one.
    fn token(&self) -> Token {
        if let Self::Fill(lease) = self { lease.token() } else { Token::random() }
    }

    /// Keeps the right to store from lapsing, until dropped.
    pub(super) async fn keep(&self, tags: &Tags, origin: &Origin) -> std::convert::Infallible {
        match self {
            Self::Fill(lease) => lease.keep(tags, origin).await,
            Self::Refill(claim) => claim.keep().await,
            Self::Unshared | Self::Nowhere => std::future::pending().await,
        }
    }
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

    /// An entry for a value whose load began at `origin`, to live for `life` from now.
    pub(super) fn entry_of(&self, plan: &Plan, origin: Origin, token: Token, value: Value, life: Life) -> Entry {
        let now = self.clock.now();
        let fresh_until = now + life.fresh;
        Entry {
            token,
            as_of: origin.began,
            fresh_until,
            settled_until: fresh_until,
            cost: now.since(origin.began),
            birth: origin.birth,
            version: plan.version,
            schema: plan.policy.schema_version(),
            tags: plan.policy.tag_slots().clone(),
            ..Entry::new(value, origin.began, fresh_until + life.stale)
        }
    }

    pub(super) fn encode(&self, wanted: Wanted<'_>, value: Option<&AnyValue>) -> Encoded {
        let Wanted { key, plan, of } = wanted;
        let Some(value) = value else { return Encoded::As(Value::Absent) };
        let Some(codec) = self.codec.as_deref() else {
            return if self.admits(key, plan, of.size() as u64) { Encoded::Not } else { Encoded::TooLarge };
        };
        match of.encode(codec, self.place(key.as_str()), value) {
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

    /// Stores what a load gave, as far as `store` permits and nothing has voided it since `origin`. It is no older than what it has
    /// `replaced`, and so gets its version. False when it is not meant to be stored.
    pub(super) async fn store(
        &self,
        wanted: Wanted<'_>,
        store: Store,
        origin: Origin,
        loaded: Option<AnyLoaded>,
        replaced: Option<&AtHand>,
    ) -> bool {
        let Wanted { key, plan, .. } = wanted;
        self.throttles.forget(key);
        let life = plan.policy.draw_life(loaded.as_ref().map(|loaded| loaded.ttl), self.max_ttl);
        if life.is_none() {
            return false;
        }
        if matches!(store, Store::Nowhere) {
            return true;
        }
        if matches!(store, Store::Unshared) && origin.ticket.fenced {
            self.note_fenced(key);
            return true;
        }
        let (value, tags, etag) = match loaded {
            Some(AnyLoaded { value, tags, etag, .. }) => (Some(value), tags, etag.filter(|etag| !etag.is_empty())),
            None => (None, None, None),
        };
        let tags = tags.unwrap_or_else(|| plan.policy.tag_slots().clone());
        let near_value = value.clone().map_or(Value::Absent, Value::Typed);
        let version = plan.version.max(replaced.and_then(|replaced| replaced.entry.version));
        let mut entry = Entry { tags, etag, version, ..self.entry_of(plan, origin, store.token(), near_value, life) };
        if !self.coherence.may_store(key.as_str(), &entry, origin.ticket) {
            self.note_fenced(key);
            return true;
        }
        let mut filled = None;
        let into_far = plan.access.writes_far() && !self.far.is_empty();
        if into_far || plan.policy.is_bounded() {
            match self.encode(wanted, value.as_ref()) {
                Encoded::As(encoded) if into_far => {
                    entry = entry.sized_as(encoded);
                    filled = self.store_far(key, &entry, plan, store, origin).await;
                }
                Encoded::As(_) | Encoded::Not => {}
                Encoded::TooLarge => return true,
            }
        }
        let near_ttl = plan.near_ttl(life.total());
        let near_ttl = match filled {
            Some(true) => near_ttl,
            // Without an answer nobody knows whether the lease stood.
            None if !origin.ticket.fenced => near_ttl.min(self.unleased_limit(plan, origin)),
            Some(false) | None => {
                self.note_fenced(key);
                return true;
            }
        };
        self.insert_near(wanted, &entry, value, origin.ticket, near_ttl, Insertion::Fill);
        true
    }

    /// For how long a value may be kept that the shared tier has not taken: it may have refused it.
    fn unleased_limit(&self, plan: &Plan, origin: Origin) -> Duration {
        let doubtful = self.shared_to_fill(plan).is_some();
        let until = origin.began + self.coherence.trust.timings().isolated_ttl;
        if doubtful { until.since(self.clock.now()) } else { Duration::MAX }
    }

    /// Stores an encoded entry in the far tiers. Tells whether the shared one has taken it; `None` when it was not asked, or
    /// could not say.
    async fn store_far(&self, key: &Key, entry: &Entry, plan: &Plan, store: Store, origin: Origin) -> Option<bool> {
        let mut ttl = entry.expires.since(self.clock.now());
        let filled = match store {
            Store::Fill(lease) => lease.fill(entry.clone(), ttl).await,
            Store::Refill(claim) => claim.refill(entry.clone(), ttl).await,
            Store::Unshared | Store::Nowhere => None,
        };
        if filled.is_none() {
            // As near tiers: nobody knows whether the lease stood.
            ttl = ttl.min(self.unleased_limit(plan, origin));
        }
        if filled != Some(false) && !ttl.is_zero() {
            let expires = entry.expires.min(self.clock.now() + ttl);
            let entry = Entry { expires, fresh_until: entry.fresh_until.min(expires), ..entry.clone() };
            for (_, far) in self.unshared_to_fill(plan).rev() {
                self.store_unfenced(far, key, entry.clone(), ttl, origin.ticket).await;
            }
        }
        filled
    }

    /// Stores an entry in a tier that cannot fence fills: an invalidation that came while it was stored removes it again, and so
    /// does a caller that goes away before it knows.
    pub(super) async fn store_unfenced(&self, far: &Far, key: &Key, entry: Entry, ttl: Duration, ticket: Ticket) {
        if !far.is_ready() || !self.coherence.may_store(key.as_str(), &entry, ticket) {
            return;
        }
        let change = Change::Keys([key.clone()].into());
        let owed = Owed::in_place_of_write(far, &self.coherence, &change);
        match far.try_ask(far.tier.set(key, entry.clone(), ttl)).await {
            Ok(()) => {
                self.keep_or_remove(key, &entry, owed, ticket).await;
            }
            Err(error) => owed.failed(&error),
        }
    }

    /// Removes what was just stored in a tier that cannot fence, should it be void by now. False when it could not be removed, and
    /// waits in the queue: the tier is not read until it is gone.
    pub(super) async fn keep_or_remove(&self, key: &Key, entry: &Entry, owed: Owed<'_>, ticket: Ticket) -> bool {
        if self.coherence.may_store(key.as_str(), entry, ticket) {
            owed.delivered();
            return true;
        }
        owed.deliver(Manner::default()).await.is_ok()
    }
}
