//! For how long a node may serve what it holds without having heard that it hears of everything.
//!
//! A node is sure of what it holds up to the moment at which it last asked for the journal's end and had everything up to
//! the answer. Every answer moves that moment on; without one, time runs out by itself. So it needs nobody to notice that
//! answers stay away: also a process that was stopped for an hour finds, at its first look, that its time is up.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::status::BusStatus;
use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// The intervals that bound how old a value a node may serve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timings {
    /// Between two questions for the journal's end.
    pub(crate) heartbeat_interval: Duration,
    /// For one answer.
    pub(crate) heartbeat_timeout: Duration,
    /// For what an isolated node has loaded or read itself.
    pub(crate) isolated_ttl: Duration,
    /// The longest time for which an entry is there after its birth.
    pub(crate) lifetime: Duration,
}

impl Timings {
    #[cfg(test)]
    pub(crate) const TEST: Self = Self {
        heartbeat_interval: Duration::from_secs(1),
        heartbeat_timeout: Duration::from_secs(3),
        isolated_ttl: Duration::from_secs(10),
        lifetime: Duration::from_secs(3_600),
    };

    /// The longest time for which a node serves a value after its invalidation: from the moment at which it was last sure,
    /// either the next answer comes within a heartbeat, or the value is too old.
    pub(crate) fn staleness_bound(&self) -> Duration {
        self.heartbeat_interval.saturating_add(self.heartbeat_timeout).max(self.isolated_ttl)
    }
}

pub(crate) struct Trust {
    timings: Timings,
    has_bus: bool,
    /// Until when every invalidation is known to have been heard, in milliseconds.
    confirmed: AtomicU64,
    /// Until when entries may be served whatever their age, in milliseconds.
    until: AtomicU64,
    /// For how long what this node has read or loaded itself may be served, in milliseconds.
    alone: AtomicU64,
    /// Whether it is known that invalidations do not reach this node.
    isolated: AtomicBool,
    /// How often the bus has become well.
    recoveries: AtomicU64,
}

impl Trust {
    /// Without a bus there is nothing to hear of. With one, nothing is known yet.
    pub(crate) fn new(timings: Timings, has_bus: bool, now: Timestamp) -> Self {
        let until = if has_bus { now + timings.isolated_ttl } else { Timestamp::MAX };
        Self {
            timings,
            has_bus,
            confirmed: AtomicU64::new(now.as_millis()),
            until: AtomicU64::new(until.as_millis()),
            alone: AtomicU64::new((Timestamp::ZERO + timings.isolated_ttl).as_millis()),
            isolated: AtomicBool::new(has_bus),
            recoveries: AtomicU64::new(0),
        }
    }

    pub(crate) const fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Everything up to `at` has been heard, and the bus is well. True when it was not.
    pub(crate) fn confirm(&self, at: Timestamp) -> bool {
        if !self.has_bus {
            return false;
        }
        self.confirmed.store(at.as_millis(), Ordering::Release);
        self.until.store((at + self.timings.staleness_bound()).as_millis(), Ordering::Release);
        if self.isolated.load(Ordering::Acquire) {
            // Before: whoever finds the bus to be well knows that it was not.
            self.recoveries.fetch_add(1, Ordering::AcqRel);
        }
        self.isolated.swap(false, Ordering::AcqRel)
    }

    /// The bus is known not to be well. True when it was.
    pub(crate) fn isolate(&self) -> bool {
        let confirmed = Timestamp::from_millis(self.confirmed.load(Ordering::Acquire));
        // It never serves for longer for that, also when it has ended.
        self.until.fetch_min((confirmed + self.timings.isolated_ttl).as_millis(), Ordering::AcqRel);
        !self.isolated.swap(true, Ordering::AcqRel)
    }

    /// Whether every value may be served at `now`. This is on the hit path.
    #[inline]
    pub(crate) fn covers_all(&self, now: Timestamp) -> bool {
        now.as_millis() < self.until.load(Ordering::Acquire)
    }

    /// Whether a value that was current at `as_of` may be served at `now`.
    pub(crate) fn covers(&self, as_of: Timestamp, now: Timestamp) -> bool {
        self.covers_all(now) || now.as_millis() < as_of.as_millis().saturating_add(self.alone.load(Ordering::Acquire))
    }

    /// Until when every invalidation is known to have been heard, as of `now`.
    pub(crate) fn heard_until(&self, now: Timestamp) -> Timestamp {
        if self.has_bus { Timestamp::from_millis(self.confirmed.load(Ordering::Acquire)) } else { now }
    }

    /// This node serves nothing that it holds any more: the others do not wait for it from now on.
    pub(crate) fn end(&self) {
        if self.has_bus {
            self.alone.store(0, Ordering::Release);
            self.until.store(0, Ordering::Release);
        }
    }

    /// Values that were current before this may not be served at `now`.
    pub(crate) fn oldest(&self, now: Timestamp) -> Timestamp {
        if self.covers(Timestamp::ZERO, now) { Timestamp::ZERO } else { now.before(self.timings.isolated_ttl) + MILLI }
    }

    /// Whether invalidations may not reach this node.
    pub(crate) fn is_isolated(&self, now: Timestamp) -> bool {
        self.has_bus && (self.isolated.load(Ordering::Acquire) || !self.covers(Timestamp::ZERO, now))
    }

    /// How often the bus has become well. What was asked of the shared tier when it had done so less often may have been answered by a
    /// server that the bus has left.
    pub(crate) fn recoveries(&self) -> u64 {
        self.recoveries.load(Ordering::Acquire)
    }

    pub(crate) fn status(&self, now: Timestamp) -> BusStatus {
        if !self.has_bus {
            BusStatus::Absent
        } else if self.is_isolated(now) {
            BusStatus::Isolated { since: Timestamp::from_millis(self.confirmed.load(Ordering::Acquire)) }
        } else {
            BusStatus::Healthy
        }
    }
}

const MILLI: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const TIMINGS: Timings = Timings {
        heartbeat_interval: Duration::from_secs(1),
        heartbeat_timeout: Duration::from_secs(3),
        isolated_ttl: Duration::from_secs(2),
        ..Timings::TEST
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn trust_runs_out_without_an_answer() {
        let trust = Trust::new(TIMINGS, true, at(0));
        assert!(trust.confirm(at(10)) && !trust.confirm(at(100)));
        assert!(trust.covers(at(0), at(103)) && !trust.covers(at(0), at(104)));
        assert_eq!(trust.status(at(103)), BusStatus::Healthy);
        assert_eq!(trust.status(at(104)), BusStatus::Isolated { since: at(100) });
        assert!(trust.is_isolated(at(104)));
        assert_eq!(trust.recoveries(), 1);
    }

    #[test]
    fn an_isolated_node_serves_by_age() {
        let trust = Trust::new(TIMINGS, true, at(0));
        trust.confirm(at(100));
        assert!(trust.isolate() && !trust.isolate());
        assert!(trust.covers(at(0), at(101)) && !trust.covers(at(0), at(102)));
        assert!(trust.covers(at(110), at(111)) && !trust.covers(at(110), at(112)));
        assert_eq!((trust.oldest(at(101)), trust.oldest(at(110))), (Timestamp::ZERO, at(108) + MILLI));
        assert!(trust.covers(trust.oldest(at(110)), at(110)));
        assert!(trust.confirm(at(111)));
        assert_eq!(trust.recoveries(), 2);
    }

    #[test]
    fn a_node_that_has_ended_serves_nothing() {
        let trust = Trust::new(TIMINGS, true, at(0));
        trust.confirm(at(100));
        trust.end();
        assert!(!trust.covers(at(100), at(100)));
        trust.isolate();
        assert!(!trust.covers(at(100), at(100)), "what comes of its last calls changes nothing");
    }

    #[test]
    fn without_a_bus_there_is_nothing_to_hear() {
        let trust = Trust::new(TIMINGS, false, at(0));
        assert!(trust.covers(at(0), at(1_000_000)) && !trust.is_isolated(at(1_000_000)));
        assert_eq!(trust.status(at(0)), BusStatus::Absent);
        assert!(!trust.confirm(at(1)));
    }

    #[test]
    fn the_bound_is_a_heartbeat_or_the_isolated_ttl() {
        assert_eq!(TIMINGS.staleness_bound(), Duration::from_secs(4));
        let longer = Timings { isolated_ttl: Duration::from_secs(10), ..TIMINGS };
        assert_eq!(longer.staleness_bound(), Duration::from_secs(10));
    }
}
