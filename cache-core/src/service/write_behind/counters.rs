//! What became of the writes of each keyspace.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::stats::Counter;

#[derive(Default)]
pub(super) struct Counters {
    pub(super) accepted: Counter,
    pub(super) refused: Counter,
    pub(super) applied: Counter,
    pub(super) failed: Counter,
    pub(super) repeated: Counter,
    pub(super) dead: Counter,
    pub(super) unreadable: Counter,
    pub(super) lost_leases: Counter,
}

/// What a [`WriteBehind`](super::WriteBehind) and its workers have done on this node since it was built, and others of its
/// keyspace and service, which share the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct WriteBehindStats {
    /// Writes that the shared tier keeps.
    pub accepted: u64,
    /// Writes that were refused, or of which nobody could say whether they are kept.
    pub refused: u64,
    /// Writes that reached the source.
    pub applied: u64,
    /// Calls of the writer that failed, panicked or took too long.
    pub failed: u64,
    /// Writes that were carried out once more, because a call failed or a worker died.
    pub repeated: u64,
    /// Writes that were put aside.
    pub dead: u64,
    /// Entries that were no writes and were removed: somebody else has put them among the writes.
    pub unreadable: u64,
    /// Times that a worker lost its partition to another, having stood still for longer than its lease.
    pub lost_leases: u64,
}

impl Counters {
    pub(super) fn snapshot(&self) -> WriteBehindStats {
        WriteBehindStats {
            accepted: self.accepted.get(),
            refused: self.refused.get(),
            applied: self.applied.get(),
            failed: self.failed.get(),
            repeated: self.repeated.get(),
            dead: self.dead.get(),
            unreadable: self.unreadable.get(),
            lost_leases: self.lost_leases.get(),
        }
    }
}

/// The counters of a service's write-behinds, by what their keyspaces are counted as.
#[derive(Default)]
pub(in crate::service) struct Registry {
    known: Mutex<BTreeMap<String, Arc<Counters>>>,
}

impl Registry {
    /// The counters of a keyspace.
    pub(super) fn enter(&self, counted_as: &str) -> Arc<Counters> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(counted_as.to_owned()).or_default())
    }

    #[cfg(feature = "metrics")]
    pub(in crate::service) fn snapshot(&self) -> Vec<(String, WriteBehindStats)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(keyspace, counters)| (keyspace.clone(), counters.snapshot())).collect()
    }
}
