//! What the server's clock shows, as well as this node can tell.
//!
//! A command that was given up may still be waiting on its way to the server. A `set` that ran after it was given up could
//! go over a later invalidation, so it carries the time of the server from which on it must not run.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

const UNKNOWN: i64 = i64::MIN;

#[derive(Debug)]
pub(crate) struct ServerClock {
    started: Instant,
    /// The server's time, in microseconds since the Unix epoch, less those since `started`.
    offset: AtomicI64,
}

impl ServerClock {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), offset: AtomicI64::new(UNKNOWN) }
    }

    /// Takes note that the server's clock showed this time, as `TIME` tells it, when it gave an answer that is here now.
    /// Counting from now makes the server's time look earlier than it is, by the answer's way: a command may be refused that
    /// much before it is given up, and none runs after.
    pub(crate) fn note(&self, (seconds, micros): (i64, i64)) {
        let shown = seconds.saturating_mul(1_000_000).saturating_add(micros);
        self.offset.store(shown.saturating_sub(self.since_start(Instant::now())), Ordering::Relaxed);
    }

    /// Takes what is known of the server's clock for wrong: the next command asks the server.
    pub(crate) fn forget(&self) {
        self.offset.store(UNKNOWN, Ordering::Relaxed);
    }

    /// The server's time in milliseconds at `moment`; `None` while nothing is known of its clock.
    pub(crate) fn millis_at(&self, moment: Instant) -> Option<i64> {
        let offset = self.offset.load(Ordering::Relaxed);
        (offset != UNKNOWN).then(|| offset.saturating_add(self.since_start(moment)).div_euclid(1_000))
    }

    fn since_start(&self, at: Instant) -> i64 {
        i64::try_from(at.saturating_duration_since(self.started).as_micros()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_follows_the_servers_clock_and_is_never_ahead_of_it() {
        let clock = ServerClock::new();
        let before = Instant::now();
        assert_eq!(clock.millis_at(before), None);
        clock.note((1_700_000_000, 999));
        let after = Instant::now();
        assert!(clock.millis_at(after + Duration::from_secs(5)).unwrap() >= 1_700_000_005_000);
        assert!(clock.millis_at(before + Duration::from_secs(5)).unwrap() <= 1_700_000_005_000);
        clock.forget();
        assert_eq!(clock.millis_at(after), None);
    }

    #[test]
    fn no_answer_overflows_it() {
        let clock = ServerClock::new();
        for shown in [(i64::MAX, i64::MAX), (i64::MIN, i64::MIN), (-1, 0)] {
            clock.note(shown);
            clock.millis_at(Instant::now());
        }
    }
}
