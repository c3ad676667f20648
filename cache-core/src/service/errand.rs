//! What the leader of a flight does: look again, ask the far tiers, take the right to fill, load, store.

use std::sync::Arc;

use super::Inner;
use super::lease::Permit;
use super::loaded::{AnyLoaded, Load};
use super::near::Found;
use super::read::{FarRead, Missing, Wanted};
use super::refresh::{self, Due};
use super::stale::Need;
use super::store::Store;
use crate::coherence::{AtHand, Change};
use crate::entry::Entry;
use crate::far::Manner;
use crate::flight::{End, Leader};
use crate::key::Key;

pub(super) struct Errand<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) wanted: Wanted<'a>,
    flight: &'a Leader,
    /// The entry that is to be replaced, if the errand is for that.
    due: Option<Due>,
    /// Whether callers can go away with what is at hand while the load goes on.
    pub(super) detached: bool,
    /// The freshest value that has been come upon, if it is not fresh enough.
    at_hand: Option<AtHand>,
}

impl Inner {
    pub(super) fn errand<'a>(
        self: &'a Arc<Self>,
        wanted: Wanted<'a>,
        flight: &'a Leader,
        due: Option<Due>,
        detached: bool,
    ) -> Errand<'a> {
        Errand { inner: self, wanted, flight, due, detached, at_hand: None }
    }
}

impl Errand<'_> {
    /// Takes the loader only if it is needed.
    pub(super) async fn run(mut self, load: &mut Option<Load<'_>>) -> End {
        // The flight before this one may have ended since the caller looked.
        match self.inner.find_near(self.wanted) {
            Some(Found::Absent) => return End::Value(None),
            Some(Found::Value(value, at_hand)) => {
                if !self.is_due(&at_hand.entry) {
                    return End::Value(Some(value));
                }
                self.offer(at_hand);
            }
            None => {}
        }
        if self.is_withheld() {
            return End::Withheld;
        }
        let mut missing = Missing::default();
        if self.wanted.plan.access.reads_far() {
            match self.inner.read_far(self.wanted, &|entry| self.is_due(entry)).await {
                FarRead::Found(value) => {
                    self.inner.throttles.forget(self.wanted.key);
                    return End::Value(value);
                }
                FarRead::Missing(found) => missing = found,
            }
            self.learn(&missing);
        }
        if self.is_withheld() {
            return End::Withheld;
        }
        let store = match self.permit(missing).await {
            Permit::Filled(value) => return End::Value(value),
            Permit::Withheld => return End::Withheld,
            Permit::Store(store) => store,
        };
        match load.take() {
            Some(load) => self.load(store, load).await,
            None => End::Withheld,
        }
    }

    /// Whether `entry` is to be loaded anew, though it may still be fresh.
    pub(super) fn is_due(&self, entry: &Entry) -> bool {
        let now = self.inner.clock.now();
        let Entry { fresh_until, cost, .. } = *entry;
        fresh_until <= now
            || self.due.is_some_and(|due| due.covers(entry))
            || (self.detached && refresh::is_early(&self.wanted.plan.policy, fresh_until, cost, now))
    }

    /// Takes note of what was found that is not fresh enough.
    pub(super) fn learn(&mut self, missing: &Missing) {
        if let Some(at_hand) = missing.at_hand.clone() {
            self.offer(at_hand);
        }
    }

    /// Shows callers what is at hand, unless they have seen something fresher.
    fn offer(&mut self, at_hand: AtHand) {
        let at_hand = at_hand.fresher(self.at_hand.take());
        self.flight.offer(&at_hand);
        self.at_hand = Some(at_hand);
    }

    /// Whether what is at hand could be served for want of a load.
    pub(super) fn has_fallback(&self) -> bool {
        self.inner.servable(self.wanted, self.at_hand.as_ref(), Need::Fallback).is_some()
    }

    /// Whether what is at hand could be served without need.
    pub(super) fn can_wait(&self) -> bool {
        self.inner.servable(self.wanted, self.at_hand.as_ref(), Need::AtOnce).is_some()
    }

    /// Whether a load has failed a moment ago, and there is something to serve instead of another.
    fn is_withheld(&self) -> bool {
        let held = self.has_fallback() && self.inner.throttles.hold(self.wanted.key, self.inner.clock.now());
        if held {
            self.inner.counters.throttled.increment();
        }
        held
    }

    async fn load(self, store: Store, load: Load<'_>) -> End {
        let Self { inner, wanted, .. } = &self;
        let replaced = inner.to_replace(wanted.key, self.at_hand.clone());
        let origin = inner.origin(wanted.key);
        let keep = store.keep(wanted.plan.policy.tag_slots(), &origin);
        let loaded = inner.run(Some(wanted.key), wanted.plan, keep, load(replaced.clone())).await;
        match loaded {
            Ok(Some(AnyLoaded { value, kept: false, .. })) => {
                if replaced.is_some() {
                    inner.throttle(*wanted, store);
                }
                End::Value(Some(value))
            }
            Ok(loaded) => {
                let value = loaded.as_ref().map(|loaded| Arc::clone(&loaded.value));
                let closed = matches!(store, Store::Nowhere);
                let stored = inner.store(*wanted, store, origin, loaded, replaced.as_ref()).await;
                // What is newer than the source is not for this load to remove.
                if replaced.is_some() && value.is_none() && !stored && !closed {
                    inner.forget(*wanted).await;
                }
                End::Value(value)
            }
            Err(error) => {
                if replaced.is_some() {
                    inner.note_refresh_failure(*wanted, store);
                }
                End::Failed(error)
            }
        }
    }
}

impl Inner {
    /// What a load that begins now is to replace, of what is `at_hand`.
    pub(super) fn to_replace(&self, key: &Key, at_hand: Option<AtHand>) -> Option<AtHand> {
        let now = self.clock.now();
        let replaced = at_hand.filter(|there| self.coherence.stands(key.as_str(), there, now));
        if replaced.is_some() {
            self.counters.refreshes.increment();
        }
        replaced
    }

    /// Takes note that a value was not replaced, because the load has failed.
    pub(super) fn note_refresh_failure(&self, wanted: Wanted<'_>, store: Store) {
        self.counters.refresh_failures.increment();
        tracing::debug!(target: "cache_aside", key = %wanted.key, "a refresh failed");
        self.throttle(wanted, store);
    }

    /// Keeps this node, and the others where the shared tier has the entry, from loading the key for a while.
    fn throttle(&self, wanted: Wanted<'_>, store: Store) {
        let (throttle, now) = (wanted.plan.policy.throttle(), self.clock.now());
        self.throttles.note(wanted.key, now, now + throttle);
        if let Store::Refill(claim) = store {
            claim.fail(throttle);
        }
    }

    /// The source has no value any more, and that is not stored: what there was must not be served for the rest of its window.
    pub(super) async fn forget(&self, wanted: Wanted<'_>) {
        let change = Change::Keys([wanted.key.clone()].into());
        if wanted.plan.local_only {
            self.coherence.void(&change);
        } else {
            self.invalidate(change, Manner::default()).await;
        }
    }
}
