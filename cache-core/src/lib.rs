//! The core of `cache-aside`: the tier traits, the service, the coherence protocol, policies, codecs and errors.
//!
//! Applications depend on the crate `cache-aside`. This crate is for those who write a tier or a codec of their own:
//!
//! - [`CacheTier`] is what every tier implements. A tier that answers without waiting can be the near one by [`NearTier`].
//!   One that nodes share, and that can compare and set, can offer leases and the journal by [`SharedTier`].
//! - [`Entry`] is what a tier keeps under a [`Key`]. A tier that stores bytes writes and reads it by [`frame`].
//! - [`codec::Codec`] turns values into bytes.
//! - [`coherence`] has the records of the journal and the traits by which a shared tier delivers them.
//! - [`clock`] has the clock that tests move.
//!
//! It knows no tier: neither moka nor Redis occurs in it.

// What is fuzzed names the crate, since it is compiled in fuzz/ as well.
#[cfg(test)]
extern crate self as cache_core;

mod breaker;
pub mod clock;
pub mod codec;
pub mod coherence;
mod entry;
mod erased;
mod error;
mod event;
mod far;
mod flight;
pub mod frame;
#[cfg(test)]
#[allow(unreachable_pub, reason = "they are reached in fuzz/")]
mod fuzz_targets;
#[cfg(test)]
mod fuzzed;
mod key;
#[doc(hidden)]
pub mod macro_support;
mod pattern;
mod policy;
mod selection;
mod service;
mod stats;
mod status;
mod striped;
mod sync;
mod tags;
mod tasks;
mod throttle;
mod tier;

pub use entry::{Entry, Token, Value};
pub use error::{Error, LoadError, TierError};
pub use event::{Event, LoadFailure};
pub use key::{InvalidKey, InvalidNamespace, Key, Namespace};
pub use macro_support::{CacheKey, KeyWriter, SharedError};
pub use pattern::{InvalidPattern, Pattern};
pub use policy::Policy;
pub use service::{
    Answer, Backends, BatchBuilder, Cacheable, CachingService, CachingServiceBuilder, DeadWrite, EntryBuilder,
    Keyspace, KeyspaceBuilder, KeyspaceKey, KeyspaceSource, LoadContext, LoadedBy, NoLoader, PendingWrite, Preload,
    PreloadProgress, WriteBehind, WriteBehindBuilder, WriteBehindStats,
};
pub use stats::{KeyspaceStats, KeyspaceTierStats, Stats, TierStats};
pub use status::{BusStatus, Delivery, Receipt, Status, TierState, TierStatus};
pub use tags::{TagSlot, Tags};
pub use tier::{
    Acquire, Appended, Backlog, CacheTier, Claim, DeadLetter, Kept, KeptWrite, KeyScan, NearTier, NewWrite, Partition,
    Put, PutOutcome, Settle, SharedTier, Taken, Usage, WriteLog,
};
