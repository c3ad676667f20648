//! The right to replace an entry of the shared tier that the others go on reading.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use crate::entry::{Entry, Token};
use crate::far::Far;
use crate::key::Key;
use crate::tier;

/// A claim on an entry, given back when dropped.
pub(super) struct Claim {
    inner: Arc<Inner>,
    far: Arc<Far>,
    key: Key,
    /// That of the entry.
    over: Token,
    held: bool,
    /// For how long nobody is to try again after it is given back.
    throttle: Duration,
}

impl Claim {
    /// A right to replace the entry with the token `over` that keeps nobody else from it.
    pub(super) fn unclaimed(inner: &Arc<Inner>, far: &Arc<Far>, key: &Key, over: Token) -> Self {
        let (inner, far) = (Arc::clone(inner), Arc::clone(far));
        Self { inner, far, key: key.clone(), over, held: false, throttle: Duration::ZERO }
    }

    /// Asks for the claim. `None` when the tier is away. Should the answer never be heard, what may have been taken lapses: it
    /// may be another's as well, since claims have no names.
    pub(super) async fn take(&mut self) -> Option<tier::Claim> {
        let shared = self.far.shared()?;
        let answer = self.far.ask(shared.claim(&self.key, self.over, self.inner.lease_ttl)).await;
        self.held = matches!(answer, Some(tier::Claim::Claimed));
        answer
    }

    /// Keeps the claim from lapsing, until dropped.
    pub(super) async fn keep(&self) -> std::convert::Infallible {
        let Some(shared) = self.far.shared().filter(|_| self.held) else { return std::future::pending().await };
        loop {
            let ttl = self.inner.lease_ttl;
            self.inner.clock.sleep(ttl / 3).await;
            // An entry that is gone is noticed by the refill.
            self.far.ask(shared.extend_claim(&self.key, self.over, ttl)).await;
        }
    }

    /// Replaces the entry: `None` when the tier could not say, `Some(false)` when it is no longer there.
    pub(super) async fn refill(mut self, entry: Entry, ttl: Duration) -> Option<bool> {
        let shared = self.far.shared()?;
        let filled = self.far.ask(shared.refill(&self.key, self.over, entry, ttl)).await;
        if filled == Some(false) {
            // Whoever removed it may have told nobody.
            self.inner.coherence.drop_entry(self.key.as_str(), self.over);
        }
        // Not said to be replaced or gone: then it may still be there, and is given back.
        self.held &= filled.is_none();
        filled
    }

    /// Gives the claim back, and keeps everybody from claiming the entry for `throttle`.
    pub(super) fn fail(mut self, throttle: Duration) {
        self.throttle = throttle;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Without a runtime, or with the tier away, the claim lapses by itself.
        if self.held && self.far.is_ready() && tokio::runtime::Handle::try_current().is_ok() {
            let (far, key, over, throttle) = (Arc::clone(&self.far), self.key.clone(), self.over, self.throttle);
            self.inner.tasks.spawn("release", async move {
                if let Some(shared) = far.shared() {
                    far.ask(shared.end_claim(&key, over, throttle)).await;
                }
            });
        }
    }
}
