//! What the tier counts.

use std::sync::atomic::{AtomicU64, Ordering};

use cache_core::clock::{Clock, SystemClock};

/// Counts since the tier was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Reads that found bytes of this crate's format that could not be read: damaged, or of another version.
    pub undecodable: u64,
    /// Reads that found bytes written by someone else.
    pub foreign: u64,
    /// Bus messages dropped because the node took them too slowly. The journal has what they said.
    pub dropped_messages: u64,
    /// Connections made for commands, the first included.
    pub connections: u64,
    /// Entries and leases that scans for patterns have removed, those of a scan under way included: its progress.
    pub swept: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    undecodable: AtomicU64,
    foreign: AtomicU64,
    dropped_messages: AtomicU64,
    connections: AtomicU64,
    swept: AtomicU64,
    warnings: OncePerSecond,
}

impl Counts {
    pub(crate) fn undecodable(&self, reason: &dyn std::fmt::Display) {
        self.undecodable.fetch_add(1, Ordering::Relaxed);
        if self.warnings.allows() {
            tracing::warn!(target: "cache_aside", %reason, "an entry in redis could not be read and counts as a miss");
        }
    }

    pub(crate) fn foreign(&self) {
        self.foreign.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dropped_message(&self) {
        self.dropped_messages.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn swept(&self, keys: u64) {
        self.swept.fetch_add(keys, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counters {
        Counters {
            undecodable: self.undecodable.load(Ordering::Relaxed),
            foreign: self.foreign.load(Ordering::Relaxed),
            dropped_messages: self.dropped_messages.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            swept: self.swept.load(Ordering::Relaxed),
        }
    }
}

/// Keeps a log from filling with one and the same line.
#[derive(Debug, Default)]
struct OncePerSecond {
    clock: SystemClock,
    /// In milliseconds since the Unix epoch.
    last: AtomicU64,
}

impl OncePerSecond {
    fn allows(&self) -> bool {
        let now = self.clock.now().as_millis();
        let last = self.last.load(Ordering::Relaxed);
        // Of several threads that read the same time, only one gets to replace it.
        now.saturating_sub(last) >= 1_000
            && self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
