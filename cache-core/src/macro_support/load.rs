//! Running an annotated function through the cache.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::failure::{Alone, Coalesced, Limit, Share};
use super::returned::{Of, Payload, Shape};
use crate::service::Loaded;
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

/// Whether there is always a value.
pub trait Presence {
    /// `T` or `Option<T>`.
    type Of<T>;

    /// Whether there may be none.
    const OPTIONAL: bool;

    /// Changes the value, if there is one.
    fn map<A, B>(value: Self::Of<A>, change: impl FnOnce(A) -> B) -> Self::Of<B>;

    /// The value as an option.
    fn present<T>(value: Self::Of<T>) -> Option<T>;

    /// A value that is there.
    fn of<T>(value: T) -> Self::Of<T>;

    /// What a load gave.
    fn loaded<T>(value: Option<T>) -> Self::Of<T>;
}

impl Presence for Required {
    type Of<T> = T;

    const OPTIONAL: bool = false;

    fn map<A, B>(value: A, change: impl FnOnce(A) -> B) -> B {
        change(value)
    }

    fn present<T>(value: T) -> Option<T> {
        Some(value)
    }

    fn of<T>(value: T) -> T {
        value
    }

    fn loaded<T>(value: Option<T>) -> T {
        value.unwrap_or_else(|| unreachable!("a load whose callers take no absence for an answer ended with one"))
    }
}

impl Presence for Optional {
    type Of<T> = Option<T>;

    const OPTIONAL: bool = true;

    fn map<A, B>(value: Option<A>, change: impl FnOnce(A) -> B) -> Option<B> {
        value.map(change)
    }

    fn present<T>(value: Option<T>) -> Option<T> {
        value
    }

    fn of<T>(value: T) -> Option<T> {
        Some(value)
    }

    fn loaded<T>(value: Option<T>) -> Option<T> {
        value
    }
}

/// Loads in a task of its own.
async fn spawned<S, T, E, F, Fut>(entry: EntryBuilder<'_>, verb: Verb, load: F) -> Result<Of<S, Arc<T>>, LoadError<E>>
where
    S: Shape,
    T: Cacheable,
    E: Send + Sync + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<Option<Loaded<T>>, E>> + Send + 'static,
{
    if matches!(verb, Verb::Refresh) {
        Box::pin(entry.clone().invalidate()).await;
    }
    entry.load(S::Presence::OPTIONAL, move |_| load()).await.map(S::Presence::loaded)
}

/// Loads in the caller's task.
async fn inline<S, T, E, F, Fut>(entry: EntryBuilder<'_>, verb: Verb, load: F) -> Result<Of<S, Arc<T>>, LoadError<E>>
where
    S: Shape,
    T: Cacheable,
    E: Send + Sync + 'static,
    F: FnOnce() -> Fut + Send,
    Fut: Future<Output = Result<Option<Loaded<T>>, E>> + Send,
{
    if matches!(verb, Verb::Refresh) {
        Box::pin(entry.clone().invalidate()).await;
    }
    entry.load_inline(S::Presence::OPTIONAL, load).await.map(S::Presence::loaded)
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
    pub async fn spawned<S, P, F, Fut, U>(
        self,
        entry: EntryBuilder<'_>,
        verb: Verb,
        _shape: S,
        _payload: P,
        unless: U,
        body: F,
    ) -> S::Returned
    where
        S: Shape<Payload = P::Value, Error = E>,
        P: Payload,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = S::Returned> + Send + 'static,
        U: FnOnce(&P::Stored) -> bool + Send + 'static,
    {
        let load = move || async move { stored::<S, P>(body().await, unless) };
        S::join(self.settle::<S, P>(spawned::<S, _, _, _, _>(Self::limited(entry), verb, load).await))
    }

    /// Answers from the cache, or runs `body` in the caller's task.
    ///
    /// # Panics
    /// The body panicked.
    pub async fn inline<S, P, F, Fut, U>(
        self,
        entry: EntryBuilder<'_>,
        verb: Verb,
        _shape: S,
        _payload: P,
        unless: U,
        body: F,
    ) -> S::Returned
    where
        S: Shape<Payload = P::Value, Error = E>,
        P: Payload,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = S::Returned> + Send,
        U: FnOnce(&P::Stored) -> bool + Send,
    {
        let load = move || async move { stored::<S, P>(body().await, unless) };
        S::join(self.settle::<S, P>(inline::<S, _, _, _, _>(Self::limited(entry), verb, load).await))
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
    pub async fn spawned<S, P, F, Fut, U>(
        self,
        entry: EntryBuilder<'_>,
        verb: Verb,
        _shape: S,
        _payload: P,
        unless: U,
        body: F,
    ) -> S::Returned
    where
        S: Shape<Payload = P::Value, Error = E>,
        P: Payload,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = S::Returned> + Send + 'static,
        U: FnOnce(&P::Stored) -> bool + Send + 'static,
    {
        let seat = Arc::new(Seat::new(body));
        let leader = Arc::clone(&seat);
        let load = move || async move { leader.lead::<S, P, Fut>(unless).await };
        let loaded = spawned::<S, _, _, _, _>(unlimited(entry), verb, load).await;
        seat.settle::<S, P, Fut>(loaded).await
    }
}

impl<E: Send> Alone<E> {
    /// Answers from the cache, or runs `body` in the caller's task.
    ///
    /// # Panics
    /// The body panicked.
    pub async fn inline<S, P, F, Fut, U>(
        self,
        entry: EntryBuilder<'_>,
        verb: Verb,
        _shape: S,
        _payload: P,
        unless: U,
        body: F,
    ) -> S::Returned
    where
        S: Shape<Payload = P::Value, Error = E>,
        P: Payload,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = S::Returned> + Send,
        U: FnOnce(&P::Stored) -> bool + Send,
    {
        let seat = Seat::new(body);
        let leader = &seat;
        let load = move || async move { leader.lead::<S, P, Fut>(unless).await };
        let loaded = inline::<S, _, _, _, _>(unlimited(entry), verb, load).await;
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
    async fn lead<S, P, Fut>(&self, unless: impl FnOnce(&P::Stored) -> bool) -> Result<Option<Loaded<P::Stored>>, Kept>
    where
        S: Shape<Returned = Fut::Output, Payload = P::Value, Error = E>,
        P: Payload,
        F: FnOnce() -> Fut,
        Fut: Future,
    {
        let Some(body) = take(&self.body) else { return Err(Kept) };
        stored::<S, P>(body().await, unless).map_err(|error| {
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
fn stored<S, P>(
    returned: S::Returned,
    unless: impl FnOnce(&P::Stored) -> bool,
) -> Result<Option<Loaded<P::Stored>>, S::Error>
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    let value = S::Presence::present(S::split(returned)?).map(P::take_in);
    Ok(value.map(|value| Loaded { kept: !unless(&value), value }))
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
