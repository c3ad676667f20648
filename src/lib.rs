//! A two-tier cache-aside client: moka in the process, Redis behind it, coherent over pub/sub.
//!
//! See the README for a start, and [`CachingService`] for every call.
//!
//! # Features
//! | feature | default | what it adds |
//! |---|---|---|
//! | `local` | yes | [`LocalTier`], the tier in the process |
//! | `redis` | yes | [`RedisTier`], the shared tier |
//! | `macros` | yes | [`macro@cached`] |
//! | `json` | yes | [`Json`], the default codec |

mod backends;

pub use cache_core::codec::Codec;
#[cfg(feature = "json")]
pub use cache_core::codec::Json;
#[doc(hidden)]
#[cfg(feature = "macros")]
pub use cache_core::macro_support as __private;
pub use cache_core::{
    Acquire, Appended, BusStatus, CacheKey, CacheTier, Cacheable, Delivery, Entry, EntryBuilder, Error, InvalidKey,
    InvalidNamespace, InvalidPattern, Key, KeyWriter, LoadError, Namespace, NearTier, Pattern, Policy, Receipt,
    SharedError, SharedTier, Stats, Status, TierError, TierState, TierStats, TierStatus, Token, Usage, Value, clock,
    codec, coherence, frame,
};
#[cfg(feature = "local")]
pub use cache_local::{LocalTier, LocalTierBuilder};
#[cfg(feature = "macros")]
pub use cache_macros::cached;
#[cfg(feature = "redis")]
pub use cache_redis::{RedisTier, RedisTierBuilder};

pub use backends::Standard;

/// A cache-aside service over one or more tiers: see [`cache_core::CachingService`].
pub type CachingService = cache_core::CachingService<Standard>;

/// Builds a [`CachingService`]: see [`cache_core::CachingServiceBuilder`].
pub type CachingServiceBuilder = cache_core::CachingServiceBuilder<Standard>;

/// What most programs need.
pub mod prelude {
    #[cfg(feature = "local")]
    pub use crate::LocalTier;
    #[cfg(feature = "redis")]
    pub use crate::RedisTier;
    pub use crate::{CachingService, Delivery, Error, LoadError, Policy, Receipt};
}
