//! The way of a miss: join the flight, ask the far tiers, take the lease, load, store.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tracing::{Instrument, debug_span};

use super::builder::LONGEST_LOAD;
use super::global::in_scope;
use super::lease::{Lease, Permit};
use super::loaded::Loaded;
use super::near::Near;
use super::read::{FarRead, Missing};
use super::store::Origin;
use super::{Cacheable, Inner, Plan};
use crate::clock::Timestamp;
use crate::error::LoadError;
use crate::event::{Event, LoadFailure};
use crate::flight::{Outcome, Role};
use crate::key::Key;
use crate::selection::Tier;

impl Inner {
    /// Loads `key` in a task of its own, or waits for the load that is under way.
    pub(super) async fn load_detached<T, E, L, Fut>(
        self: &Arc<Self>,
        key: &str,
        plan: Plan,
        load: impl FnOnce() -> Fut + Send + 'static,
    ) -> Outcome<T, E>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        L: Into<Loaded<T>>,
        Fut: Future<Output = Result<Option<L>, E>> + Send + 'static,
    {
        let Ok(key) = Key::new(key) else { return self.load_uncached(key, &plan, load).await };
        self.start(None);
        loop {
            match self.coherence.join::<T, E>(&key, plan.access) {
                Role::Follows(follower) => {
                    let outcome = follower.wait().await;
                    if let Some(outcome) = outcome.filter(|outcome| plan.optional || !matches!(outcome, Ok(None))) {
                        self.counters.coalesced.increment();
                        return outcome;
                    }
                }
                Role::Leads(leader) => {
                    let (inner, (send, receive)) = (Arc::clone(self), oneshot::channel());
                    let flight = async move {
                        let outcome = inner.resolve(&key, &plan, load).await;
                        // The caller may have gone away; its flight goes on for the others.
                        let _ = send.send(leader.end(outcome));
                    };
                    self.tasks.spawn("load", in_scope(flight));
                    return receive.await.unwrap_or(Err(LoadError::Cancelled));
                }
            }
        }
    }

    /// Loads `key` in the caller's task, or waits for the load that is under way.
    pub(super) async fn load_inline<T, E, L, Fut>(
        self: &Arc<Self>,
        key: &str,
        plan: Plan,
        load: impl FnOnce() -> Fut + Send,
    ) -> Outcome<T, E>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        L: Into<Loaded<T>>,
        Fut: Future<Output = Result<Option<L>, E>> + Send,
    {
        let Ok(key) = Key::new(key) else { return self.load_uncached(key, &plan, load).await };
        self.start(None);
        loop {
            match self.coherence.join::<T, E>(&key, plan.access) {
                Role::Follows(follower) => {
                    let outcome = follower.wait().await;
                    if let Some(outcome) = outcome.filter(|outcome| plan.optional || !matches!(outcome, Ok(None))) {
                        self.counters.coalesced.increment();
                        return outcome;
                    }
                }
                Role::Leads(leader) => {
                    let outcome = self.resolve(&key, &plan, load).await;
                    return leader.end(outcome);
                }
            }
        }
    }

    async fn load_uncached<T, E, L, Fut>(
        &self,
        key: &str,
        plan: &Plan,
        load: impl FnOnce() -> Fut + Send,
    ) -> Outcome<T, E>
    where
        L: Into<Loaded<T>>,
        Fut: Future<Output = Result<Option<L>, E>> + Send,
    {
        self.note_invalid_key(key);
        self.run(None, plan, None, load).await.map(|loaded| loaded.map(|loaded| loaded.into().value))
    }

    /// What the leader of a flight does.
    async fn resolve<T, E, L, Fut>(
        self: &Arc<Self>,
        key: &Key,
        plan: &Plan,
        load: impl FnOnce() -> Fut + Send,
    ) -> Outcome<T, E>
    where
        T: Cacheable,
        L: Into<Loaded<T>>,
        Fut: Future<Output = Result<Option<L>, E>> + Send,
    {
        // The flight before this one may have ended since the caller looked.
        if plan.access.reads(Tier::NEAR) {
            match self.peek_near(key.as_str(), plan.policy.schema_version()) {
                Near::Hit(value) => return Ok(Some(value)),
                Near::Absent if plan.optional => return Ok(None),
                Near::Absent | Near::Miss => {}
            }
        }
        let mut missing = Missing::default();
        if plan.access.reads_far() {
            match self.read_far(key, plan).await {
                FarRead::Found(value) => return Ok(value),
                FarRead::Missing(found) => missing = found,
            }
        }
        let store = match self.permit(key, plan, missing).await {
            Permit::Filled(value) => return Ok(value),
            Permit::Lease(lease) => Store::Fill(lease),
            Permit::Unshared => Store::Unshared,
            Permit::Barred => Store::Nowhere,
        };
        self.load_and_store(key, plan, store, load).await
    }

    async fn load_and_store<T, E, L, Fut>(
        self: &Arc<Self>,
        key: &Key,
        plan: &Plan,
        store: Store,
        load: impl FnOnce() -> Fut + Send,
    ) -> Outcome<T, E>
    where
        T: Cacheable,
        L: Into<Loaded<T>>,
        Fut: Future<Output = Result<Option<L>, E>> + Send,
    {
        let origin = self.origin(key);
        let lease = store.lease().map(|lease| (lease, &origin));
        let loaded: Option<Loaded<T>> = self.run(Some(key), plan, lease, load).await?.map(Into::into);
        let (value, kept) = loaded.map_or((None, true), |loaded| (Some(loaded.value), loaded.kept));
        if kept {
            self.store(key, plan, store, origin, value.clone()).await;
        }
        Ok(value)
    }

    /// Runs the loader to its end, its panic or its timeout, and keeps the lease meanwhile.
    pub(super) async fn run<R, E, Fut>(
        &self,
        key: Option<&Key>,
        plan: &Plan,
        lease: Option<(&Lease, &Origin)>,
        load: impl FnOnce() -> Fut + Send,
    ) -> Result<R, LoadError<E>>
    where
        Fut: Future<Output = Result<R, E>> + Send,
    {
        let keep = async {
            match lease {
                Some((lease, origin)) => lease.keep(plan.policy.tag_slots(), origin).await,
                None => std::future::pending().await,
            }
        };
        self.run_keeping(key, plan, keep, load).await
    }

    /// Runs the loader to its end, its panic or its timeout, and `keep`, which never ends, beside it.
    pub(super) async fn run_keeping<R, E, Fut>(
        &self,
        key: Option<&Key>,
        plan: &Plan,
        keep: impl Future<Output = std::convert::Infallible> + Send,
        load: impl FnOnce() -> Fut + Send,
    ) -> Result<R, LoadError<E>>
    where
        Fut: Future<Output = Result<R, E>> + Send,
    {
        self.counters.loads.increment();
        let key_shown = key.map(tracing::field::display);
        let span = debug_span!(target: "cache_aside", "cache.load", key = key_shown);
        let began = self.clock.now();
        // The loader's state is gone after a panic, so nobody can see it broken.
        let mut load = pin!(AssertUnwindSafe(async move { load().await }).catch_unwind().instrument(span));
        let result = tokio::select! {
            biased;
            result = &mut load => match result {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(LoadError::Source(Arc::new(error))),
                Err(_panic) => Err(LoadError::Panicked),
            },
            () = self.clock.sleep(plan.policy.load_limit().min(LONGEST_LOAD)) => Err(LoadError::TimedOut),
            never = keep => match never {},
        };
        self.note_load(key, began, &result);
        result
    }
}

impl Inner {
    fn note_load<R, E>(&self, key: Option<&Key>, began: Timestamp, result: &Result<R, LoadError<E>>) {
        let failure = match result {
            Ok(_) => None,
            Err(LoadError::Source(_)) => Some(LoadFailure::Error),
            Err(LoadError::TimedOut) => Some(LoadFailure::TimedOut),
            Err(LoadError::Panicked | LoadError::Cancelled) => Some(LoadFailure::Panicked),
        };
        self.measure_load(self.clock.now().since(began), failure);
        if let Some(failure) = failure {
            self.counters.load_failures.increment();
            self.events.emit(Event::LoadFailed { key: key.cloned(), failure });
        }
    }
}

/// Where a loaded value may go.
pub(super) enum Store {
    /// Into the shared tier, under the lease, and then into the others.
    Fill(Lease),
    /// Into the tiers that are not shared.
    Unshared,
    /// Nowhere.
    Nowhere,
}

impl Store {
    pub(super) const fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Fill(lease) => Some(lease),
            Self::Unshared | Self::Nowhere => None,
        }
    }
}
