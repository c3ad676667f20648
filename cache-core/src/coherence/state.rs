//! What one node does about a change, made here or heard of.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::coherence::epochs::Epochs;
use crate::coherence::rules::Rules;
use crate::coherence::waiters::Waiters;
use crate::coherence::{Change, JournalPage, NodeId, Position, Record, RuleSet, Ticket};
use crate::entry::Entry;
use crate::flight::Flights;
use crate::stats::Counters;
use crate::status::BusStatus;
use crate::tier::NearTier;

/// Stands in [`Coherence::confirmed`] for a bus that is healthy, or not there at all.
const HEALTHY: u64 = u64::MAX;

/// The state of the coherence protocol in one node.
pub(crate) struct Coherence {
    pub(crate) node: NodeId,
    pub(crate) epochs: Epochs,
    pub(crate) flights: Arc<Flights>,
    pub(crate) rules: Rules,
    pub(crate) waiters: Waiters,
    pub(crate) near: Option<Arc<dyn NearTier>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Arc<Counters>,
    isolated_ttl: Duration,
    has_bus: bool,
    journal: Mutex<JournalState>,
    /// [`HEALTHY`], or until when (in milliseconds) every invalidation is known to have been heard.
    confirmed: AtomicU64,
}

#[derive(Default)]
struct JournalState {
    /// The latest record applied in order; `None` before the journal was first read.
    applied: Option<Position>,
    /// The latest record that this node knows to exist.
    known: Position,
}

impl Coherence {
    pub(crate) fn new(
        near: Option<Arc<dyn NearTier>>,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
        isolated_ttl: Duration,
        has_bus: bool,
    ) -> Self {
        let confirmed = if has_bus { clock.now().as_millis() } else { HEALTHY };
        Self {
            node: NodeId::random(),
            epochs: Epochs::new(),
            flights: Arc::new(Flights::new()),
            rules: Rules::default(),
            waiters: Waiters::new(),
            near,
            clock,
            counters,
            isolated_ttl,
            has_bus,
            journal: Mutex::default(),
            confirmed: AtomicU64::new(confirmed),
        }
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

    pub(crate) fn applied(&self) -> Option<Position> {
        self.lock().applied
    }

    /// A change that this node makes, before anyone else knows of it, and again when nobody could be told.
    pub(crate) fn void(&self, change: &Change) -> u64 {
        match change {
            Change::Keys(keys) => keys.iter().map(|key| u64::from(self.void_key(key.as_str()).1)).sum(),
            Change::Pattern(_) | Change::Clear => {
                self.epochs.void_all();
                self.flights.detach_matching(|key| change.may_cover(key), None);
                self.remove_matching(&|key, _| change.may_cover(key))
            }
            // Near entries that have the tags are void from here on; they are freed as they are met.
            Change::Tags(tags) => {
                self.rules.move_tags(tags);
                self.flights.detach_matching(|_| true, None);
                0
            }
            Change::Begin => 0,
        }
    }

    /// Voids `key` in this node. The ticket is good for a value that is made from now on.
    pub(crate) fn void_key(&self, key: &str) -> (Ticket, bool) {
        let remove = || self.near.as_ref().is_some_and(|near| near.remove(key));
        let voided = self.epochs.void(key, self.rules.sequence(), remove);
        self.flights.detach(key, None);
        voided
    }

    /// A change that stands in the journal at `position`: voids what was born before it.
    pub(crate) fn void_before(&self, change: &Change, position: Position) {
        self.learn(position);
        match change {
            Change::Keys(keys) => {
                for key in keys.iter() {
                    let key = key.as_str();
                    self.epochs.void_before(key, position, || self.remove_older(key, position));
                    self.flights.detach(key, Some(position));
                }
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

    fn void_matching_before(&self, change: &Change, position: Position) {
        self.epochs.void_all_before(position);
        self.flights.detach_matching(|key| change.may_cover(key), Some(position));
        self.remove_matching(&|key, entry| entry.birth < position && change.may_cover(key));
    }

    fn remove_older(&self, key: &str, position: Position) {
        if let Some(near) = &self.near
            && near.look_up(key).is_some_and(|entry| entry.birth < position)
        {
            near.remove(key);
        }
    }

    fn remove_matching(&self, void: &dyn Fn(&str, &Entry) -> bool) -> u64 {
        self.near.as_ref().map_or(0, |near| near.remove_matching(&|key, entry| void(key.as_str(), entry)))
    }

    /// Applies the next record of the journal.
    pub(crate) fn apply(&self, position: Position, record: Option<&Record>) {
        match record {
            Some(record) => {
                if record.node != self.node {
                    self.counters.invalidations_received.increment();
                }
                self.void_before(&record.change, position);
            }
            // What it said is unknown, so it may have voided anything.
            None => self.void_before(&Change::Clear, position),
        }
        let mut journal = self.lock();
        journal.applied = journal.applied.max(Some(position));
    }

    /// Applies a page of the journal that was asked for from `after` on. False when the journal does not reach back so far.
    pub(crate) fn replay(&self, after: Position, page: &JournalPage) -> bool {
        let reaches_back = page.oldest.is_some_and(|oldest| oldest <= after);
        if reaches_back {
            page.records.iter().for_each(|(position, record)| self.apply(*position, record.as_ref()));
        }
        reaches_back
    }

    /// Takes up the journal at `last`, with the rules that hold there. What this node holds was stored without hearing of
    /// every invalidation, so it is void.
    pub(crate) fn begin(&self, last: Position, rules: RuleSet) {
        *self.lock() = JournalState { applied: Some(last), known: last };
        self.rules.restart(rules);
        self.epochs.restart();
        self.flights.detach_matching(|_| true, None);
        self.remove_matching(&|_, _| true);
    }

    /// Every invalidation reaches this node again.
    pub(crate) fn confirm(&self) {
        if self.has_bus && self.confirmed.swap(HEALTHY, Ordering::AcqRel) != HEALTHY {
            tracing::info!(target: "cache_aside", node = %self.node, "hearing of invalidations");
        }
    }

    /// This node may have missed invalidations since `since`.
    pub(crate) fn isolate(&self, since: Timestamp, reason: &str) {
        let healthy =
            self.confirmed.compare_exchange(HEALTHY, since.as_millis(), Ordering::AcqRel, Ordering::Acquire).is_ok();
        if healthy {
            tracing::warn!(target: "cache_aside", node = %self.node, reason, "isolated: invalidations do not reach this node");
        }
    }

    /// To be noted before the value of `key` is read anywhere.
    pub(crate) fn note(&self, key: &str) -> Ticket {
        self.epochs.note(key, self.rules.sequence())
    }

    /// Whether `entry`, which was read with `ticket`, may still be stored.
    pub(crate) fn may_store(&self, key: &str, entry: &Entry, ticket: Ticket) -> bool {
        self.epochs.holds(ticket, entry.birth) && !self.is_ruled_out(key, entry, ticket)
    }

    /// Runs `insert` if `entry`, which was read with `ticket`, may still be stored in the near tier, and tells whether it
    /// was. The entry must carry the ticket's tag sequence: a tag that is invalidated after this check is seen at the hit.
    pub(crate) fn insert(&self, key: &str, entry: &Entry, ticket: Ticket, insert: impl FnOnce()) -> bool {
        !self.is_ruled_out(key, entry, ticket) && self.epochs.insert_if_good(ticket, entry.birth, insert)
    }

    fn is_ruled_out(&self, key: &str, entry: &Entry, ticket: Ticket) -> bool {
        self.rules.tags_moved(&entry.tags, ticket.tag_sequence) || self.rules.void(key, &entry.tags, entry.birth)
    }

    /// Whether an entry of the near tier may be served at `now`.
    pub(crate) fn may_serve(&self, entry: &Entry, now: Timestamp) -> bool {
        if entry.expires <= now || self.rules.tags_moved(&entry.tags, entry.tag_sequence) {
            return false;
        }
        match self.confirmed.load(Ordering::Acquire) {
            HEALTHY => true,
            confirmed => now < entry.as_of.max(Timestamp::from_millis(confirmed)) + self.isolated_ttl,
        }
    }

    pub(crate) fn is_isolated(&self) -> bool {
        self.confirmed.load(Ordering::Acquire) != HEALTHY
    }

    pub(crate) fn bus_status(&self) -> BusStatus {
        match (self.has_bus, self.confirmed.load(Ordering::Acquire)) {
            (false, _) => BusStatus::Absent,
            (true, HEALTHY) => BusStatus::Healthy,
            (true, since) => BusStatus::Isolated { since: Timestamp::from_millis(since) },
        }
    }

    fn lock(&self) -> MutexGuard<'_, JournalState> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
