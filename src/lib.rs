//! A two-tier cache-aside client: L1 in the process (moka), L2 in Redis, kept coherent between processes.
//!
//! ```
//! use cache_aside::{CachingService, LocalTier};
//! # #[derive(serde::Serialize, serde::Deserialize)]
//! # struct User { name: String }
//! # async fn query_user(id: u64) -> Result<User, std::io::Error> { Ok(User { name: format!("user {id}") }) }
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cache = CachingService::builder().local(LocalTier::new(10_000)).build().await?;
//! let user = cache.get_or_load("user:7", || query_user(7)).await?;
//! assert_eq!(user.name, "user 7");
//! cache.invalidate("user:7").await;
//! # Ok(())
//! # }
//! ```
//!
//! - [`CachingService`] has every call; [`CachingServiceBuilder`] every setting, and [`CachingService::from_env`] takes
//!   them from the environment.
//! - [`LocalTier`] and [`RedisTier`] are the tiers; [`CacheTier`] is what a tier of your own implements.
//! - [`Policy`] says how long values live, for a service or, by [`CachingService::entry`], for one call.
//! - [`LoadError`] is what a read can fail with; [`Receipt`] says what became of a write or an invalidation.
//! - [`Status`] and [`Stats`] are for operators. Each [`Event`] goes to the handler of
//!   [`on_event`](CachingServiceBuilder::on_event), and to `tracing`.
//!
//! Reads do not fail because a tier does, and do not wait for one longer than its timeouts. The
//! [README](https://github.com/cache-aside/cache-aside#readme) says what a caller gets when Redis is down, and what is
//! promised about stale values.
//!
//! # Runtime
//! Tokio. A service starts its tasks on the runtime of its first call, and they end when the last clone is dropped or by
//! [`CachingService::shutdown`], which also delivers what is queued.
//!
//! # Features
//! | feature | default | what it adds |
//! |---|---|---|
//! | `local` | yes | [`LocalTier`], the tier in the process |
//! | `redis` | yes | [`RedisTier`], the shared tier |
//! | `macros` | yes | [`macro@cached`], [`macro@cache_put`], [`macro@cache_invalidate`] |
//! | `json` | yes | [`Json`], the default codec |
//! | `msgpack` | no | `codec::MessagePack` |
//! | `postcard` | no | `codec::Postcard` |
//! | `lz4` | no | `codec::Compressed::lz4` over another codec |
//! | `zstd` | no | `codec::Compressed::zstd` over another codec |
//! | `encryption` | no | `codec::Encrypted` over another codec |
//! | `metrics` | no | counters, gauges and histograms for the [`metrics`](https://docs.rs/metrics) facade |
//! | `cluster` | no | `RedisTier::cluster`, for a Redis Cluster |
//! | `sentinel` | no | `RedisTier::sentinel`, for a primary that Redis Sentinels watch over |
//! | `tls` | no | `rediss://` URLs, through rustls |
//! | `uuid` | no | `Uuid` as a part of a key: [`CacheKey`] |

mod backends;

pub use cache_core::codec::Codec;
#[cfg(feature = "json")]
pub use cache_core::codec::Json;
#[doc(hidden)]
#[cfg(feature = "macros")]
pub use cache_core::macro_support as __private;
pub use cache_core::{
    Acquire, Answer, Appended, Backlog, BatchBuilder, BusStatus, CacheKey, CacheTier, Cacheable, Claim, DeadLetter,
    DeadWrite, Delivery, Entry, EntryBuilder, Error, Event, InvalidKey, InvalidNamespace, InvalidPattern, Kept,
    KeptWrite, Key, KeyScan, KeyWriter, Keyspace, KeyspaceBuilder, KeyspaceKey, KeyspaceSource, KeyspaceStats,
    KeyspaceTierStats, LoadContext, LoadError, LoadFailure, LoadedBy, Namespace, NearTier, NewWrite, NoLoader,
    Partition, Pattern, PendingWrite, Policy, Preload, PreloadProgress, Put, PutOutcome, Receipt, Settle, SharedError,
    SharedTier, Stats, Status, TagSlot, Tags, Taken, TierError, TierState, TierStats, TierStatus, Token, Usage, Value,
    WriteBehind, WriteBehindBuilder, WriteBehindStats, WriteLog, clock, codec, coherence, frame,
};
#[cfg(feature = "local")]
pub use cache_local::{EvictionPolicy, LocalTier, LocalTierBuilder};
#[cfg(feature = "macros")]
pub use cache_macros::{CacheKey, cache_invalidate, cache_put, cached};
#[cfg(feature = "redis")]
pub use cache_redis::{RedisTier, RedisTierBuilder, Wire};

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
    #[cfg(feature = "macros")]
    pub use crate::{cache_invalidate, cache_put, cached};
}

/// The code of the README, which is compiled and run with the documentation tests.
#[cfg(all(doctest, feature = "local", feature = "redis", feature = "macros", feature = "json"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The same for the guide.
#[cfg(all(doctest, feature = "local", feature = "redis", feature = "macros", feature = "json"))]
#[doc = include_str!("../docs/coming-from-other-caches.md")]
struct Guide;
