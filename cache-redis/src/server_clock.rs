//! What the server's clock shows, as well as this node can tell.
//!
//! A command that was given up may still be waiting on its way to the server. A `set` that ran after it was given up could
//! go over a later invalidation, so it carries the time of the server from which on it must not run.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

const UNKNOWN: i64 = i64::MIN;

#[derive(Debug)]
pub(crate) struct ServerClock {
    started: Instant,
    /// The server's time, in milliseconds since the Unix epoch, less those since `started`.
    offset: AtomicI64,
}

impl ServerClock {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), offset: AtomicI64::new(UNKNOWN) }
    }

    /// Takes note that the server's clock showed `server_millis` at some time after `asked`. Counting from `asked` makes the
    /// server's time look later than it is, by a round trip at the most, so no command is refused before it is given up.
    pub(crate) fn note(&self, asked: Instant, server_millis: i64) {
        self.offset.store(server_millis.saturating_sub(self.since_start(asked)), Ordering::Relaxed);
    }

    /// Takes what is known of the server's clock for wrong: the next command asks the server.
    pub(crate) fn forget(&self) {
        self.offset.store(UNKNOWN, Ordering::Relaxed);
    }

    /// The server's time in milliseconds when `after` will have passed; `None` while nothing is known of its clock.
    pub(crate) fn in_millis(&self, after: Duration) -> Option<i64> {
        let offset = self.offset.load(Ordering::Relaxed);
        let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        (offset != UNKNOWN).then(|| offset.saturating_add(self.since_start(Instant::now())).saturating_add(after))
    }

    fn since_start(&self, at: Instant) -> i64 {
        i64::try_from(at.saturating_duration_since(self.started).as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_servers_clock() {
        let clock = ServerClock::new();
        assert_eq!(clock.in_millis(Duration::ZERO), None);
        clock.note(Instant::now(), 1_700_000_000_000);
        let later = clock.in_millis(Duration::from_secs(5)).unwrap();
        assert!((1_700_000_005_000..1_700_000_010_000).contains(&later), "{later}");
        assert_eq!(clock.in_millis(Duration::MAX), Some(i64::MAX));
        clock.forget();
        assert_eq!(clock.in_millis(Duration::ZERO), None);
    }
}
