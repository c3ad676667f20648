//! How the callers that shared a failed load get each an error, for any error type.

use std::error::Error as StdError;
use std::fmt::Display;
use std::marker::PhantomData;
use std::sync::Arc;

use super::returned::{Marker, Shape};
use super::shared_error::{AsDisplay, AsError, AsHolder, Describe, HoldsError, SharedError};

/// An error type.
#[derive(Debug)]
pub struct ErrorsOf<E>(Marker<E>);

/// The error type of a shape.
pub const fn errors_of<S: Shape>(_shape: S) -> ErrorsOf<S::Error> {
    ErrorsOf(PhantomData)
}

/// Finds how callers share an error: the first that holds of `Clone`, `From<SharedError>`, and each loading for itself.
/// Chosen by method look-up, as [`ProbeShape`](super::ProbeShape) is.
pub trait ProbeErrors {
    /// The way found.
    type Found;
    /// The way found.
    fn errors(&self) -> Self::Found;
}

/// Callers share errors by `W`; a load may take as long as `T` says.
#[derive(Debug)]
pub struct Coalesced<E, W, T>(Marker<(E, W, T)>);

/// Callers that waited for a load that failed load for themselves.
#[derive(Debug)]
pub struct Alone<E>(pub(super) Marker<E>);

/// By `Clone`.
#[derive(Debug)]
pub struct ByClone;

/// By `From<SharedError>`, described by `D`.
#[derive(Debug)]
pub struct ByConversion<D>(Marker<D>);

/// The error type can say that a load took too long.
#[derive(Debug)]
pub struct Timed;

/// It cannot, so loads of the function have no limit.
#[derive(Debug)]
pub struct Untimed;

/// How one more caller gets an error.
pub trait Share<E> {
    /// The error for one more caller.
    fn share(error: Arc<E>) -> E;
}

impl<E: Clone> Share<E> for ByClone {
    fn share(error: Arc<E>) -> E {
        Arc::unwrap_or_clone(error)
    }
}

impl<E: From<SharedError>, D: Describe<E>> Share<E> for ByConversion<D> {
    fn share(error: Arc<E>) -> E {
        Arc::try_unwrap(error).unwrap_or_else(|error| D::describe(error).into())
    }
}

/// How an error type says that a load gave no answer.
pub trait Limit<E> {
    /// Whether it can.
    const LIMITED: bool;
    /// The error that says so, if it can.
    fn unanswered(error: SharedError) -> Option<E>;
}

impl<E: From<SharedError>> Limit<E> for Timed {
    const LIMITED: bool = true;
    fn unanswered(error: SharedError) -> Option<E> {
        Some(error.into())
    }
}

impl<E> Limit<E> for Untimed {
    const LIMITED: bool = false;
    fn unanswered(_error: SharedError) -> Option<E> {
        None
    }
}

macro_rules! ways {
    ($($probe:ty, where E: [$($bound:tt)+] => $way:ty;)*) => {
        $(impl<E: $($bound)+ + Send + Sync + 'static> ProbeErrors for $probe {
            type Found = $way;
            fn errors(&self) -> Self::Found {
                Coalesced(PhantomData)
            }
        })*
    };
}

ways! {
    &&&&&ErrorsOf<E>, where E: [Clone + From<SharedError>] => Coalesced<E, ByClone, Timed>;
    &&&&ErrorsOf<E>, where E: [Clone] => Coalesced<E, ByClone, Untimed>;
    &&&ErrorsOf<E>, where E: [From<SharedError> + StdError] => Coalesced<E, ByConversion<AsError>, Timed>;
    &&ErrorsOf<E>, where E: [From<SharedError> + HoldsError] => Coalesced<E, ByConversion<AsHolder>, Timed>;
    &ErrorsOf<E>, where E: [From<SharedError> + Display] => Coalesced<E, ByConversion<AsDisplay>, Timed>;
}

impl<E> ProbeErrors for ErrorsOf<E> {
    type Found = Alone<E>;
    fn errors(&self) -> Alone<E> {
        Alone(PhantomData)
    }
}

/// What `load_timeout` asks of a function's error type.
#[diagnostic::on_unimplemented(
    message = "`load_timeout` needs an error that can say that a load took too long",
    label = "`{Self}` is not `From<cache_aside::SharedError>`",
    note = "implement `From<cache_aside::SharedError>` for the error type, or return `anyhow::Result`",
    note = "a function that returns no `Result` cannot have a `load_timeout`"
)]
pub trait SaysTimeout {}

#[diagnostic::do_not_recommend]
impl<E: From<SharedError>> SaysTimeout for E {}

/// Compiles if `load_timeout` can be used.
pub const fn check_load_timeout<E: SaysTimeout>(_errors: &ErrorsOf<E>) {}
