//! The core of `cache-aside`: the tier traits, the service, the coherence protocol, policies, codecs and errors.
//!
//! Applications depend on the crate `cache-aside`. This crate is for those who write a tier or a codec of their own.

pub mod clock;
pub mod codec;
pub mod coherence;
mod entry;
mod error;
pub mod frame;
mod key;
mod pattern;
mod tier;

pub use entry::{Entry, Token, Value};
pub use error::{Error, LoadError, TierError};
pub use key::{InvalidKey, InvalidNamespace, Key, Namespace};
pub use pattern::{InvalidPattern, Pattern};
pub use tier::{Acquire, Appended, CacheTier, NearTier, SharedTier, Usage};
