//! The way of a miss, as its caller sees it: join the flight of the key, or start it, and wait.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tracing::{Instrument, debug_span};

use super::builder::LONGEST_LOAD;
use super::global::in_scope;
use super::loaded::{Load, Loader};
use super::near::Near;
use super::read::Wanted;
use super::{Cacheable, Inner, Plan};
use crate::clock::Timestamp;
use crate::erased::{self, AnyError, AnyOutcome, Types};
use crate::error::LoadError;
use crate::event::{Event, LoadFailure};
use crate::flight::{End, Leader, Role};
use crate::key::Key;

impl Inner {
    /// What a caller gets who has looked into the near tier and not found a value that is fresh and settled there.
    pub(super) async fn go_on<T, E>(
        self: &Arc<Self>,
        near: Near<T>,
        key: &str,
        plan: Plan,
        loader: Loader<'_>,
    ) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
    {
        let types = Types::of::<T, E>();
        if let Near::Due(value, due) = near {
            self.refresh(key, plan, types, due, loader);
            return Ok(Some(value));
        }
        erased::outcome(self.load(key, plan, types, loader).await)
    }

    /// The value of `key`: what the tiers have, or what the load that is under way gives, or what `loader` gives.
    pub(super) async fn load(self: &Arc<Self>, key: &str, plan: Plan, types: Types, loader: Loader<'_>) -> AnyOutcome {
        let Ok(key) = Key::new(key) else { return self.load_uncached(key, &plan, loader).await };
        self.start(None);
        let wanted = Wanted { key: &key, plan: &plan, of: types.value };
        let mut loader = Some(loader);
        loop {
            let outcome = match self.coherence.join(&key, types.pair, plan.access, plan.policy.load_limit()) {
                Role::Follows(follower) => {
                    let offers = follower.offers();
                    let ended = async {
                        let end = follower
                            .wait(&*self.clock)
                            .await
                            .filter(|end| plan.optional || !matches!(end, End::Value(None)))?;
                        self.counters.coalesced.increment();
                        Some(end)
                    };
                    self.wait(wanted, offers, ended).await
                }
                Role::Leads(leader) => match loader.take() {
                    Some(Loader::Detached(load)) => {
                        let (outcome, unused) = self.lead_detached(wanted, types, leader, load).await;
                        loader = unused.map(Loader::Detached);
                        outcome
                    }
                    Some(Loader::Inline(load)) => {
                        let mut load = Some(load);
                        let outcome = self.lead_inline(wanted, leader, &mut load).await;
                        loader = load.map(Loader::Inline);
                        outcome
                    }
                    // A loader is used up by a load, and a load has an outcome.
                    None => return Err(LoadError::Cancelled),
                },
            };
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }

    /// Runs the load in a task of the service, and waits for as long as `wanted` has it. Gives the loader back if it was not
    /// used.
    async fn lead_detached(
        self: &Arc<Self>,
        wanted: Wanted<'_>,
        types: Types,
        leader: Leader,
        load: Load<'static>,
    ) -> (Option<AnyOutcome>, Option<Load<'static>>) {
        let (inner, (send, receive), offers) = (Arc::clone(self), oneshot::channel(), leader.offers());
        let (key, plan, of) = (wanted.key.clone(), wanted.plan.clone(), types.value);
        let flight = async move {
            let mut load = Some(load);
            let wanted = Wanted { key: &key, plan: &plan, of };
            let end = inner.errand(wanted, &leader, None, true).run(&mut load).await;
            // The caller may have gone away; its flight goes on for the others.
            let _ = send.send((leader.end(end), load));
        };
        self.tasks.spawn("load", in_scope(flight));
        let mut unused = None;
        let ended = async {
            let Ok((end, load)) = receive.await else { return Some(End::Failed(LoadError::Cancelled)) };
            unused = load;
            Some(end)
        };
        let outcome = self.wait(wanted, offers, ended).await;
        (outcome, unused)
    }

    /// Runs the load in the caller's task.
    async fn lead_inline(
        self: &Arc<Self>,
        wanted: Wanted<'_>,
        leader: Leader,
        load: &mut Option<Load<'_>>,
    ) -> Option<AnyOutcome> {
        let end = leader.watch(&self.clock, self.errand(wanted, &leader, None, false).run(load)).await;
        let at_hand = leader.offers().borrow().clone();
        self.settle(wanted, at_hand.as_ref(), leader.end(end))
    }

    async fn load_uncached(&self, key: &str, plan: &Plan, loader: Loader<'_>) -> AnyOutcome {
        self.note_invalid_key(key);
        let loading = match loader {
            Loader::Detached(load) => load(None),
            Loader::Inline(load) => load(None),
        };
        let loaded = self.run(None, plan, std::future::pending(), loading).await?;
        Ok(loaded.map(|loaded| loaded.value))
    }

    /// Runs a load to its end, its panic or its timeout, and `keep`, which never ends, beside it.
    pub(super) async fn run<R>(
        &self,
        key: Option<&Key>,
        plan: &Plan,
        keep: impl Future<Output = std::convert::Infallible> + Send,
        load: impl Future<Output = Result<R, Arc<AnyError>>> + Send,
    ) -> Result<R, LoadError<AnyError>> {
        self.counters.loads.increment();
        // The loader's state is gone after a panic, so nobody can see it broken.
        let key_shown = key.map(tracing::field::display);
        let span = debug_span!(target: "cache_aside", "cache.load", key = key_shown);
        let began = self.clock.now();
        let mut load = pin!(AssertUnwindSafe(load).catch_unwind().instrument(span));
        let result = tokio::select! {
            biased;
            result = &mut load => match result {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(LoadError::Source(error)),
                Err(_panic) => Err(LoadError::Panicked),
            },
            () = self.clock.sleep(plan.policy.load_limit().min(LONGEST_LOAD)) => Err(LoadError::TimedOut),
            never = keep => match never {},
        };
        self.note_load(key, began, &result);
        result
    }

    fn note_load<R>(&self, key: Option<&Key>, began: Timestamp, result: &Result<R, LoadError<AnyError>>) {
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
