//! The circuit breaker before a far tier.
//!
//! Hand-written, because the breakers on crates.io let callers probe an open circuit, so that one call in each window pays
//! a timeout, and read a clock of their own. Here no caller ever probes: the tier's recovery task pings it, and closes the
//! breaker.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Opens after a number of outages in a row.
#[derive(Debug)]
pub(crate) struct Breaker {
    threshold: u32,
    outages: AtomicU32,
    open: AtomicBool,
}

impl Breaker {
    pub(crate) const fn new(threshold: u32) -> Self {
        Self { threshold, outages: AtomicU32::new(0), open: AtomicBool::new(false) }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Whether the latest call failed.
    pub(crate) fn is_strained(&self) -> bool {
        self.outages.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn succeeded(&self) {
        // A read first: the line stays shared between cores while all is well.
        if self.is_strained() && !self.is_open() {
            self.outages.store(0, Ordering::Relaxed);
        }
    }

    /// Tells whether this failure opened the breaker.
    pub(crate) fn failed(&self) -> bool {
        let outages = self.outages.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        outages >= self.threshold && self.open()
    }

    /// Opens it whatever its threshold. Tells whether it was closed.
    pub(crate) fn open(&self) -> bool {
        !self.open.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn close(&self) {
        self.outages.store(0, Ordering::Relaxed);
        self.open.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_as_many_failures_in_a_row_as_the_threshold() {
        let breaker = Breaker::new(3);
        assert!(!breaker.failed() && !breaker.failed());
        breaker.succeeded();
        assert!(!breaker.is_strained());
        assert!(!breaker.failed() && !breaker.failed());
        assert!(breaker.failed(), "the third in a row opens it");
        assert!(breaker.is_open());
        assert!(!breaker.failed(), "it is open already");
    }

    #[test]
    fn it_can_be_opened_whatever_the_threshold() {
        let breaker = Breaker::new(u32::MAX);
        assert!(breaker.open() && breaker.is_open());
        assert!(!breaker.open(), "it is open already");
    }

    #[test]
    fn a_late_success_does_not_close_it() {
        let breaker = Breaker::new(1);
        assert!(breaker.failed());
        breaker.succeeded();
        assert!(breaker.is_open());
        breaker.close();
        assert!(!breaker.is_open() && !breaker.is_strained());
    }
}
