//! Callers that wait for a lease of another node to end.

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::striped::Striped;

/// Keys that share a slot wake each other, which costs one look at the shared tier.
const SLOTS: usize = 256;

pub(crate) struct Waiters(Striped<Notify>);

impl Waiters {
    pub(crate) fn new() -> Self {
        Self(Striped::new(SLOTS))
    }

    /// Completes when the lease on `key` has ended. It counts from the moment it is enabled, so enable it before asking
    /// whether there is a lease.
    pub(crate) fn lease_end(&self, key: &str) -> Notified<'_> {
        self.0.of(key).notified()
    }

    pub(crate) fn wake(&self, key: &str) {
        self.0.of(key).notify_waiters();
    }
}
