//! Callers that wait for a lease of another node to end.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Keys that share a slot wake each other, which costs one look at the shared tier.
const SLOTS: usize = 256;

pub(crate) struct Waiters {
    slots: Box<[Notify]>,
    hasher: RandomState,
}

impl Waiters {
    pub(crate) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Notify::new()).collect(), hasher: RandomState::new() }
    }

    /// Completes when the lease on `key` has ended. It counts from the moment it is enabled, so enable it before asking
    /// whether there is a lease.
    pub(crate) fn lease_end(&self, key: &str) -> Notified<'_> {
        self.slot(key).notified()
    }

    pub(crate) fn wake(&self, key: &str) {
        self.slot(key).notify_waiters();
    }

    fn slot(&self, key: &str) -> &Notify {
        // The cast keeps the low bits, which is all that the remainder needs.
        #[allow(clippy::cast_possible_truncation)]
        let hash = self.hasher.hash_one(key) as usize;
        &self.slots[hash % SLOTS]
    }
}
