//! Running an annotated function through the cache.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::failure::{Alone, Coalesced, Limit, Share};
use super::returned::{Of, Payload, Shape};
use crate::{Cacheable, EntryBuilder, LoadError};

/// What a call does with the cached value.
#[derive(Clone, Copy, Debug)]
pub enum Verb {
    /// Return it, or load it if there is none.
    Load,
    /// Drop it, and load it anew.
    Refresh,
}

/// There may be no value.
#[derive(Debug)]
pub struct Optional;

/// There is always a value.
#[derive(Debug)]
pub struct Required;

/// Whether there is always a value, and so which calls of the entry are made.
pub trait Presence {
    /// `T` or `Option<T>`.
    type Of<T>;

    /// Changes the value, if there is one.
    fn map<A, B>(value: Self::Of<A>, change: impl FnOnce(A) -> B) -> Self::Of<B>;

    /// The value as an option.
    fn present<T>(value: Self::Of<T>) -> Option<T>;

    /// A value that is there.
    fn of<T>(value: T) -> Self::Of<T>;

    /// Loads in a task of its own.
    fn spawned<T, E, F, Fut>(
        entry: EntryBuilder<'_>,
        verb: Verb,
        load: F,
    ) -> impl Future<Output = Result<Self::Of<Arc<T>>, LoadError<E>>> + Send
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Self::Of<T>, E>> + Send + 'static;

    /// Loads in the caller's task.
    fn inline<T, E, F, Fut>(
        entry: EntryBuilder<'_>,
        verb: Verb,
        load: F,
    ) -> impl Future<Output = Result<Self::Of<Arc<T>>, LoadError<E>>> + Send
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<Self::Of<T>, E>> + Send;
}

impl Presence for Required {
    type Of<T> = T;

    fn map<A, B>(value: A, change: impl FnOnce(A) -> B) -> B {
        change(value)
    }

    fn present<T>(value: T) -> Option<T> {
        Some(value)
    }

    fn of<T>(value: T) -> T {
        value
    }

    async fn spawned<T, E, F, Fut>(entry: EntryBuilder<'_>, verb: Verb, load: F) -> Result<Arc<T>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        match verb {
            Verb::Load => entry.get_or_load(load).await,
            Verb::Refresh => Box::pin(entry.refresh(load)).await,
        }
    }

    async fn inline<T, E, F, Fut>(entry: EntryBuilder<'_>, verb: Verb, load: F) -> Result<Arc<T>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        match verb {
            Verb::Load => entry.get_or_load_inline(load).await,
            Verb::Refresh => Box::pin(entry.refresh_inline(load)).await,
        }
    }
}

impl Presence for Optional {
    type Of<T> = Option<T>;

    fn map<A, B>(value: Option<A>, change: impl FnOnce(A) -> B) -> Option<B> {
        value.map(change)
    }

    fn present<T>(value: Option<T>) -> Option<T> {
        value
    }

    fn of<T>(value: T) -> Option<T> {
        Some(value)
    }

    async fn spawned<T, E, F, Fut>(entry: EntryBuilder<'_>, verb: Verb, load: F) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<T>, E>> + Send + 'static,
    {
        match verb {
            Verb::Load => entry.get_or_load_optional(load).await,
            Verb::Refresh => Box::pin(entry.refresh_optional(load)).await,
        }
    }

    async fn inline<T, E, F, Fut>(entry: EntryBuilder<'_>, verb: Verb, load: F) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<Option<T>, E>> + Send,
    {
        match verb {
            Verb::Load => entry.get_or_load_optional_inline(load).await,
            Verb::Refresh => Box::pin(entry.refresh_optional_inline(load)).await,
        }
    }
}

impl<E, W, L> Coalesced<E, W, L>
where
    E: Send + Sync + 'static,
    W: Share<E>,
    L: Limit<E>,
{
    /// Answers from the cache, or runs `body` in a task of its own.
    ///
    /// # Panics
    /// The body panicked.
    pub async fn spawned<S, P, F, Fut>(
        self,
        entry: EntryBuilder<'_>,
        verb: Verb,
        _shape: S,
        _payload: P,
        body: F,
    ) -> S::Returned
    where
        S: Shape<Payload = P::Value, Error = E>,
        P: Payload,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = S::Returned> + Send + 'static,
    {
        let load = move || async move { stored::<S, P>(body().await) };
        S::join(self.settle::<S, P>(S::Presence::spawned(Self::limited(entry), verb, load).await))
    }

    /// Answers from the cache, or runs `body` in the caller's task.
    ///
    /// # Panics
    /// The body panicked.
    pub async fn inline<S, P, F, Fut>(
        self,
        entry: EntryBuilder<'_>,
        verb: Verb,
        _shape: S,
        _payload: P,
        body: F,
    ) -> S::Returned
    where
        S: Shape<Payload = P::Value, Error = E>,
        P: Payload,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = S::Returned> + Send,
    {
        let load = move || async move { stored::<S, P>(body().await) };
        S::join(self.settle::<S, P>(S::Presence::inline(Self::limited(entry), verb, load).await))
    }

    fn limited(entry: EntryBuilder<'_>) -> EntryBuilder<'_> {
        if L::LIMITED { entry } else { unlimited(entry) }
    }

    fn settle<S, P>(&self, loaded: Result<Of<S, Arc<P::Stored>>, LoadError<E>>) -> Result<Of<S, P::Value>, E>
    where
        S: Shape,
        P: Payload,
    {
        match loaded {
            Ok(value) => Ok(S::Presence::map(value, P::hand_out)),
            Err(LoadError::Source(error)) => Err(W::share(error)),
            Err(other) => match L::timed_out() {
                Some(error) if matches!(other, LoadError::TimedOut) => Err(error),
                _ => abandoned(&other),
            },
        }
    }
}

impl<E: Send + 'static> Alone<E> {
    /// Answers from the cache, or runs `body` in a task of its own.
    ///
    /// # Panics
    /// The body panicked.
    pub async fn spawned<S, P, F, Fut>(
        self,
        entry: EntryBuilder<'_>,
        verb: Verb,
        _shape: S,
        _payload: P,
        body: F,
    ) -> S::Returned
    where
        S: Shape<Payload = P::Value, Error = E>,
        P: Payload,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = S::Returned> + Send + 'static,
    {
        let seat = Arc::new(Seat::new(body));
        let leader = Arc::clone(&seat);
        let load = move || async move { leader.lead::<S, P, Fut>().await };
        let loaded = S::Presence::spawned(unlimited(entry), verb, load).await;
        seat.settle::<S, P, Fut>(loaded).await
    }
}

impl<E: Send> Alone<E> {
    /// Answers from the cache, or runs `body` in the caller's task.
    ///
    /// # Panics
    /// The body panicked.
    pub async fn inline<S, P, F, Fut>(
        self,
        entry: EntryBuilder<'_>,
        verb: Verb,
        _shape: S,
        _payload: P,
        body: F,
    ) -> S::Returned
    where
        S: Shape<Payload = P::Value, Error = E>,
        P: Payload,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = S::Returned> + Send,
    {
        let seat = Seat::new(body);
        let leader = &seat;
        let load = move || async move { leader.lead::<S, P, Fut>().await };
        let loaded = S::Presence::inline(unlimited(entry), verb, load).await;
        seat.settle::<S, P, Fut>(loaded).await
    }
}

/// That a load failed with an error that only its leader has.
#[derive(Debug)]
struct Kept;

/// A caller whose error type cannot be shared: it takes part in a load with its body, and is left with either the body,
/// if another led, or the error.
struct Seat<F, E> {
    body: Mutex<Option<F>>,
    error: Mutex<Option<E>>,
}

impl<F, E> Seat<F, E> {
    fn new(body: F) -> Self {
        Self { body: Mutex::new(Some(body)), error: Mutex::new(None) }
    }

    /// Runs the body, and keeps its error.
    async fn lead<S, P, Fut>(&self) -> Result<Of<S, P::Stored>, Kept>
    where
        S: Shape<Returned = Fut::Output, Payload = P::Value, Error = E>,
        P: Payload,
        F: FnOnce() -> Fut,
        Fut: Future,
    {
        let Some(body) = take(&self.body) else { return Err(Kept) };
        stored::<S, P>(body().await).map_err(|error| {
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            Kept
        })
    }

    /// What to return: the value, the error of the load that this caller led, or what its own body gives.
    async fn settle<S, P, Fut>(&self, loaded: Result<Of<S, Arc<P::Stored>>, LoadError<Kept>>) -> S::Returned
    where
        S: Shape<Returned = Fut::Output, Payload = P::Value, Error = E>,
        P: Payload,
        F: FnOnce() -> Fut,
        Fut: Future,
    {
        let error = match loaded {
            Ok(value) => return S::join(Ok(S::Presence::map(value, P::hand_out))),
            Err(error) => error,
        };
        if matches!(error, LoadError::Panicked) {
            abandoned(&error);
        }
        if let Some(error) = take(&self.error) {
            return S::join(Err(error));
        }
        let Some(body) = take(&self.body) else { abandoned(&error) };
        body().await
    }
}

/// A panic under either lock is not possible, so a poisoned one is whole.
fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Takes what a body returned apart, for the cache.
fn stored<S, P>(returned: S::Returned) -> Result<Of<S, P::Stored>, S::Error>
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    S::split(returned).map(|value| S::Presence::map(value, P::take_in))
}

/// For functions that cannot say that a load took too long: 100 years, since not every clock counts to the end of time.
fn unlimited(entry: EntryBuilder<'_>) -> EntryBuilder<'_> {
    entry.load_timeout(Duration::from_secs(100 * 365 * 24 * 60 * 60))
}

/// Ends a call whose load panicked or was cancelled with the service: no return value says so. The panic was reported
/// where it happened, so it resumes without another report.
fn abandoned<E>(error: &LoadError<E>) -> ! {
    let reason = match error {
        LoadError::Panicked => "the load that this call of a cached function waited for panicked",
        LoadError::Cancelled => "the service was shut down while this call of a cached function waited for its load",
        LoadError::Source(_) | LoadError::TimedOut => "the load that this call of a cached function waited for gave up",
    };
    resume_unwind(Box::new(reason.to_owned()))
}
