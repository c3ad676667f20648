//! Running an annotated function through the cache.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::call::Call;
use super::failure::{Alone, Coalesced, Limit, Share};
use super::returned::{Payload, Shape};
use super::shared_error::SharedError;
use crate::LoadError;
use crate::erased::{self, AnyError, AnyValue, Types};
use crate::service::{Answering, AnyLoaded, Load, Loader, Loading};

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

/// A function's body, boxed: of all that is compiled for an annotated function, only this is not shared with others that
/// return the same type. It begins when it is first polled.
pub type Body<'a, R> = Pin<Box<dyn Future<Output = R> + Send + 'a>>;

/// A loaded value is not stored if this holds of it.
pub type Unless<T> = Option<fn(&T) -> bool>;

/// What a function returns for a value that is there or, if it may be absent, is not.
fn handed_out<S, P>(value: Option<AnyValue>) -> S::Returned
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    S::join(Ok(S::Presence::loaded(value.map(|value| P::hand_out(erased::value(value))))))
}

/// What is left of an error that goes to those who wait for a load.
trait Keep<E>: Send {
    fn keep(self, error: E) -> Arc<AnyError>;
}

/// They share it.
struct InArc;

impl<E: Send + Sync + 'static> Keep<E> for InArc {
    fn keep(self, error: E) -> Arc<AnyError> {
        Arc::new(error)
    }
}

/// That a load failed with an error that only its leader has.
#[derive(Debug)]
struct Kept;

/// Where a caller finds the error of a load that it led.
pub type Slot<E> = Arc<Mutex<Option<E>>>;

impl<E: Send> Keep<E> for Slot<E> {
    fn keep(self, error: E) -> Arc<AnyError> {
        *self.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Arc::new(Kept)
    }
}

/// The body without its types.
fn erase<'a, S, P>(
    body: Body<'a, S::Returned>,
    unless: Unless<P::Stored>,
    keep: impl Keep<S::Error> + 'a,
) -> Loading<'a>
where
    S: Shape<Payload = P::Value> + 'a,
    P: Payload,
{
    Box::pin(async move {
        let value = match S::split(body.await) {
            Ok(value) => S::Presence::present(value),
            Err(error) => return Err(keep.keep(error)),
        };
        let Some(value) = value else { return Ok(None) };
        let kept = match unless {
            Some(unless) => !unless(P::stored(&value)),
            None => true,
        };
        Ok(Some(AnyLoaded::new(P::take_in(value), kept)))
    })
}

impl<E, W, L> Coalesced<E, W, L>
where
    E: Send + Sync + 'static,
    W: Share<E>,
    L: Limit<E>,
{
    /// What the near tier has; else runs `body` in a task of its own, or waits for another's run.
    ///
    /// # Panics
    /// The future does if the body panicked, or was cut off and the error type cannot say so.
    pub fn spawned<'a, S, P>(
        &self,
        call: Call,
        _shape: S,
        _payload: P,
        unless: Unless<P::Stored>,
        body: Body<'static, S::Returned>,
    ) -> Body<'a, S::Returned>
    where
        S: Shape<Payload = P::Value, Error = E> + 'static,
        P: Payload,
    {
        let load = erase::<S, P>(body, unless, InArc);
        settled_shared::<S, P, E, W, L>(call, Loader::Detached(once(load)))
    }

    /// What the near tier has; else runs `body` in the caller's task, or waits for another's run.
    ///
    /// # Panics
    /// The future does if the body panicked, or was cut off and the error type cannot say so.
    pub fn inline<'a, S, P>(
        &self,
        call: Call,
        _shape: S,
        _payload: P,
        unless: Unless<P::Stored>,
        body: Body<'a, S::Returned>,
    ) -> Body<'a, S::Returned>
    where
        S: Shape<Payload = P::Value, Error = E> + 'a,
        P: Payload,
    {
        let load = erase::<S, P>(body, unless, InArc);
        settled_shared::<S, P, E, W, L>(call, Loader::Inline(once(load)))
    }
}

/// What to return where callers share errors.
fn settled_shared<'a, S, P, E, W, L>(call: Call, loader: Loader<'a>) -> Body<'a, S::Returned>
where
    S: Shape<Payload = P::Value, Error = E>,
    P: Payload,
    E: Send + Sync + 'static,
    W: Share<E>,
    L: Limit<E>,
{
    let call = if L::LIMITED { call } else { unlimited(call) };
    let answer = call.answer::<P::Stored>(Types::of::<P::Stored, E>(), S::Presence::OPTIONAL, loader);
    Box::pin(async move {
        let error = match answer.await {
            Ok(value) => return handed_out::<S, P>(value),
            Err(error) => erased::error::<E>(error),
        };
        let shared = match &error {
            LoadError::TimedOut => Some(SharedError::timed_out()),
            LoadError::Cancelled => Some(SharedError::cancelled()),
            LoadError::Source(_) | LoadError::Panicked => None,
        };
        match (error, shared.and_then(L::unanswered)) {
            (LoadError::Source(error), _) => S::join(Err(W::share(error))),
            (_, Some(error)) => S::join(Err(error)),
            (other, None) => abandoned(&other),
        }
    })
}

impl<E: Send> Alone<E> {
    /// What the near tier has; else runs `body` in a task of its own, or waits for another's run.
    ///
    /// # Panics
    /// The future does if the body panicked, or was cut off and the error type cannot say so.
    pub fn spawned<'a, S, P>(
        &self,
        call: Call,
        _shape: S,
        _payload: P,
        unless: Unless<P::Stored>,
        body: Body<'static, S::Returned>,
    ) -> Body<'a, S::Returned>
    where
        S: Shape<Payload = P::Value, Error = E> + 'static,
        P: Payload,
        E: 'static,
    {
        let slot = Slot::default();
        let load = erase::<S, P>(body, unless, Arc::clone(&slot));
        settled_alone::<S, P>(call, load, slot, Loader::Detached)
    }

    /// What the near tier has; else runs `body` in the caller's task, or waits for another's run.
    ///
    /// # Panics
    /// The future does if the body panicked, or was cut off and the error type cannot say so.
    pub fn inline<'a, S, P>(
        &self,
        call: Call,
        _shape: S,
        _payload: P,
        unless: Unless<P::Stored>,
        body: Body<'a, S::Returned>,
    ) -> Body<'a, S::Returned>
    where
        S: Shape<Payload = P::Value, Error = E> + 'a,
        P: Payload,
        E: 'a,
    {
        let slot = Slot::default();
        let load = erase::<S, P>(body, unless, Arc::clone(&slot));
        settled_alone::<S, P>(call, load, slot, Loader::Inline)
    }
}

/// What to return where each caller has the error of its own load.
fn settled_alone<'a, 'l: 'a, S, P>(
    call: Call,
    load: Loading<'l>,
    kept: Slot<S::Error>,
    loader: fn(Load<'l>) -> Loader<'a>,
) -> Body<'a, S::Returned>
where
    S: Shape<Payload = P::Value, Error: Send + 'a>,
    P: Payload,
{
    let seat = Arc::new(Mutex::new(Some(load)));
    let answer = unlimited(call).answer::<P::Stored>(
        Types::of::<P::Stored, Kept>(),
        S::Presence::OPTIONAL,
        loader(once(lead(Arc::clone(&seat)))),
    );
    let answer = take_part(answer, seat);
    Box::pin(async move {
        let error = match answer.await {
            Ok(value) => return handed_out::<S, P>(value),
            Err(error) => error,
        };
        match take(&kept) {
            Some(error) => S::join(Err(error)),
            None => abandoned(&error),
        }
    })
}

/// Where a load waits for whoever runs it.
type Seat<'l> = Arc<Mutex<Option<Loading<'l>>>>;

/// The load of the caller that leads.
fn lead(seat: Seat<'_>) -> Loading<'_> {
    Box::pin(async move {
        match take(&seat) {
            Some(load) => load.await,
            None => Err(Arc::new(Kept) as Arc<AnyError>),
        }
    })
}

/// Takes part in a load whose error cannot be shared. If it fails while another leads it, this caller's own load is run.
fn take_part<'a, 'l: 'a>(answer: Answering<'a>, seat: Seat<'l>) -> Answering<'a> {
    Box::pin(async move {
        let error = match answer.await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let own = take(&seat).filter(|_| !matches!(error, LoadError::Panicked));
        match own {
            Some(load) => Ok(load.await.map_err(LoadError::Source)?.map(|loaded| loaded.value)),
            None => Err(error),
        }
    })
}

/// A load that has been made already, as a loader.
fn once(load: Loading<'_>) -> Load<'_> {
    Box::new(move |_| load)
}

/// A panic under the lock is not possible, so a poisoned one is whole.
fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// For functions that cannot say that a load took too long: 100 years, since not every clock counts to the end of time.
fn unlimited(call: Call) -> Call {
    call.load_timeout(Duration::from_secs(100 * 365 * 24 * 60 * 60))
}

/// Ends a call whose load gave no answer, where no return value can say so. A panic of the load was reported where it happened,
/// so it is not reported again.
fn abandoned<E: ?Sized>(error: &LoadError<E>) -> ! {
    match error {
        LoadError::Panicked => {
            resume_unwind(Box::new("the load that this call of a cached function waited for panicked".to_owned()))
        }
        LoadError::Cancelled => {
            panic!("the service was shut down while this call of a cached function waited for its load")
        }
        LoadError::Source(_) | LoadError::TimedOut => {
            panic!("the load that this call of a cached function waited for gave up")
        }
    }
}
