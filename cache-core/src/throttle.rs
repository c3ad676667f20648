//! Keeps a repeated event from flooding the log.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;

const INTERVAL_MILLIS: u64 = 1_000;

/// Lets one event through each second.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    next: AtomicU64,
}

impl Throttle {
    pub(crate) fn run(&self, now: Timestamp, event: impl FnOnce()) {
        let now = now.as_millis();
        let next = self.next.load(Ordering::Relaxed);
        let due = now >= next;
        if due && self.next.compare_exchange(next, now + INTERVAL_MILLIS, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            event();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_passes_each_second() {
        let throttle = Throttle::default();
        let mut passed = 0;
        for millis in [5_000, 5_001, 5_999, 6_000, 6_500, 9_000] {
            throttle.run(Timestamp::from_millis(millis), || passed += 1);
        }
        assert_eq!(passed, 3);
    }
}
