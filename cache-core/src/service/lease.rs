//! The right to fill a key on the shared tier.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::batch::BatchLease;
use super::load::Store;
use super::read::Missing;
use super::store::Origin;
use super::{Cacheable, Inner, Plan};
use crate::entry::{Entry, Token};
use crate::event::Event;
use crate::far::Far;
use crate::key::Key;
use crate::tags::Tags;
use crate::tier::Acquire;

/// The shortest and the longest wait between two looks at a lease of another node. Its end is announced on the bus, so
/// looking is for the case that the announcement, or the holder, is lost.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// What a load may do with its value.
pub(super) enum Permit<T> {
    /// Fill the shared tier, if it still holds the lease.
    Lease(Lease),
    /// There is no shared tier, or it is away: fill the other tiers.
    Unshared,
    /// Another node holds the lease, and has for too long; or the source is being changed: store nothing.
    Barred,
    /// Nothing need be loaded: another node has filled the key.
    Filled(Option<Arc<T>>),
}

/// A lease, given back when dropped.
pub(super) struct Lease {
    inner: Arc<Inner>,
    far: Arc<Far>,
    key: Key,
    token: Token,
    held: bool,
}

impl Inner {
    /// Takes the lease of `key`, waiting for other holders.
    pub(super) async fn permit<T: Cacheable>(self: &Arc<Self>, key: &Key, plan: &Plan, missing: Missing) -> Permit<T> {
        let Some((tier, far)) = self.shared_to_fill(plan).filter(|_| !missing.shared_failed) else {
            return Permit::Unshared;
        };
        let mut over = missing.over;
        let deadline = self.clock.now() + plan.policy.load_limit();
        let mut look = LOOKS.0;
        loop {
            let mut ended = pin!(self.coherence.waiters.lease_end(key.as_str()));
            ended.as_mut().enable();
            let ticket = self.coherence.note(key.as_str());
            let as_of = self.clock.now();
            let mut lease = Lease::new(self, far, key);
            let Some(acquired) = lease.acquire(over, self.lease_ttl).await else { return Permit::Unshared };
            match acquired {
                Acquire::Acquired => return Permit::Lease(lease),
                Acquire::Fenced => return Permit::Barred,
                Acquire::Found(entry) => {
                    let entry = Entry { as_of, ..entry };
                    if plan.access.reads(tier)
                        && let Some(value) = self.accept_found(far, key, &entry, ticket, plan).await
                    {
                        return Permit::Filled(value);
                    }
                    over = Some(entry.token);
                }
                Acquire::Held => {
                    tokio::select! {
                        () = ended => {}
                        () = self.clock.sleep(jittered(look)) => look = (look * 2).min(LOOKS.1),
                    }
                }
            }
            if self.clock.now() >= deadline {
                self.counters.lease_timeouts.increment();
                self.events.emit(Event::LeaseTimedOut { key: key.clone() });
                return Permit::Barred;
            }
        }
    }
}

impl Inner {
    /// Takes the lease of `key` if it is free, without waiting.
    pub(super) async fn try_permit<T: Cacheable>(
        self: &Arc<Self>,
        key: &Key,
        plan: &Plan,
        missing: Missing,
    ) -> BatchLease<T> {
        let Some((_, far)) = self.shared_to_fill(plan).filter(|_| !missing.shared_failed) else {
            return BatchLease::Load(Store::Unshared);
        };
        let ticket = self.coherence.note(key.as_str());
        let as_of = self.clock.now();
        let mut lease = Lease::new(self, far, key);
        match lease.acquire(missing.over, self.lease_ttl).await {
            None => BatchLease::Load(Store::Unshared),
            Some(Acquire::Acquired) => BatchLease::Load(Store::Fill(lease)),
            Some(Acquire::Held | Acquire::Fenced) => BatchLease::Load(Store::Nowhere),
            Some(Acquire::Found(entry)) => {
                let entry = Entry { as_of, ..entry };
                match self.accept_found(far, key, &entry, ticket, plan).await {
                    Some(value) => BatchLease::Filled(value),
                    None => BatchLease::Load(Store::Nowhere),
                }
            }
        }
    }
}

impl Lease {
    fn new(inner: &Arc<Inner>, far: &Arc<Far>, key: &Key) -> Self {
        Self { inner: Arc::clone(inner), far: Arc::clone(far), key: key.clone(), token: Token::random(), held: false }
    }

    /// Asks for the lease. Should the answer never be heard, dropping `self` gives back what may have been taken.
    async fn acquire(&mut self, over: Option<Token>, ttl: Duration) -> Option<Acquire> {
        let shared = self.far.shared()?;
        if !self.far.is_ready() {
            return None;
        }
        self.held = true;
        let acquired = self.far.ask(shared.acquire(&self.key, self.token, over, ttl)).await;
        self.held = matches!(acquired, Some(Acquire::Acquired));
        acquired
    }

    /// Keeps the lease from lapsing, until dropped. When one of `tags` is invalidated it is given back: what is being loaded
    /// will not be stored, and nobody should wait for it. (Keys, patterns and clears remove the lease themselves.)
    pub(super) async fn keep(&self, tags: &Tags, origin: &Origin) -> std::convert::Infallible {
        let Some(shared) = self.far.shared() else { return std::future::pending().await };
        let extend = async {
            loop {
                let ttl = self.inner.lease_ttl;
                self.inner.clock.sleep(ttl / 3).await;
                // A lease that is lost is noticed by the fill.
                self.far.ask(shared.extend(&self.key, self.token, ttl)).await;
            }
        };
        tokio::select! {
            () = self.inner.coherence.rules.overtaken(tags, origin.ticket.rules.tag_sequence) => {}
            () = extend => {}
        }
        self.far.ask(shared.release(&self.key, self.token)).await;
        std::future::pending().await
    }

    /// Fills the key with `entry`: `None` when the tier could not say, `Some(false)` when the lease is no longer there.
    pub(super) async fn fill(mut self, entry: Entry, ttl: Duration) -> Option<bool> {
        let shared = self.far.shared()?;
        let filled = self.far.ask(shared.fill(&self.key, self.token, entry, ttl)).await;
        // Not said to be filled or lost: then it may stand, and is given back.
        self.held = filled.is_none();
        filled
    }

    /// The token that the lease, and so the entry that fills it, carries.
    pub(super) const fn token(&self) -> Token {
        self.token
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Without a runtime, or with the tier away, the lease lapses by itself.
        if self.held && self.far.is_ready() && tokio::runtime::Handle::try_current().is_ok() {
            let (far, key, token) = (Arc::clone(&self.far), self.key.clone(), self.token);
            self.inner.tasks.spawn("release", async move {
                if let Some(shared) = far.shared() {
                    far.ask(shared.release(&key, token)).await;
                }
            });
        }
    }
}

/// Between half of `wait` and all of it, so that waiting nodes do not look in step.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
}
