//! Errors: one opaque type for callers, one for tiers, one for loads.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What a call of the service that returns an error failed with.
///
/// Reads never fail for a fault of a tier; see [`LoadError`] for what a loader can do to them.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug)]
enum ErrorKind {
    Key(String),
    Pattern(String),
    Configuration(String),
    Tier(String),
    Full(String),
}

impl Error {
    /// A setting that cannot be used. `message` names the setting, its value and the fix.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Configuration(message.into()), source: None }
    }

    /// The same error, caused by `source`.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Whether a key was invalid.
    #[must_use]
    pub const fn is_invalid_key(&self) -> bool {
        matches!(self.kind, ErrorKind::Key(_))
    }

    /// Whether a pattern was malformed.
    #[must_use]
    pub const fn is_invalid_pattern(&self) -> bool {
        matches!(self.kind, ErrorKind::Pattern(_))
    }

    /// Whether a setting, such as a URL or an environment variable, cannot be used.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(self.kind, ErrorKind::Configuration(_))
    }

    /// Whether a tier failed.
    #[must_use]
    pub const fn is_tier(&self) -> bool {
        matches!(self.kind, ErrorKind::Tier(_))
    }

    /// Whether too much waits already for more to be taken.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self.kind, ErrorKind::Full(_))
    }

    pub(crate) fn full(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Full(message.into()), source: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::Key(text)
            | ErrorKind::Pattern(text)
            | ErrorKind::Configuration(text)
            | ErrorKind::Tier(text)
            | ErrorKind::Full(text) => f.write_str(text),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<crate::key::InvalidKey> for Error {
    fn from(error: crate::key::InvalidKey) -> Self {
        Self { kind: ErrorKind::Key(error.to_string()), source: None }
    }
}

impl From<crate::key::InvalidNamespace> for Error {
    fn from(error: crate::key::InvalidNamespace) -> Self {
        Self::configuration(error.to_string())
    }
}

impl From<crate::pattern::InvalidPattern> for Error {
    fn from(error: crate::pattern::InvalidPattern) -> Self {
        Self { kind: ErrorKind::Pattern(error.to_string()), source: None }
    }
}

impl From<TierError> for Error {
    fn from(error: TierError) -> Self {
        Self { kind: ErrorKind::Tier(error.to_string()), source: Some(Box::new(error)) }
    }
}

/// Why a tier could not do what it was asked.
///
/// The message must hold no secret: it is logged and shown by `status()`.
#[derive(Clone, Debug)]
pub struct TierError {
    kind: TierErrorKind,
    message: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TierErrorKind {
    Unavailable,
    TimedOut,
    Refused,
    Partial,
}

impl TierError {
    /// The tier cannot be reached: nothing was done, or nobody knows whether it was.
    pub fn unavailable(message: impl Into<Arc<str>>) -> Self {
        Self { kind: TierErrorKind::Unavailable, message: message.into() }
    }

    /// The tier did not answer in time.
    pub fn timed_out(message: impl Into<Arc<str>>) -> Self {
        Self { kind: TierErrorKind::TimedOut, message: message.into() }
    }

    /// The tier answered, with a refusal: it works, but not for this call (wrong type, no permission, out of memory).
    pub fn refused(message: impl Into<Arc<str>>) -> Self {
        Self { kind: TierErrorKind::Refused, message: message.into() }
    }

    /// A part of the tier is out of reach, and this call needed it: nothing was done there, or nobody knows whether it was.
    pub fn partial(message: impl Into<Arc<str>>) -> Self {
        Self { kind: TierErrorKind::Partial, message: message.into() }
    }

    /// Whether the tier answered with a refusal: nothing was done, and nothing will be.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.kind == TierErrorKind::Refused
    }

    /// Whether the tier did not answer in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.kind == TierErrorKind::TimedOut
    }

    /// Whether the tier is out of reach or too slow, so that the next call would likely fare no better.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        !matches!(self.kind, TierErrorKind::Refused | TierErrorKind::Partial)
    }
}

impl fmt::Display for TierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for TierError {}

/// Why a load gave no value.
#[non_exhaustive]
pub enum LoadError<E: ?Sized> {
    /// The loader failed; every coalesced caller shares its error.
    Source(Arc<E>),
    /// The load took longer than [`Policy::load_timeout`](crate::Policy::load_timeout).
    TimedOut,
    /// The loader panicked.
    Panicked,
    /// The service was shut down while the load ran.
    Cancelled,
}

impl<E: ?Sized> LoadError<E> {
    /// The loader's own error, if it is what failed.
    #[must_use]
    pub fn source_error(&self) -> Option<&E> {
        match self {
            Self::Source(error) => Some(error),
            Self::TimedOut | Self::Panicked | Self::Cancelled => None,
        }
    }
}

impl<E: ?Sized> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Source(error) => Self::Source(Arc::clone(error)),
            Self::TimedOut => Self::TimedOut,
            Self::Panicked => Self::Panicked,
            Self::Cancelled => Self::Cancelled,
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => f.debug_tuple("Source").field(error).finish(),
            Self::TimedOut => f.write_str("TimedOut"),
            Self::Panicked => f.write_str("Panicked"),
            Self::Cancelled => f.write_str("Cancelled"),
        }
    }
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::TimedOut => f.write_str("the load took longer than its load_timeout"),
            Self::Panicked => f.write_str("the loader panicked"),
            Self::Cancelled => f.write_str("the cache was shut down during the load"),
        }
    }
}

impl<E: StdError + 'static> StdError for LoadError<E> {
    /// The source of the loader's error: this error displays as that error itself.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Source(error) => error.source(),
            Self::TimedOut | Self::Panicked | Self::Cancelled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_error_displays_as_the_loaders_error_and_has_its_source() {
        let inner = Error::configuration("outer").with_source(std::io::Error::other("inner"));
        let error = LoadError::Source(Arc::new(inner));
        assert_eq!(error.to_string(), "outer");
        assert_eq!(error.source().unwrap().to_string(), "inner");
        let boxed: Box<dyn StdError + Send + Sync> = Box::new(error);
        assert_eq!(boxed.to_string(), "outer");
    }

    #[test]
    fn a_load_error_clones_without_its_error_being_clone() {
        struct NotClone;
        let error = LoadError::Source(Arc::new(NotClone));
        assert!(error.clone().source_error().is_some());
        assert!(LoadError::<NotClone>::TimedOut.clone().source_error().is_none());
    }
}
