//! Writes of the source between a fence and an invalidation.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use super::Inner;
use crate::clock::Timestamp;
use crate::coherence::Change;
use crate::entry::Token;
use crate::event::Event;
use crate::far::Manner;
use crate::key::Key;

/// A fence around a write, which is made good when dropped.
pub(super) struct Around {
    inner: Arc<Inner>,
    keys: Arc<[Key]>,
    token: Token,
    ended: bool,
}

impl Inner {
    pub(super) async fn write_around<R, E, F, Fut>(self: &Arc<Self>, keys: &[impl AsRef<str>], write: F) -> Result<R, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        let keys = self.valid_keys(keys);
        if keys.is_empty() {
            return write().await;
        }
        self.start(None);
        let around = Around::begin(self, keys.into()).await;
        let mut write = pin!(write());
        let result = tokio::select! {
            biased;
            result = &mut write => result,
            never = around.keep() => match never {},
        };
        around.end().await;
        result
    }
}

impl Around {
    pub(super) async fn begin(inner: &Arc<Inner>, keys: Arc<[Key]>) -> Self {
        keys.iter().for_each(|key| inner.coherence.epochs.begin_write(key));
        let around = Self { inner: Arc::clone(inner), keys, token: Token::random(), ended: false };
        let change = around.change();
        inner.coherence.void(&change);
        // First, so that nothing old is left there for a nearer tier to copy.
        if !around.fence().await {
            inner.counters.unfenced_writes.increment();
            inner.events.emit(Event::WriteUnfenced { keys: around.keys.len() });
        }
        let mut told = false;
        let tell = async {
            for far in inner.far.iter().rev().filter(|far| far.shared().is_none()) {
                // What could not be removed is queued, and the tier is not read until it is.
                let _ = far.invalidate(&change, Manner::default(), &inner.coherence).await;
                told = true;
            }
        };
        tokio::select! {
            biased;
            () = tell => {}
            never = around.keep() => match never {},
        }
        if told {
            // A reader of this node may have put back what a tier still held.
            inner.coherence.void(&change);
        }
        around
    }

    async fn fence(&self) -> bool {
        match self.inner.shared() {
            Some(far) => far.fence(&self.keys, self.token, self.inner.fence_ttl, &self.inner.coherence).await,
            None => true,
        }
    }

    /// Keeps the fence from lapsing, until dropped.
    pub(super) async fn keep(&self) -> Infallible {
        loop {
            self.inner.clock.sleep(self.inner.fence_ttl / 3).await;
            // One that is lost is put again by the next round, or by the invalidation at the end made up for.
            self.fence().await;
        }
    }

    pub(super) async fn end(mut self) {
        self.inner.invalidate(self.change(), Manner { lift: Some(self.token), acknowledge: false }).await;
        self.ended = true;
    }

    /// The fence has been lifted, and what was under the keys replaced.
    pub(super) fn concluded(mut self) {
        self.ended = true;
    }

    pub(super) const fn token(&self) -> Token {
        self.token
    }

    pub(super) fn change(&self) -> Change {
        Change::Keys(Arc::clone(&self.keys))
    }
}

impl Drop for Around {
    fn drop(&mut self) {
        let inner = &self.inner;
        // The source may carry out later what was sent to it.
        let until = if self.ended { Timestamp::ZERO } else { inner.clock.now() + inner.fence_ttl };
        self.keys.iter().for_each(|key| inner.coherence.epochs.end_write(key, until));
        if !self.ended {
            let change = self.change();
            inner.far.iter().for_each(|far| far.enqueue(&change, &inner.coherence));
            inner.coherence.void(&change);
        }
    }
}
