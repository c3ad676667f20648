//! Writes and invalidations.

use std::sync::Arc;

use super::{Cacheable, Inner, Plan};
use crate::coherence::{Change, Coherence, Insertion, Position, Record};
use crate::entry::{Entry, Token, Value};
use crate::far::{Far, Owed};
use crate::key::Key;
use crate::pattern::Pattern;
use crate::status::{Delivery, Receipt};
use crate::tags::Tags;
use crate::tier::SharedTier;

use super::store::Origin;

impl Inner {
    pub(super) async fn invalidate_keys(&self, keys: &[impl AsRef<str>]) -> Receipt {
        let mut valid = Vec::with_capacity(keys.len());
        for key in keys {
            match Key::new(key) {
                Ok(key) => valid.push(key),
                Err(_) => self.note_invalid_key(key.as_ref()),
            }
        }
        valid.sort_unstable();
        valid.dedup();
        if valid.is_empty() {
            return Receipt { removed: 0, delivery: self.delivery(false) };
        }
        self.invalidate(Change::Keys(valid.into())).await
    }

    pub(super) async fn invalidate_pattern(&self, pattern: Pattern) -> Receipt {
        self.invalidate(Change::Pattern(pattern)).await
    }

    pub(super) async fn invalidate_tags(&self, tags: Tags) -> Receipt {
        if tags == Tags::NONE {
            return Receipt { removed: 0, delivery: self.delivery(false) };
        }
        self.invalidate(Change::Tags(tags)).await
    }

    pub(super) async fn clear(&self) -> Receipt {
        self.invalidate(Change::Clear).await
    }

    /// Voids what `change` covers: here at once, then in the far tiers, deepest first, so that nothing old is left below
    /// for a nearer tier to copy.
    async fn invalidate(&self, change: Change) -> Receipt {
        self.start(None);
        self.counters.invalidations_sent.increment();
        let mut removed = self.coherence.void(&change);
        let mut queued = false;
        for far in self.far.iter().rev() {
            match far.invalidate(&change, &self.coherence).await {
                Ok(count) => removed = removed.max(count),
                Err(_) => queued = true,
            }
        }
        if queued || self.far.iter().any(|far| far.shared().is_none()) {
            // A reader of this node may have put back what a tier still held.
            self.coherence.void(&change);
        }
        Receipt { removed, delivery: self.delivery(queued) }
    }

    fn delivery(&self, queued: bool) -> Delivery {
        match (queued, self.shared()) {
            (true, _) => Delivery::Queued,
            (false, Some(_)) => Delivery::Done,
            (false, None) => Delivery::Local,
        }
    }

    pub(super) async fn set<T: Cacheable>(&self, key: &str, value: T, plan: &Plan) -> Receipt {
        let ttl = plan.policy.draw_ttl(false);
        let Ok(key) = Key::new(key) else {
            self.note_invalid_key(key);
            return Receipt { removed: 0, delivery: self.delivery(false) };
        };
        self.start(None);
        self.counters.invalidations_sent.increment();
        let change = Change::Keys([key.clone()].into());
        let (ticket, _) = self.coherence.void_key(key.as_str());
        let origin = Origin { ticket, birth: self.coherence.known(), began: self.clock.now() };
        let value = Arc::new(value);
        let near_value = Value::Typed(Arc::clone(&value) as Arc<dyn std::any::Any + Send + Sync>);
        let mut entry = self.entry_of(plan, origin, Token::random(), near_value, ttl);

        let mut queued = false;
        if !plan.local_only {
            let storable = !self.far.is_empty() && !ttl.is_zero();
            let encoded = if storable { self.encode(&key, Some(&*value)) } else { None };
            if let Some(encoded) = encoded {
                entry = self.entry_of(plan, origin, entry.token, encoded, ttl);
            }
            for far in self.far.iter().rev() {
                match self.set_far(far, &key, &entry, &change).await {
                    Some(Some(position)) => entry.birth = entry.birth.max(position),
                    Some(None) => {}
                    None => queued = true,
                }
            }
        }
        // A load that began before the value was written must not be shared with callers that come after.
        self.coherence.flights.detach(key.as_str(), None);
        let ttl = plan.policy.near_ttl(ttl);
        if !self.insert_near(&key, &entry, Some(value), ticket, ttl, Insertion::Set) {
            // Another write of this key was under way: nobody here knows which of the two came last.
            self.coherence.void(&change);
        }
        Receipt { removed: 0, delivery: if plan.local_only { Delivery::Local } else { self.delivery(queued) } }
    }

    /// Writes a value to a far tier, and tells the position of its record where the tier keeps a journal. Without bytes,
    /// and where the write fails, the old value is removed instead: `None` when that has to wait.
    async fn set_far(&self, far: &Far, key: &Key, entry: &Entry, change: &Change) -> Option<Option<Position>> {
        if matches!(entry.value, Value::Typed(_)) {
            return far.invalidate(change, &self.coherence).await.ok().map(|_| None);
        }
        let owed = Owed::in_place_of_write(far, &self.coherence, change);
        let ttl = entry.expires.since(self.clock.now());
        let written = match far.shared() {
            Some(shared) => far.ask(put(shared, &self.coherence, key, entry, change, ttl)).await?,
            None => far.ask(far.tier.set(key, entry.clone(), ttl)).await.map(|()| None)?,
        };
        owed.delivered();
        Some(written)
    }
}

async fn put(
    shared: &dyn SharedTier,
    coherence: &Coherence,
    key: &Key,
    entry: &Entry,
    change: &Change,
    ttl: std::time::Duration,
) -> Result<Option<Position>, crate::error::TierError> {
    let record = Record { node: coherence.node, change: change.clone() };
    let appended = shared.put(key, entry.clone(), ttl, &record).await?;
    coherence.void_before(change, appended.position);
    Ok(Some(appended.position))
}
