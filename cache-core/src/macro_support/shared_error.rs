//! The error of a load that several callers waited for.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt::{self, Debug, Display};
use std::sync::Arc;

/// The error of a load that several callers waited for, or of one that gave no answer: it took too long, or was cut off.
///
/// A cached function's error type that is not `Clone` is made `From` it for all but one of the callers that shared a
/// failed load. `anyhow::Error`, `eyre::Report` and `Box<dyn Error + Send + Sync>` are as they come. It displays as the
/// loader's error, has its sources, and [`SharedError::original`] gives that error itself.
///
/// ```
/// use cache_core::SharedError;
///
/// #[derive(Debug)]
/// enum FindError {
///     Database(std::io::Error),
///     Shared(SharedError),
/// }
///
/// impl From<SharedError> for FindError {
///     fn from(error: SharedError) -> Self {
///         Self::Shared(error)
///     }
/// }
/// ```
#[derive(Clone)]
pub struct SharedError(Cause);

#[derive(Clone)]
enum Cause {
    Source(Arc<dyn Described>),
    TimedOut,
    Cancelled,
}

impl SharedError {
    /// Whether the load took longer than its `load_timeout`.
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        matches!(self.0, Cause::TimedOut)
    }

    /// Whether the service was shut down while the load ran.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        matches!(self.0, Cause::Cancelled)
    }

    /// The loader's error, if it is an `E`.
    #[must_use]
    pub fn original<E: 'static>(&self) -> Option<&E> {
        match &self.0 {
            Cause::Source(source) => source.original().downcast_ref(),
            Cause::TimedOut | Cause::Cancelled => None,
        }
    }

    pub(super) const fn timed_out() -> Self {
        Self(Cause::TimedOut)
    }

    pub(super) const fn cancelled() -> Self {
        Self(Cause::Cancelled)
    }

    fn new(described: impl Described + 'static) -> Self {
        Self(Cause::Source(Arc::new(described)))
    }
}

impl Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Source(source) => source.display(f),
            Cause::TimedOut => f.write_str("the load took longer than its load_timeout"),
            Cause::Cancelled => f.write_str("the cache was shut down during the load"),
        }
    }
}

impl Debug for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedError({self})")
    }
}

impl StdError for SharedError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0 {
            Cause::Source(source) => source.source(),
            Cause::TimedOut | Cause::Cancelled => None,
        }
    }
}

/// What can be said of an error of any type.
trait Described: Send + Sync {
    fn display(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    fn source(&self) -> Option<&(dyn StdError + 'static)>;
    fn original(&self) -> &dyn Any;
}

/// How a [`SharedError`] is made of an `E`.
pub trait Describe<E> {
    /// The error for one more caller.
    fn describe(error: Arc<E>) -> SharedError;
}

macro_rules! descriptions {
    ($($(#[$doc:meta])* $name:ident where $bound:path: $display:expr, $source:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;

            impl<E: $bound + Send + Sync + 'static> Describe<E> for $name {
                fn describe(error: Arc<E>) -> SharedError {
                    struct Description<E>(Arc<E>);
                    impl<E: $bound + Send + Sync + 'static> Described for Description<E> {
                        fn display(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                            let display: fn(&E, &mut fmt::Formatter<'_>) -> fmt::Result = $display;
                            display(&self.0, f)
                        }
                        fn source(&self) -> Option<&(dyn StdError + 'static)> {
                            let source: fn(&E) -> Option<&(dyn StdError + 'static)> = $source;
                            source(&self.0)
                        }
                        fn original(&self) -> &dyn Any {
                            &*self.0
                        }
                    }
                    SharedError::new(Description(error))
                }
            }
        )*
    };
}

/// Errors that hold another: `anyhow::Error`, `eyre::Report`, `Box<dyn Error + Send + Sync>`.
pub trait HoldsError: AsRef<dyn StdError + Send + Sync> {}

impl<E: AsRef<dyn StdError + Send + Sync>> HoldsError for E {}

descriptions! {
    /// By `Error`.
    AsError where StdError: Display::fmt, StdError::source;
    /// By the error within.
    AsHolder where HoldsError: |error, f| Display::fmt(error.as_ref(), f), |error| error.as_ref().source();
    /// By `Display`.
    AsDisplay where Display: Display::fmt, |_| None;
}
