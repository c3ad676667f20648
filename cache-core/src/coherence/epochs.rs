//! The fenced fill of near tiers.
//!
//! A reader takes a [`Ticket`] before it asks a far tier or the loader. What it brings back goes into the near tier only if
//! nothing has voided it in between, and the check and the insertion are one step, under the lock of the key's stripe.
//! Removals take the same lock. The hit path takes none.
//!
//! Two things void a fill: an invalidation of this node, which moves the stripe's epoch before anyone else knows of it;
//! and a journal record that is applied while the reader is under way, which voids what was born before its position. A
//! record that was applied before the reader began had run on the shared tier by then, so nothing that it voided is left
//! there to read.

use crate::clock::Timestamp;
use crate::coherence::Position;
use crate::coherence::rules::RuleMark;
use crate::entry::Entry;
use crate::key::Key;
use crate::striped::Striped;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Keys that share a stripe void each other's fills now and then, which costs a far read: at 1,000 invalidations a second
/// and loads of 50 ms, 1,024 stripes void one fill in twenty for no reason.
const STRIPES: usize = 1_024;

pub(crate) struct Epochs {
    stripes: Striped<Mutex<Stripe>>,
}

#[derive(Default)]
struct Stripe {
    epoch: u64,
    voided_before: Position,
    /// The keys of writes of the source that are under way in this node, each as often as there are writes.
    writes: Vec<Key>,
    /// Until when a write of the source may be under way elsewhere, or in a caller that has gone away.
    fenced_until: Timestamp,
}

/// What a reader must show to insert what it read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    stripe: usize,
    epoch: u64,
    /// What was void already when the reader began cannot be what it brings back.
    voided_before: Position,
    /// A write of the source to this key is under way in this node.
    pub(crate) writing: bool,
    /// The source may be changing: what is loaded now may be stored only under a lease.
    pub(crate) fenced: bool,
    pub(crate) rules: RuleMark,
    /// The last record that had been applied: the birth of what is read and says nothing of its own.
    pub(crate) applied: Position,
}

/// Why a value is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// It was read or loaded.
    Fill,
    /// It was set here. What others have read and not inserted yet is older, so nothing under way may go over it.
    Set,
}

impl Ticket {
    /// The birth of what was read with it.
    pub(crate) fn birth_of(self, entry: &Entry) -> Position {
        if entry.birth == Position::UNKNOWN { self.applied } else { entry.birth }
    }
}

impl Epochs {
    pub(crate) fn new() -> Self {
        Self { stripes: Striped::new(STRIPES) }
    }

    /// Notes the epoch of `key`: to be called before the value is read anywhere.
    pub(crate) fn note(&self, key: &str, rules: RuleMark, now: Timestamp) -> Ticket {
        let index = self.stripes.index_of(key);
        self.lock(index).ticket(index, key, rules, now)
    }

    /// Whether a value born at `birth` and read with `ticket` is still good.
    pub(crate) fn holds(&self, ticket: Ticket, birth: Position) -> bool {
        self.lock(ticket.stripe).admits(ticket, birth)
    }

    /// Runs `insert` if a value born at `birth` and read with `ticket` is still good, and tells whether it was.
    /// `insert` runs under the stripe's lock, so it must not wait.
    pub(crate) fn insert_if_good(
        &self,
        ticket: Ticket,
        birth: Position,
        insertion: Insertion,
        insert: impl FnOnce(),
    ) -> bool {
        let mut stripe = self.lock(ticket.stripe);
        let good = stripe.admits(ticket, birth);
        if good {
            stripe.epoch += u64::from(insertion == Insertion::Set);
            insert();
        }
        drop(stripe);
        good
    }

    /// Voids every fill of `key` that is under way, then runs `remove` under the lock. The new ticket is good for a value
    /// that is made from now on.
    pub(crate) fn void<R>(
        &self,
        key: &str,
        rules: RuleMark,
        now: Timestamp,
        remove: impl FnOnce() -> R,
    ) -> (Ticket, R) {
        let index = self.stripes.index_of(key);
        let mut stripe = self.lock(index);
        (stripe.void(index, key, rules, now), remove())
    }

    /// As [`Epochs::void`], unless under the lock it turns out that what is there `stands`.
    pub(crate) fn void_unless<R>(
        &self,
        key: &str,
        rules: RuleMark,
        now: Timestamp,
        stands: impl FnOnce() -> bool,
        remove: impl FnOnce() -> R,
    ) -> Option<(Ticket, R)> {
        let index = self.stripes.index_of(key);
        let mut stripe = self.lock(index);
        (!stands()).then(|| (stripe.void(index, key, rules, now), remove()))
    }

    /// Runs `insert` if a value born at `birth`, which was sent by another node, is younger than all that voids it, and no
    /// change of this node has come since `ticket`.
    pub(crate) fn insert_if_newest(&self, ticket: Ticket, birth: Position, insert: impl FnOnce()) {
        let stripe = self.lock(ticket.stripe);
        if stripe.epoch == ticket.epoch && stripe.voided_before <= birth {
            insert();
        }
    }

    /// Runs `call` while nothing of `key` is inserted or removed.
    pub(crate) fn locked<R>(&self, key: &str, call: impl FnOnce() -> R) -> R {
        let _stripe = self.lock(self.stripes.index_of(key));
        call()
    }

    /// A write of the source to `key` begins in this node.
    pub(crate) fn begin_write(&self, key: &Key) {
        self.lock(self.stripes.index_of(key.as_str())).writes.push(key.clone());
    }

    /// How many writes of the source to `key` are under way in this node.
    pub(crate) fn writes(&self, key: &str) -> usize {
        self.lock(self.stripes.index_of(key)).writes_of(key)
    }

    /// A write that began in this node has ended. It may still take effect before `until`.
    pub(crate) fn end_write(&self, key: &Key, until: Timestamp) {
        let mut stripe = self.lock(self.stripes.index_of(key.as_str()));
        if let Some(at) = stripe.writes.iter().position(|written| written == key) {
            stripe.writes.swap_remove(at);
        }
        stripe.fenced_until = stripe.fenced_until.max(until);
    }

    /// A write of the source to `key` may be under way elsewhere before `until`.
    pub(crate) fn fence(&self, key: &str, until: Timestamp) {
        let mut stripe = self.lock(self.stripes.index_of(key));
        stripe.fenced_until = stripe.fenced_until.max(until);
    }

    /// Voids every fill of `key` born before `position`, then runs `remove` under the lock.
    pub(crate) fn void_before<R>(&self, key: &str, position: Position, remove: impl FnOnce() -> R) -> R {
        let mut stripe = self.lock(self.stripes.index_of(key));
        stripe.voided_before = stripe.voided_before.max(position);
        remove()
    }

    /// Voids every fill under way, of any key.
    pub(crate) fn void_all(&self) {
        self.for_each(|stripe| stripe.epoch += 1);
    }

    /// Voids every fill born before `position`, of any key.
    pub(crate) fn void_all_before(&self, position: Position) {
        self.for_each(|stripe| stripe.voided_before = stripe.voided_before.max(position));
    }

    /// Voids every fill under way and forgets all positions: those of a new journal may be lower.
    pub(crate) fn restart(&self) {
        self.for_each(|stripe| {
            stripe.epoch += 1;
            stripe.voided_before = Position::START;
        });
    }

    fn for_each(&self, mut change: impl FnMut(&mut Stripe)) {
        self.stripes.iter().for_each(|stripe| change(&mut lock(stripe)));
    }

    fn lock(&self, stripe: usize) -> MutexGuard<'_, Stripe> {
        lock(self.stripes.at(stripe))
    }
}

fn lock(stripe: &Mutex<Stripe>) -> MutexGuard<'_, Stripe> {
    // A panic under the lock leaves the counters whole: each is written at once.
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stripe {
    fn writes_of(&self, key: &str) -> usize {
        self.writes.iter().filter(|written| written.as_str() == key).count()
    }

    /// Voids every fill under way. The ticket is good for what is made from now on.
    fn void(&mut self, index: usize, key: &str, rules: RuleMark, now: Timestamp) -> Ticket {
        self.epoch += 1;
        self.ticket(index, key, rules, now)
    }

    fn ticket(&self, index: usize, key: &str, rules: RuleMark, now: Timestamp) -> Ticket {
        let writing = self.writes_of(key) > 0;
        Ticket {
            stripe: index,
            epoch: self.epoch,
            voided_before: self.voided_before,
            writing,
            fenced: writing || now < self.fenced_until,
            rules,
            applied: Position::START,
        }
    }

    fn admits(&self, ticket: Ticket, birth: Position) -> bool {
        self.epoch == ticket.epoch && (self.voided_before == ticket.voided_before || self.voided_before <= birth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: RuleMark = RuleMark::NONE;
    const NOW: Timestamp = Timestamp::from_millis(100);
    const EARLY: Position = Position::new(1, 0);
    const LATE: Position = Position::new(2, 0);

    #[test]
    fn a_fill_is_good_until_its_key_is_voided() {
        let epochs = Epochs::new();
        let ticket = epochs.note("k", RULES, NOW);
        assert!(epochs.insert_if_good(ticket, EARLY, Insertion::Fill, || {}));
        let (fresh, ()) = epochs.void("k", RULES, NOW, || {});
        assert!(!epochs.insert_if_good(ticket, EARLY, Insertion::Fill, || panic!("a voided fill was inserted")));
        assert!(epochs.insert_if_good(fresh, EARLY, Insertion::Fill, || {}));
    }

    #[test]
    fn what_was_read_before_a_set_does_not_go_over_it() {
        let epochs = Epochs::new();
        let (set, ()) = epochs.void("k", RULES, NOW, || {});
        let reader = epochs.note("k", RULES, NOW);
        assert!(epochs.insert_if_good(set, EARLY, Insertion::Set, || {}));
        assert!(!epochs.insert_if_good(reader, EARLY, Insertion::Fill, || panic!("an older value went over a set")));
    }

    #[test]
    fn a_record_voids_only_what_was_born_before_it() {
        let epochs = Epochs::new();
        let ticket = epochs.note("k", RULES, NOW);
        epochs.void_before("k", LATE, || {});
        assert!(!epochs.holds(ticket, EARLY));
        assert!(epochs.holds(ticket, LATE));
        epochs.void_before("k", EARLY, || {});
        assert!(!epochs.holds(ticket, EARLY), "an older record takes nothing back");
    }

    #[test]
    fn a_record_applied_before_the_reader_began_voids_nothing_that_it_brings() {
        let epochs = Epochs::new();
        epochs.void_before("k", LATE, || {});
        assert!(
            epochs.holds(epochs.note("k", RULES, NOW), EARLY),
            "an entry older than another key's record, read after it"
        );
    }

    #[test]
    fn voiding_all_reaches_every_key() {
        let epochs = Epochs::new();
        let tickets: Vec<Ticket> = (0..100).map(|n| epochs.note(&format!("k{n}"), RULES, NOW)).collect();
        epochs.void_all_before(LATE);
        assert!(tickets.iter().all(|ticket| !epochs.holds(*ticket, EARLY) && epochs.holds(*ticket, LATE)));
        epochs.void_all();
        assert!(tickets.iter().all(|ticket| !epochs.holds(*ticket, LATE)));
    }

    #[test]
    fn a_restart_voids_what_is_under_way_and_accepts_lower_positions() {
        let epochs = Epochs::new();
        epochs.void_all_before(LATE);
        let before = epochs.note("k", RULES, NOW);
        epochs.restart();
        assert!(!epochs.holds(before, LATE), "it was under way");
        assert!(epochs.holds(epochs.note("k", RULES, NOW), EARLY));
    }

    #[test]
    fn what_is_read_while_the_source_may_change_is_marked() {
        let epochs = Epochs::new();
        let fenced = |now| epochs.note("k", RULES, now).fenced;
        let key = Key::new("k").unwrap();
        assert!(!fenced(NOW));
        epochs.begin_write(&key);
        epochs.begin_write(&key);
        epochs.end_write(&key, Timestamp::ZERO);
        assert!(fenced(NOW), "another write is under way");
        epochs.end_write(&key, NOW);
        assert!(!fenced(NOW));
        epochs.fence("k", Timestamp::from_millis(101));
        epochs.fence("k", NOW);
        assert!(fenced(NOW) && !fenced(Timestamp::from_millis(101)));
    }

    #[test]
    fn what_another_node_sent_is_inserted_only_where_nothing_younger_voids_it() {
        let epochs = Epochs::new();
        let inserted = |ticket, birth| {
            let mut inserted = false;
            epochs.insert_if_newest(ticket, birth, || inserted = true);
            inserted
        };
        epochs.void_before("k", LATE, || {});
        let ticket = epochs.note("k", RULES, NOW);
        assert!(!inserted(ticket, EARLY) && inserted(ticket, LATE));
        let (since, ()) = epochs.void("k", RULES, NOW, || {});
        assert!(!inserted(ticket, LATE) && inserted(since, LATE), "nobody knows which of the two came last");
    }
}
