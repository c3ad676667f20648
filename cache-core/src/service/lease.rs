//! The right to fill a key on the shared tier.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use super::claim::Claim;
use super::errand::Errand;
use super::read::{FarRead, Missing, Wanted};
use super::store::{Origin, Store};
use crate::entry::{Entry, Token};
use crate::erased::AnyValue;
use crate::event::Event;
use crate::far::Far;
use crate::key::Key;
use crate::selection::Tier;
use crate::tags::Tags;
use crate::tier::{self, Acquire};

/// The shortest and the longest wait between two looks at a lease of another node. Its end is announced on the bus, so
/// looking is for the case that the announcement, or the holder, is lost.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// What becomes of a load.
pub(super) enum Permit {
    /// It is run, and its value goes there.
    Store(Store),
    /// It is not to be run now, and there is something to serve instead.
    Withheld,
    /// It need not be run: another node has filled the key.
    Filled(Option<AnyValue>),
}

/// A lease, given back when dropped.
pub(super) struct Lease {
    inner: Arc<Inner>,
    far: Arc<Far>,
    key: Key,
    token: Token,
    held: bool,
}

impl Errand<'_> {
    /// Takes the right to fill the key in the shared tier, waiting for others that have it.
    pub(super) async fn permit(&mut self, mut missing: Missing) -> Permit {
        let Wanted { key, plan, .. } = self.wanted;
        let inner = self.inner;
        let Some((tier, far)) = inner.shared_to_fill(plan).filter(|_| !missing.shared_failed) else {
            return Permit::Store(Store::Unshared);
        };
        let deadline = inner.clock.now() + plan.policy.load_limit();
        let mut look = LOOKS.0;
        loop {
            let mut ended = pin!(inner.coherence.waiters.lease_end(key.as_str()));
            ended.as_mut().enable();
            self.learn(&missing);
            let step = match self.usable_token(&missing) {
                Some(token) => self.claim(far, token).await,
                None => self.acquire(far, tier, &mut missing).await,
            };
            match step {
                Step::Done(permit) => return permit,
                Step::Changed => {}
                Step::Gone => match inner.read_far(self.wanted, &|entry| self.is_due(entry)).await {
                    FarRead::Found(value) => return Permit::Filled(value),
                    FarRead::Missing(found) if found.shared_failed => return Permit::Store(Store::Unshared),
                    // It is there, and closed to loads: what was written to it has yet to reach the source.
                    FarRead::Missing(found) if found.over.is_some() && found.over == missing.over => {
                        return Permit::Store(Store::Nowhere);
                    }
                    FarRead::Missing(found) => missing = found,
                },
                Step::Held if !self.detached && self.can_wait() => return Permit::Withheld,
                Step::Held => tokio::select! {
                    () = ended => {}
                    () = inner.clock.sleep(jittered(look)) => look = (look * 2).min(LOOKS.1),
                },
            }
            if inner.clock.now() >= deadline {
                inner.counters.lease_timeouts.increment();
                inner.events.emit(Event::LeaseTimedOut { key: key.clone() });
                return if self.has_fallback() { Permit::Withheld } else { Permit::Store(Store::Nowhere) };
            }
        }
    }

    /// The token of the shared tier's entry, if that may still be of use to others, and so is not to be removed.
    fn usable_token(&self, missing: &Missing) -> Option<Token> {
        let at_hand = missing.at_hand.as_ref().filter(|at_hand| Some(at_hand.entry.token) == missing.over)?;
        let stands = self.inner.coherence.stands(self.wanted.key.as_str(), at_hand, self.inner.clock.now());
        stands.then_some(at_hand.entry.token)
    }

    async fn claim(&self, far: &Arc<Far>, over: Token) -> Step {
        let (inner, key) = (self.inner, self.wanted.key);
        let mut claim = Claim::unclaimed(inner, far, key, over);
        match claim.take().await {
            None => Step::Done(Permit::Store(Store::Unshared)),
            Some(tier::Claim::Claimed) => Step::Done(Permit::Store(Store::Refill(claim))),
            Some(tier::Claim::Taken) => Step::Held,
            Some(tier::Claim::Gone) => Step::Gone,
            Some(tier::Claim::Throttled(left)) => {
                let now = inner.clock.now();
                inner.throttles.note(key, now, now + left);
                if self.has_fallback() {
                    inner.counters.throttled.increment();
                    return Step::Done(Permit::Withheld);
                }
                // This caller has nothing to fall back on.
                Step::Done(Permit::Store(Store::Refill(claim)))
            }
        }
    }

    async fn acquire(&self, far: &Arc<Far>, tier: Tier, missing: &mut Missing) -> Step {
        let inner = self.inner;
        let mut reading = inner.reading(self.wanted, &|_| false);
        let asked = inner.asked(far);
        let mut lease = Lease::new(inner, far, self.wanted.key);
        let Some(acquired) = lease.acquire(missing.over, inner.lease_ttl).await else {
            return Step::Done(Permit::Store(Store::Unshared));
        };
        let entry = match acquired {
            Acquire::Acquired => return Step::Done(Permit::Store(Store::Fill(lease))),
            Acquire::Fenced => return Step::Done(Permit::Store(Store::Nowhere)),
            Acquire::Held => return Step::Held,
            Acquire::Found(entry) => Entry { as_of: asked.as_of, ..entry },
        };
        missing.over = Some(entry.token);
        if self.wanted.plan.access.reads(tier) && inner.is_current(far, asked).await {
            if let Some(value) = inner.take_in(&mut reading, far, 0, Some(entry)).await {
                return Step::Done(Permit::Filled(value));
            }
            *missing = reading.missing;
        }
        Step::Changed
    }
}

/// How far the attempt to take the right to fill a key has come.
enum Step {
    Done(Permit),
    /// Another node has it.
    Held,
    /// The entry that was to be replaced is gone.
    Gone,
    /// There is another entry than before.
    Changed,
}

impl Inner {
    /// Takes the right to fill a key if it is free, without waiting.
    pub(super) async fn try_permit(self: &Arc<Self>, wanted: Wanted<'_>, missing: &Missing) -> Permit {
        let Some((tier, far)) = self.shared_to_fill(wanted.plan).filter(|_| !missing.shared_failed) else {
            return Permit::Store(Store::Unshared);
        };
        let stale = missing.at_hand.as_ref().filter(|at_hand| Some(at_hand.entry.token) == missing.over);
        if let Some(at_hand) = stale {
            let mut claim = Claim::unclaimed(self, far, wanted.key, at_hand.entry.token);
            return Permit::Store(match claim.take().await {
                None => Store::Unshared,
                Some(tier::Claim::Claimed) => Store::Refill(claim),
                Some(tier::Claim::Throttled(left)) => {
                    let now = self.clock.now();
                    self.throttles.note(wanted.key, now, now + left);
                    return Permit::Withheld;
                }
                Some(_) => Store::Nowhere,
            });
        }
        let mut reading = self.reading(wanted, &|_| false);
        let asked = self.asked(far);
        let mut lease = Lease::new(self, far, wanted.key);
        let is_read = wanted.plan.access.reads(tier);
        let mut acquired = lease.acquire(missing.over, self.lease_ttl).await;
        if let Some(Acquire::Found(entry)) = &acquired
            && !is_read
        {
            // The call does not read what is there, and replaces it.
            acquired = lease.acquire(Some(entry.token), self.lease_ttl).await;
        }
        match acquired {
            None => Permit::Store(Store::Unshared),
            Some(Acquire::Acquired) => Permit::Store(Store::Fill(lease)),
            Some(Acquire::Held | Acquire::Fenced) => Permit::Store(Store::Nowhere),
            // It was replaced meanwhile.
            Some(Acquire::Found(_)) if !is_read => Permit::Store(Store::Nowhere),
            Some(Acquire::Found(entry)) => {
                let usable = self.is_current(far, asked).await;
                let entry = usable.then_some(Entry { as_of: asked.as_of, ..entry });
                let found = self.take_in(&mut reading, far, 0, entry).await;
                found.map_or(Permit::Store(Store::Nowhere), Permit::Filled)
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
        self.held = matches!(acquired, None | Some(Acquire::Acquired));
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
