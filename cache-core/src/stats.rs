//! Counters since start.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::tier::Usage;

/// What a service has done since it was built.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The tiers, nearest first.
    pub tiers: Vec<TierStats>,
    /// What was read through keyspaces, by prefix. It is counted in `tiers` as well.
    pub keyspaces: Vec<KeyspaceStats>,
    /// Loads that were run.
    pub loads: u64,
    /// Loads that gave no value: the loader failed, panicked or timed out.
    pub load_failures: u64,
    /// Callers that were given the result of another caller's load.
    pub coalesced: u64,
    /// Callers that were given a stale value: while it was loaded anew, since that failed, or since it takes long.
    pub stale_served: u64,
    /// Loads that were to replace a value which could still be served, stale or early. They are counted in `loads` as well.
    pub refreshes: u64,
    /// Refreshes that gave no value. They are counted in `load_failures` as well.
    pub refresh_failures: u64,
    /// Times that a stale value was not loaded anew, because a load had failed less than
    /// [`Policy::error_throttle`](crate::Policy::error_throttle) ago.
    pub throttled: u64,
    /// Values that were loaded or read, and not stored, because an invalidation came in between.
    pub fenced_fills: u64,
    /// Loads that were not stored because another node held the lease for longer than the load timeout.
    pub lease_timeouts: u64,
    /// Invalidations (and sets) made on this node.
    pub invalidations_sent: u64,
    /// Records of other nodes that were applied on this node.
    pub invalidations_received: u64,
    /// Near entries removed because someone may have changed them in the shared tier without a record: where the tier was
    /// told to look for such changes. That the whole tier was emptied counts as one.
    pub foreign_invalidations: u64,
    /// Times that the queue of invalidations overflowed and became one `clear`.
    pub queue_overflows: u64,
    /// Values that other nodes sent and that were put into the near tier of this node.
    pub replicas_received: u64,
    /// Writes of the source whose keys could not be fenced, because the shared tier was away.
    pub unfenced_writes: u64,
    /// Times that missed records were read from the journal.
    pub replays: u64,
    /// Times that the near tier was emptied because the journal no longer reached back.
    pub resets: u64,
    /// Calls with an invalid key.
    pub invalid_keys: u64,
    /// Far values that could not be decoded.
    pub undecodable: u64,
    /// Values that could not be encoded, and so are kept in near tiers only.
    pub unencodable: u64,
    /// Values that were longer than [`Policy::max_value_bytes`](crate::Policy::max_value_bytes): loaded or set and not
    /// stored, or found in a far tier and not decoded.
    pub too_large: u64,
    /// Times that the handler of [`on_event`](crate::CachingServiceBuilder::on_event) panicked.
    pub handler_panics: u64,
}

/// What one tier has done.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct TierStats {
    /// The tier's name.
    pub name: &'static str,
    /// Look-ups that found a usable entry.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Calls that were not made because the tier was down or had invalidations to catch up with.
    pub skipped: u64,
    /// Reads that were made again after a failure: see
    /// [`read_retries`](crate::CachingServiceBuilder::read_retries).
    pub retries: u64,
    /// Entries given up for want of room, where the tier knows.
    pub evictions: Option<u64>,
    /// Entries held, where the tier knows.
    pub entries: Option<u64>,
    /// Bytes held, where the tier knows.
    pub bytes: Option<u64>,
}

/// What was read through the keyspaces of one prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyspaceStats {
    /// The prefix. The first 128 of a service are counted each by itself, and what comes on top together, as `*`.
    pub prefix: String,
    /// The tiers, nearest first.
    pub tiers: Vec<KeyspaceTierStats>,
}

/// What one tier had of what was read through the keyspaces of one prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyspaceTierStats {
    /// The tier's name.
    pub name: &'static str,
    /// Look-ups that found a usable entry: a value, or a cached absence.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
}

/// A counter that only grows. It orders nothing else, so relaxed access is enough.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter for what happens often in many threads at once: each adds to a lane of its own, as long as there are lanes.
#[derive(Debug, Default)]
pub(crate) struct BusyCounter {
    own: [Lane; LANES],
    /// For threads that found no lane.
    shared: Lane,
}

const LANES: usize = 32;

/// Alone in its cache line, and in the one that processors fetch along.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane(AtomicU64);

impl BusyCounter {
    #[inline]
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    #[inline]
    pub(crate) fn add(&self, n: u64) {
        // There is no error: it is neither initialized nor dropped. `get` would be a call.
        let lane = LANE.try_with(Cell::get).unwrap_or(NO_LANE);
        match self.own.get(lane) {
            Some(own) => own.add(n),
            None => self.add_elsewhere(lane, n),
        }
    }

    /// For the first time in this thread, or where there was no lane for it.
    #[cold]
    fn add_elsewhere(&self, lane: usize, n: u64) {
        let lane = if lane == UNASKED { take_lane() } else { lane };
        match self.own.get(lane) {
            Some(own) => own.add(n),
            None => _ = self.shared.0.fetch_add(n, Ordering::Relaxed),
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.own.iter().chain([&self.shared]).map(|lane| lane.0.load(Ordering::Relaxed)).sum()
    }
}

impl Lane {
    /// By the thread that has it. Nobody else writes to it, so nothing is lost between the two.
    #[inline]
    fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }
}

/// Where a thread adds that found no lane, and one that has not asked for one yet. Both lie beyond the lanes.
const NO_LANE: usize = LANES;
const UNASKED: usize = LANES + 1;

/// Asks for the lane that this thread alone writes to.
fn take_lane() -> usize {
    let lane = OWNED.try_with(|owned| owned.0).unwrap_or(NO_LANE);
    LANE.set(lane);
    lane
}

thread_local! {
    static LANE: Cell<usize> = const { Cell::new(UNASKED) };
    static OWNED: OwnedLane = OwnedLane::take();
}

/// The lanes that no thread has.
static FREE: Mutex<Option<Vec<usize>>> = Mutex::new(None);

/// A lane that goes back when its thread ends.
struct OwnedLane(usize);

impl OwnedLane {
    fn take() -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        Self(free.get_or_insert_with(|| (0..LANES).collect()).pop().unwrap_or(NO_LANE))
    }
}

impl Drop for OwnedLane {
    fn drop(&mut self) {
        // What else ends with this thread may count yet.
        LANE.set(NO_LANE);
        if self.0 < LANES {
            let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
            free.get_or_insert_default().push(self.0);
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) loads: Counter,
    pub(crate) load_failures: Counter,
    pub(crate) coalesced: Counter,
    pub(crate) stale_served: Counter,
    pub(crate) refreshes: Counter,
    pub(crate) refresh_failures: Counter,
    pub(crate) throttled: Counter,
    pub(crate) fenced_fills: Counter,
    pub(crate) lease_timeouts: Counter,
    pub(crate) invalidations_sent: Counter,
    pub(crate) invalidations_received: Counter,
    pub(crate) foreign_invalidations: Counter,
    pub(crate) queue_overflows: Counter,
    pub(crate) replicas_received: Counter,
    pub(crate) unfenced_writes: Counter,
    pub(crate) replays: Counter,
    pub(crate) resets: Counter,
    pub(crate) invalid_keys: Counter,
    pub(crate) undecodable: Counter,
    pub(crate) unencodable: Counter,
    pub(crate) too_large: Counter,
    pub(crate) handler_panics: Counter,
}

impl Counters {
    pub(crate) fn snapshot(&self, tiers: Vec<TierStats>, keyspaces: Vec<KeyspaceStats>) -> Stats {
        Stats {
            tiers,
            keyspaces,
            loads: self.loads.get(),
            load_failures: self.load_failures.get(),
            coalesced: self.coalesced.get(),
            stale_served: self.stale_served.get(),
            refreshes: self.refreshes.get(),
            refresh_failures: self.refresh_failures.get(),
            throttled: self.throttled.get(),
            fenced_fills: self.fenced_fills.get(),
            lease_timeouts: self.lease_timeouts.get(),
            invalidations_sent: self.invalidations_sent.get(),
            invalidations_received: self.invalidations_received.get(),
            foreign_invalidations: self.foreign_invalidations.get(),
            queue_overflows: self.queue_overflows.get(),
            replicas_received: self.replicas_received.get(),
            unfenced_writes: self.unfenced_writes.get(),
            replays: self.replays.get(),
            resets: self.resets.get(),
            invalid_keys: self.invalid_keys.get(),
            undecodable: self.undecodable.get(),
            unencodable: self.unencodable.get(),
            too_large: self.too_large.get(),
            handler_panics: self.handler_panics.get(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct TierCounters {
    pub(crate) hits: BusyCounter,
    pub(crate) misses: Counter,
    pub(crate) errors: Counter,
    pub(crate) skipped: Counter,
    pub(crate) retries: Counter,
}

impl TierCounters {
    pub(crate) fn snapshot(&self, name: &'static str, usage: Usage) -> TierStats {
        TierStats {
            name,
            hits: self.hits.get(),
            misses: self.misses.get(),
            errors: self.errors.get(),
            skipped: self.skipped.get(),
            retries: self.retries.get(),
            evictions: usage.evictions,
            entries: usage.entries,
            bytes: usage.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_many_threads_count_is_lost() {
        let counter = BusyCounter::default();
        for _ in 0..3 {
            std::thread::scope(|scope| {
                for _ in 0..2 * LANES {
                    scope.spawn(|| (0..1_000).for_each(|_| counter.increment()));
                }
            });
        }
        assert_eq!(counter.get(), 6_000 * LANES as u64);
    }
}
