//! What one node does about a change, made here or heard of.

use std::any::TypeId;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::coherence::epochs::Epochs;
use crate::coherence::listener::Debts;
use crate::coherence::recent::Recent;
use crate::coherence::rules::Rules;
use crate::coherence::sweeps::{Older, Sweep, Sweeps};
use crate::coherence::trust::{Timings, Trust};
use crate::coherence::waiters::Waiters;
use crate::coherence::{Beat, Change, JournalPage, NodeId, Position, Record, RuleSet, Ticket};
use crate::event::{Event, Events};
use crate::flight::{Birth, Flights, Kind, Role};
use crate::key::Key;
use crate::selection::Access;
use crate::stats::Counters;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};
use crate::tier::{Appended, NearTier};

/// The state of the coherence protocol in one node.
pub(crate) struct Coherence {
    pub(crate) node: NodeId,
    pub(crate) epochs: Epochs,
    pub(crate) flights: Arc<Flights>,
    pub(crate) rules: Rules,
    pub(super) sweeps: Sweeps,
    pub(crate) waiters: Waiters,
    pub(super) near: Option<Arc<dyn NearTier>>,
    /// The tiers between the near and the shared one, which hear of changes from nobody else.
    between: Vec<Arc<dyn Debts>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) events: Arc<Events>,
    pub(crate) trust: Trust,
    pub(crate) recent: Recent,
    /// Whether a record was applied that is to be acknowledged.
    asked: AtomicBool,
    /// Whether the journal is known to lack records that were there.
    lost: AtomicBool,
    /// How many comebacks of removed entries have been dealt with.
    comebacks: AtomicU64,
    journal: Mutex<JournalState>,
}

#[derive(Default)]
struct JournalState {
    /// The latest record applied in order; `None` before the journal was first read.
    applied: Option<Position>,
    /// The latest record that this node knows to exist.
    known: Position,
    /// Where the journal was last taken up anew.
    renewed: Position,
}

/// No flight is overdue before this.
const FLIGHT: Duration = Duration::from_secs(10);

/// Why a node is isolated that knows of records which the journal lacks.
const LOST: &str = "the journal has lost records";

/// What was void in the near tier when a change was made.
pub(crate) enum Voided {
    /// So many entries, which are gone.
    Removed(u64),
    /// Entries that are yet to be freed: see [`Coherence::sweep`].
    Listed(Arc<Sweep>),
}

impl Coherence {
    pub(crate) fn new(
        near: Option<Arc<dyn NearTier>>,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
        timings: Timings,
        has_bus: bool,
    ) -> Self {
        Self {
            node: NodeId::random(),
            epochs: Epochs::new(),
            flights: Arc::new(Flights::new()),
            rules: Rules::new(timings.lifetime),
            sweeps: Sweeps::new(),
            waiters: Waiters::new(),
            near,
            between: Vec::new(),
            trust: Trust::new(timings, has_bus, clock.now()),
            clock,
            counters,
            events: Arc::default(),
            recent: Recent::default(),
            asked: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            comebacks: AtomicU64::new(0),
            journal: Mutex::default(),
        }
    }

    pub(crate) fn with_events(self, events: Arc<Events>) -> Self {
        Self { events, ..self }
    }

    pub(crate) fn with_between(self, between: Vec<Arc<dyn Debts>>) -> Self {
        Self { between, ..self }
    }

    /// The latest journal position that this node knows of: the birth of a value whose load begins now.
    pub(crate) fn known(&self) -> Position {
        self.lock().known
    }

    /// Takes note that the journal has reached `position`.
    pub(crate) fn learn(&self, position: Position) {
        let mut journal = self.lock();
        journal.known = journal.known.max(position);
    }

    /// A change of this node was appended. False when that was to a journal which is gone by now: the tier may have lost
    /// the change with it.
    pub(crate) fn acknowledged(&self, change: &Change, appended: &Appended) -> bool {
        let Appended { previous, position, .. } = *appended;
        let (applied, renewed) = {
            let journal = self.lock();
            (journal.applied.unwrap_or(Position::START), journal.renewed)
        };
        let agrees = self.recent.agrees_with(position, change);
        // It should have been met on the way to what was applied.
        let passed_over = renewed < position && position <= applied && self.recent.misses(position);
        let lost = passed_over || !agrees || !self.recent.allows(previous, position);
        self.void_before(change, position);
        if lost {
            self.lose();
        }
        // Again: a journal that was taken up meanwhile may have forgotten the change before it was remembered.
        agrees && position > self.lock().renewed
    }

    /// Whether the record of this node that was acknowledged at `position` is in the journal of now, as far as this node knows: one
    /// that was taken up anew since may lack it.
    pub(crate) fn has_record(&self, position: Position) -> bool {
        position > self.lock().renewed
    }

    /// The journal lacks records that this node knows of: what is read from the shared tier may be void, until the listener
    /// has taken it up anew.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.isolate(LOST);
    }

    /// Whether records were found to be missing.
    pub(crate) fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Whether `comebacks` are more than were dealt with so far. They count as dealt with from now on.
    pub(crate) fn is_news(&self, comebacks: u64) -> bool {
        self.comebacks.fetch_max(comebacks, Ordering::AcqRel) < comebacks
    }

    /// Whether a record was applied since the last call that is to be acknowledged.
    pub(crate) fn take_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire) && self.asked.swap(false, Ordering::AcqRel)
    }

    /// What this node says of itself.
    pub(crate) fn beat(&self) -> Beat {
        let Timings { isolated_ttl, .. } = *self.trust.timings();
        let trusted = self.trust.timings().staleness_bound();
        // A hundredth more than this node counts itself, for clocks that do not run at the same speed.
        let counted = |time: Duration| time.saturating_add(time / 100);
        let (trusted, alone) = (counted(trusted), counted(isolated_ttl));
        Beat { node: self.node, applied: self.applied().unwrap_or(Position::START), trusted, alone }
    }

    pub(crate) fn applied(&self) -> Option<Position> {
        self.lock().applied
    }

    /// A change that this node makes, before anyone else knows of it, and again when nobody could be told. It takes effect at
    /// once; what it lists is freed by whoever calls [`Coherence::sweep`] next.
    pub(crate) fn void(&self, change: &Change) -> Voided {
        match change {
            Change::Keys(keys) | Change::Fence(keys, _) => {
                Voided::Removed(keys.iter().map(|key| u64::from(self.void_key(key.as_str()).1)).sum())
            }
            Change::Pattern(_) | Change::Clear => {
                let listed = self.void_listed(change);
                // Last: a flight that begins before may find what is about to be void.
                self.flights.detach_matching(|key| change.may_cover(key), None);
                listed.map_or(Voided::Removed(0), Voided::Listed)
            }
            // Near entries that have the tags are void from here on; they are freed as they are met.
            Change::Tags(tags) => {
                self.rules.move_tags(tags);
                self.flights.detach_matching(|_| true, None);
                Voided::Removed(0)
            }
            Change::Begin => Voided::Removed(0),
        }
    }

    /// Voids what `change` covers in the near tier, and what is on its way there.
    fn void_listed(&self, change: &Change) -> Option<Arc<Sweep>> {
        self.epochs.void_all();
        let listed = self.list(change, || Older::Than(self.rules.advance()));
        // Again: what was found in the near tier in between may be void.
        self.epochs.void_all();
        listed
    }

    /// Voids `key` in this node. The ticket is good for a value that is made from now on.
    pub(crate) fn void_key(&self, key: &str) -> (Ticket, bool) {
        let remove = || self.near.as_ref().is_some_and(|near| near.remove(key));
        let voided = self.epochs.void(key, self.rules.mark(), self.clock.now(), remove);
        self.flights.detach(key, None);
        voided
    }

    /// Voids `key` in this node for a value of `version`. Nothing is void, and there is no ticket, if the near tier has a newer one.
    pub(crate) fn void_older(&self, key: &str, version: Option<u64>) -> Option<Ticket> {
        let now = self.clock.now();
        let has_newer = || {
            let there = self.look_up(key).filter(|entry| self.may_serve(entry, now));
            version < there.and_then(|entry| entry.version)
        };
        let stands = || version.is_some() && has_newer();
        let remove = || self.near.as_ref().is_some_and(|near| near.remove(key));
        let (ticket, _) = self.epochs.void_unless(key, self.rules.mark(), now, stands, remove)?;
        self.flights.detach(key, None);
        Some(ticket)
    }

    /// What the near tier has of `key`, or is about to get, may not be what the shared tier has. Flights go on: their fills
    /// are fenced there, and writes of this node itself, such as that of a lease, must not keep callers from joining them.
    fn void_near(&self, key: &str) {
        let remove = || self.near.as_ref().is_some_and(|near| near.remove(key));
        let (_, removed) = self.epochs.void(key, self.rules.mark(), self.clock.now(), remove);
        if removed {
            self.counters.foreign_invalidations.increment();
        }
    }

    /// Somebody else has written these keys in the shared tier.
    pub(crate) fn void_touched(&self, keys: Vec<Key>) {
        let keys: Arc<[Key]> = keys.into();
        let void = || keys.iter().for_each(|key| self.void_near(key.as_str()));
        self.void_between(&Change::Keys(Arc::clone(&keys)), void);
    }

    /// As [`Coherence::void_touched`], for every key.
    pub(crate) fn void_all_touched(&self) {
        self.void_between(&Change::Clear, || drop(self.void_listed(&Change::Clear)));
        self.counters.foreign_invalidations.increment();
    }

    /// A change that stands in the journal at `position`: voids what was born before it.
    pub(crate) fn void_before(&self, change: &Change, position: Position) {
        self.learn(position);
        self.recent.add(position, change);
        match change {
            Change::Keys(keys) => self.void_keys_before(keys, position),
            Change::Fence(keys, hold) => {
                let until = self.clock.now() + *hold;
                keys.iter().for_each(|key| self.epochs.fence(key.as_str(), until));
                // Whatever its birth: another position may be known here although this one had yet to be applied.
                for key in keys.iter() {
                    self.void_key(key.as_str());
                }
                self.void_keys_before(keys, position);
            }
            Change::Pattern(pattern) => {
                self.rules.add_pattern(position, pattern);
                self.void_matching_before(change, position);
            }
            Change::Clear => {
                self.rules.add_clear(position);
                self.void_matching_before(change, position);
            }
            Change::Tags(tags) => {
                self.rules.add_tags(position, tags);
                self.flights.detach_matching(|_| true, Some(position));
            }
            Change::Begin => {}
        }
    }

    fn void_keys_before(&self, keys: &[Key], position: Position) {
        for key in keys {
            let key = key.as_str();
            self.epochs.void_before(key, position, || self.remove_older(key, position));
            self.flights.detach(key, Some(position));
        }
    }

    fn void_matching_before(&self, change: &Change, position: Position) {
        self.epochs.void_all_before(position);
        self.list(change, || Older::Born(position));
        self.flights.detach_matching(|key| change.may_cover(key), Some(position));
    }

    fn remove_older(&self, key: &str, position: Position) {
        if let Some(near) = &self.near
            && near.has(key, |entry| entry.birth < position)
        {
            near.remove(key);
        }
    }

    /// Applies the next record of the journal.
    pub(crate) fn apply(&self, position: Position, record: Option<&Record>) {
        if record.is_some_and(|record| record.acknowledge) {
            self.asked.store(true, Ordering::Release);
        }
        match record {
            Some(record) if record.node == self.node => match &record.change {
                // This node knows of its own writes, and when they end.
                Change::Fence(keys, _) => self.void_before(&Change::Keys(Arc::clone(keys)), position),
                change => self.void_before(change, position),
            },
            Some(Record { change, .. }) => {
                self.void_between(change, || self.void_before(change, position));
                self.counters.invalidations_received.increment();
            }
            // What it said is unknown, so it may have voided anything.
            None => self.void_between(&Change::Clear, || self.void_before(&Change::Clear, position)),
        }
        let mut journal = self.lock();
        journal.applied = journal.applied.max(Some(position));
    }

    /// Runs `void`, which voids what `change` of somebody else covers in this node, and has the tiers between the near and the shared
    /// one hear of it: before, so that nobody reads the old value there who comes after the near tier was voided, and after, because
    /// until then a reader may put it back there. They are not read until they have.
    fn void_between(&self, change: &Change, void: impl FnOnce()) {
        let tell = || self.between.iter().for_each(|tier| tier.pass_on(change, self));
        tell();
        void();
        tell();
    }

    /// Applies a page of the journal that was asked for from `from` on, the last record that was applied, itself included.
    /// False when the page does not go on from there: it does not reach back so far, or has lost what this node knows.
    pub(crate) fn replay(&self, from: Position, page: &JournalPage) -> bool {
        let mut records = page.records.iter().map(|(position, record)| (*position, record.as_ref()));
        let goes_on = match records.next() {
            Some((first, record)) => first == from && self.recent.agrees(first, record),
            None => from == Position::START,
        };
        let mut last = from;
        goes_on
            && records.all(|(position, record)| {
                let allowed = self.recent.allows(last, position) && self.recent.agrees(position, record);
                if allowed {
                    self.apply(position, record);
                    last = position;
                }
                allowed
            })
    }

    /// Takes up the journal at `last`, with the rules that hold there. What this node holds was stored without hearing of
    /// every invalidation, so it is void. Gives the changes that have come since the journal was looked through: whoever
    /// acknowledged them may not have been the one whose journal this is, and the rules may be older.
    #[must_use = "these changes are to be carried again"]
    pub(crate) fn begin(&self, last: Position, rules: RuleSet) -> Vec<Change> {
        let mut journal = self.lock();
        let goes_on = journal.applied.is_some();
        let renewed = if goes_on { last } else { Position::START };
        *journal = JournalState { applied: Some(last), known: last, renewed };
        drop(journal);
        let mut since = Vec::new();
        let restart = || {
            self.rules.restart(rules);
            // After the rules: a change is remembered before it becomes a rule, so one whose rule was replaced just now is given.
            since = self.recent.restart(last);
            self.lost.store(false, Ordering::Release);
            self.epochs.restart();
            if self.near.is_some() {
                self.sweeps.restart(self.rules.advance());
            }
            self.flights.detach_matching(|_| true, None);
        };
        if goes_on {
            self.void_between(&Change::Clear, restart)
        } else {
            restart()
        }
        since
    }

    /// Everything up to `at` has been heard, and the bus is well. Not while the journal is known to lack records: that has yet to
    /// be dealt with.
    pub(crate) fn confirm(&self, at: Timestamp) {
        if self.has_lost() {
            return;
        }
        if self.trust.confirm(at) {
            self.events.emit(Event::BusConnected);
        }
        // A caller that has found it out meanwhile may have isolated this node before.
        if self.has_lost() {
            self.isolate(LOST);
        }
    }

    /// This node may miss invalidations from now on.
    pub(crate) fn isolate(&self, reason: &str) {
        if self.trust.isolate() {
            self.events.emit(Event::BusIsolated { reason: reason.into() });
        }
    }

    /// Joins the flight of `key`, or starts one, whose load may take as long as `limit`, and the wait for the right to it as long again.
    pub(crate) fn join(&self, key: &Key, types: TypeId, access: Access, limit: Duration) -> Role {
        let at = self.clock.now();
        // The calls of tiers before and after are short beside that.
        let overdue = at + limit.saturating_mul(3).max(FLIGHT);
        let birth = Birth { applied: self.applied().unwrap_or(Position::START), at, overdue };
        // A flight gives what was current when it began, so the bound on near entries holds for it as well.
        self.flights.join(key, Kind { types, access }, birth, self.trust.oldest(at))
    }

    /// To be noted before the value of `key` is read anywhere.
    pub(crate) fn note(&self, key: &str) -> Ticket {
        let applied = self.applied().unwrap_or(Position::START);
        let mut ticket = self.epochs.note(key, self.rules.mark(), self.clock.now());
        ticket.applied = applied;
        ticket
    }

    fn lock(&self) -> MutexGuard<'_, JournalState> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
