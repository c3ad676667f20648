//! Writes and invalidations.

use std::sync::Arc;

use super::read::Wanted;
use super::{Inner, Plan};
use crate::coherence::{Change, Coherence, Insertion, Position, Record, Sweep, Ticket, Voided};
use crate::entry::{Entry, Token, Value};
use crate::erased::{AnyValue, ValueType};
use crate::error::TierError;
use crate::far::{Far, Manner, Owed, acknowledge_in};
use crate::key::Key;
use crate::pattern::Pattern;
use crate::selection::Tier;
use crate::status::{Delivery, Receipt};
use crate::tags::Tags;
use crate::tier::{Put, PutOutcome, SharedTier};

use super::store::{Encoded, Origin};

impl Inner {
    pub(super) async fn invalidate_keys(&self, keys: &[impl AsRef<str>]) -> Receipt {
        let valid = self.valid_keys(keys);
        if valid.is_empty() {
            return Receipt::new(self.delivery(false));
        }
        self.invalidate(Change::Keys(valid.into()), Manner::default()).await.0
    }

    /// The valid ones of `keys`, each once.
    pub(super) fn valid_keys(&self, keys: &[impl AsRef<str>]) -> Vec<Key> {
        let mut valid = Vec::with_capacity(keys.len());
        for key in keys {
            match Key::new(key) {
                Ok(key) => valid.push(key),
                Err(_) => self.note_invalid_key(key.as_ref()),
            }
        }
        valid.sort_unstable();
        valid.dedup();
        valid
    }

    pub(super) async fn invalidate_pattern(&self, pattern: Pattern) -> Receipt {
        self.invalidate(Change::Pattern(pattern), Manner::default()).await.0
    }

    pub(super) async fn invalidate_tags(&self, tags: Tags) -> Receipt {
        if tags == Tags::NONE {
            return Receipt::new(self.delivery(false));
        }
        self.invalidate(Change::Tags(tags), Manner::default()).await.0
    }

    pub(super) async fn clear(&self) -> Receipt {
        self.invalidate(Change::Clear, Manner::default()).await.0
    }

    /// Voids what `change` covers: here at once, then in the far tiers, deepest first, so that nothing old is left below
    /// for a nearer tier to copy. Also tells where it stands in the journal.
    pub(super) async fn invalidate(&self, change: Change, manner: Manner) -> (Receipt, Option<Position>) {
        self.start(None);
        self.counters.invalidations_sent.increment();
        let voided = self.coherence.void(&change);
        let again = VoidAgain::new(&self.coherence, &change);
        let (mut removed, queued, position) = self.carry(&change, manner).await;
        // A reader may have put back what a tier in between held still, or one that could not be told.
        let again = if queued || self.far.iter().any(|far| far.shared().is_none()) {
            Some(again)
        } else {
            again.spare();
            None
        };
        removed = removed.max(match voided {
            Voided::Removed(removed) => removed,
            // The far tiers have told how many there were. What is void here already is freed in the background.
            Voided::Listed(_) if !queued && !self.far.is_empty() && !self.tasks.is_closed() => 0,
            Voided::Listed(sweep) => self.free(&sweep).await,
        });
        drop(again);
        (Receipt { removed, ..Receipt::new(self.delivery(queued)) }, position)
    }

    /// Tells the far tiers: how many entries are gone there, whether one could not be told, and where the record stands.
    async fn carry(&self, change: &Change, manner: Manner) -> (u64, bool, Option<Position>) {
        let (mut removed, mut queued, mut position) = (0, false, None);
        let mut owed = self.owed(change);
        while let Some((_, owed)) = owed.pop() {
            match owed.deliver(manner).await {
                Ok(carried) => {
                    removed = removed.max(carried.removed);
                    position = position.max(carried.position);
                }
                Err(_) => queued = true,
            }
        }
        (removed, queued, position)
    }

    /// The far tiers, nearest first, each with what it is owed, also by a caller that goes away while another is told.
    fn owed<'a>(&'a self, change: &'a Change) -> Vec<(&'a Far, Owed<'a>)> {
        self.far.iter().map(|far| (&**far, Owed::new(far, &self.coherence, change))).collect()
    }

    /// Frees what was void in the near tier, and tells how many entries there were.
    async fn free(&self, sweep: &Sweep) -> u64 {
        if tokio::runtime::Handle::try_current().is_ok() {
            self.coherence.sweep_beside().await;
        } else {
            // Without far tiers the service runs without a runtime as well.
            self.coherence.sweep();
        }
        sweep.removed()
    }

    pub(super) fn delivery(&self, queued: bool) -> Delivery {
        match (queued, self.shared()) {
            (true, _) => Delivery::Queued,
            (false, Some(_)) => Delivery::Done,
            (false, None) => Delivery::Local,
        }
    }

    pub(super) async fn set(&self, key: &str, value: AnyValue, plan: &Plan, of: &'static ValueType) -> Receipt {
        let life = plan.policy.draw_life(Some(None), self.max_ttl);
        let delivery = |queued| if plan.local_only { Delivery::Local } else { self.delivery(queued) };
        let Ok(key) = Key::new(key) else {
            self.note_invalid_key(key);
            return Receipt::new(delivery(false));
        };
        self.start(None);
        let Some(ticket) = self.coherence.void_older(key.as_str(), plan.version) else {
            return Receipt::new(delivery(false));
        };
        self.counters.invalidations_sent.increment();
        self.throttles.forget(&key);
        let change = Change::Keys([key.clone()].into());
        let origin = Origin { ticket, birth: self.coherence.known(), began: self.clock.now() };
        let wanted = Wanted { key: &key, plan, of };
        let near_value = Value::Typed(Arc::clone(&value));
        let mut entry = self.entry_of(plan, origin, Token::random(), near_value, life);

        // Of fences that others have put up the shared tier knows best: here they count until they would have lapsed.
        let (mut queued, mut refused, mut fenced) = (false, ticket.writing, ticket.fenced);
        let (mut kept_far, mut kept_shared) = (false, false);
        let into_far = !plan.local_only && !self.far.is_empty();
        if !life.is_none() && (into_far || plan.policy.is_bounded()) {
            match self.encode(wanted, Some(&value)) {
                Encoded::As(encoded) if into_far => entry = entry.sized_as(encoded),
                Encoded::As(_) | Encoded::Not => {}
                Encoded::TooLarge => refused = true,
            }
        }
        let again = VoidAgain::new(&self.coherence, &change);
        if !plan.local_only {
            let mut tiers = self.owed(&change);
            while let Some((far, owed)) = tiers.pop() {
                let depth = tiers.len();
                let keeps = plan.access.writes(Tier::far_at(depth));
                match self.set_far(far, &key, keeps.then_some(&entry), &change, plan, ticket).await {
                    Written::Stored(position) => {
                        entry.birth = entry.birth.max(position);
                        fenced &= far.shared().is_none();
                        kept_shared |= far.shared().is_some();
                        kept_far = true;
                    }
                    Written::Removed(position) => entry.birth = entry.birth.max(position),
                    Written::Refused => refused = true,
                    Written::Queued => {
                        queued = true;
                        // Nobody compared versions, and a newer one may be there.
                        refused |= plan.version.is_some() && far.shared().is_some();
                    }
                }
                owed.delivered();
            }
        }
        // A load that began before the value was written must not be shared with callers that come after.
        self.coherence.flights.detach(key.as_str(), None);
        let near_ttl = plan.near_ttl(life.total());
        let accepted = !refused && !fenced;
        let inserted = accepted && self.insert_near(wanted, &entry, Some(value), ticket, near_ttl, Insertion::Set);
        if inserted && !near_ttl.is_zero() {
            again.spare();
        }
        let kept = kept_far || self.near.is_some() && !near_ttl.is_zero();
        // The near tier also takes nothing where another key of the stripe has moved: then what the shared tier says counts.
        let stored = accepted && !life.is_none() && (kept_shared || inserted && kept);
        Receipt { stored, ..Receipt::new(delivery(queued)) }
    }

    /// Writes a value to a far tier. Without bytes, and where the write fails, the old value is removed instead.
    async fn set_far(
        &self,
        far: &Far,
        key: &Key,
        kept: Option<&Entry>,
        change: &Change,
        plan: &Plan,
        ticket: Ticket,
    ) -> Written {
        let keeps_versions = far.shared().is_some_and(|shared| shared.keeps_births());
        let comparable = |entry: &&Entry| entry.version.is_none() || keeps_versions;
        let storable = |entry: &&Entry| matches!(entry.value, Value::Encoded { .. }) && far.is_ready();
        let kept = kept.filter(comparable).filter(storable);
        let Some(entry) = kept else {
            return match far.invalidate(change, Manner::default(), &self.coherence).await {
                // Nobody compared versions, and a newer one may have been there.
                Ok(_) if plan.version.is_some() && far.shared().is_some() => Written::Refused,
                Ok(carried) => Written::Removed(carried.position.unwrap_or(Position::START)),
                Err(_) => Written::Queued,
            };
        };
        let owed = Owed::in_place_of_write(far, &self.coherence, change);
        let ttl = entry.expires.since(self.clock.now());
        let written = match far.shared() {
            Some(shared) => {
                let mut put = Put::new(entry.clone(), ttl, far.timeout());
                put.replicate = (plan.replicate && entry.size <= self.replica_max_bytes).then(|| plan.near_ttl(ttl));
                far.try_ask(put_with_record(shared, &self.coherence, key, put, change)).await
            }
            None => far.try_ask(far.tier.set(key, entry.clone(), ttl)).await.map(|()| Written::Stored(Position::START)),
        };
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                owed.failed(&error);
                return Written::Queued;
            }
        };
        if far.shared().is_some() {
            owed.delivered();
            return written;
        }
        if self.keep_or_remove(key, entry, owed, ticket).await { written } else { Written::Queued }
    }
}

/// Voids a change once more when dropped, also by a caller that goes away half-way. A reader of this node may have put back near
/// what a tier still held, or another write of the key was under way: nobody here knows which of the two came last.
struct VoidAgain<'a> {
    coherence: &'a Coherence,
    change: &'a Change,
    needed: bool,
}

impl<'a> VoidAgain<'a> {
    const fn new(coherence: &'a Coherence, change: &'a Change) -> Self {
        Self { coherence, change, needed: true }
    }

    /// Does not: nobody can have put back anything.
    fn spare(mut self) {
        self.needed = false;
    }
}

impl Drop for VoidAgain<'_> {
    fn drop(&mut self) {
        if self.needed {
            self.coherence.void(self.change);
        }
    }
}

/// What became of a write to a far tier.
enum Written {
    /// It stands; the position is that of its record, where the tier keeps a journal.
    Stored(Position),
    /// It is not to be kept there, and what was there is gone; the position as above.
    Removed(Position),
    /// A newer version is there, or the source is being changed: nothing was stored.
    Refused,
    /// The tier is away. What it holds is owed a removal.
    Queued,
}

async fn put_with_record(
    shared: &dyn SharedTier,
    coherence: &Coherence,
    key: &Key,
    put: Put,
    change: &Change,
) -> Result<Written, TierError> {
    let record = Record::new(coherence.node, change.clone());
    let (appended, stored) = match shared.put(key, put, &record).await? {
        PutOutcome::Stored(appended) => (appended, true),
        PutOutcome::Fenced(appended) => (appended, false),
        PutOutcome::Superseded => return Ok(Written::Refused),
    };
    acknowledge_in(coherence, change, &appended)?;
    Ok(if stored { Written::Stored(appended.position) } else { Written::Refused })
}
