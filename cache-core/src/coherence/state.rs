//! What one node does about a change, made here or heard of.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::coherence::epochs::Epochs;
use crate::coherence::rules::Rules;
use crate::coherence::waiters::Waiters;
use crate::coherence::{Change, NodeId, Position, Record};
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
            Change::Keys(keys) => keys.iter().map(|key| u64::from(self.void_key(key.as_str()))).sum(),
            Change::Pattern(_) | Change::Clear => {
                self.epochs.void_all();
                self.flights.detach_matching(|key| change.covers(key), None);
                self.remove_matching(&|key, _| change.covers(key))
            }
        }
    }

    fn void_key(&self, key: &str) -> bool {
        let (_, removed) = self.epochs.void(key, || self.near.as_ref().is_some_and(|near| near.remove(key)));
        self.flights.detach(key, None);
        removed
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
                self.rules.add_pattern(position, pattern.clone());
                self.void_matching_before(change, position);
            }
            Change::Clear => {
                self.rules.add_clear(position);
                self.void_matching_before(change, position);
            }
        }
    }

    fn void_matching_before(&self, change: &Change, position: Position) {
        self.epochs.void_all_before(position);
        self.flights.detach_matching(|key| change.covers(key), Some(position));
        self.remove_matching(&|key, entry| entry.birth < position && change.covers(key));
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
        self.lock().applied = Some(position);
    }

    /// Goes on from `last` without knowing what the journal said before it: everything in this node is void.
    pub(crate) fn reset(&self, last: Position) {
        self.counters.resets.increment();
        self.begin(last);
    }

    /// Takes up the journal at `last`. What this node holds was stored without hearing of invalidations, so it is void.
    pub(crate) fn begin(&self, last: Position) {
        *self.lock() = JournalState { applied: Some(last), known: last };
        self.rules.restart();
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

    /// Whether an entry of the near tier may be served at `now`.
    pub(crate) fn may_serve(&self, entry: &Entry, now: Timestamp) -> bool {
        if entry.expires <= now {
            return false;
        }
        match self.confirmed.load(Ordering::Acquire) {
            HEALTHY => true,
            confirmed => now < entry.as_of.max(Timestamp::from_millis(confirmed)) + self.isolated_ttl,
        }
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
