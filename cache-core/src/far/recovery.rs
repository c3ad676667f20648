//! Brings a far tier back: pings it until it answers, delivers what it missed, and only then lets it be read again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use backon::BackoffBuilder;

use super::{Far, Owed};
use crate::coherence::{Change, Coherence};
use crate::error::TierError;

/// The shortest and the longest wait between two attempts.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

impl Far {
    /// Waits for the tier to be down or owed something, and mends it, for ever.
    pub(crate) async fn recover(&self, coherence: &Coherence) {
        loop {
            self.work.notified().await;
            let (shortest, longest) = WAITS;
            let mut waits = backon::ExponentialBuilder::default()
                .with_min_delay(shortest)
                .with_max_delay(longest)
                .without_max_times()
                .with_jitter()
                .build();
            while self.mend(coherence).await.is_err() {
                self.clock.sleep(waits.next().unwrap_or(longest)).await;
            }
        }
    }

    /// One attempt to make the tier ready.
    pub(crate) async fn mend(&self, coherence: &Coherence) -> Result<(), TierError> {
        if self.breaker.is_open() {
            self.attempt(self.tier.ping()).await?;
        }
        self.drain(coherence).await?;
        if self.breaker.is_open() {
            self.breaker.close();
            tracing::info!(target: "cache_aside", tier = self.tier.name(), "tier up: breaker closed");
        }
        self.update_state();
        Ok(())
    }

    /// Delivers what the tier is owed, trying for up to three timeouts. To be called when [`Far::recover`] has ended.
    pub(crate) async fn settle(&self, coherence: &Coherence) {
        let attempts = async {
            while self.backlog.load(Ordering::Acquire) && self.mend(coherence).await.is_err() {
                // Not on the service's clock: like the bound, it is there for a peer that does not answer.
                tokio::time::sleep(WAITS.0).await;
            }
        };
        if tokio::time::timeout(self.timeout * 3, attempts).await.is_err() {
            let (tier, queued) = (self.tier.name(), self.queued());
            tracing::error!(target: "cache_aside", tier, queued, "shut down with invalidations undelivered");
        }
    }

    async fn drain(&self, coherence: &Coherence) -> Result<(), TierError> {
        loop {
            let Some(change) = self.take_queued() else { return Ok(()) };
            let owed = Owed::new(self, coherence, &change);
            self.carry(&change, coherence).await?;
            owed.delivered();
        }
    }

    fn take_queued(&self) -> Option<Change> {
        let mut queue = self.lock_queue();
        let change = queue.take();
        if change.is_none() {
            self.backlog.store(false, Ordering::Release);
        }
        change
    }
}
