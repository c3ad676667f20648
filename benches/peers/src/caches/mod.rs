//! The caches in the process, each used as its own documentation recommends, and each filled with the same keys.
//!
//! All hold the same value, an `Arc<u64>`, where they hold values as they are. Those that hold bytes decode a `u64` at every
//! hit: that is what a caller of theirs gets. All have room for twice the keys, so that none evicts, and a time to live where
//! theirs is a setting of every entry. What was chosen for each stands beside it.

mod amalgam;
mod aside;
mod cached;
mod foyer;
mod hitbox;
mod moka;
mod multi_tier;
mod quick;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

/// What is cached.
pub(crate) type Record = u64;
pub(crate) type Keys = Arc<[String]>;

pub(crate) const ASIDE: &str = "cache-aside";
pub(crate) const MOKA: &str = "moka::sync";
pub(crate) const QUICK: &str = "quick_cache";
pub(crate) const AMALGAM: &str = "amalgam-cache";
pub(crate) const MULTI_TIER: &str = "multi-tier-cache";
pub(crate) const HITBOX: &str = "hitbox";

/// How long an entry lives where that is a setting of every entry.
const TTL: Duration = Duration::from_secs(3_600);

/// The calls that a hit can be made by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Get,
    /// With a loader, which a hit does not run.
    GetOrLoad,
    /// Through an annotated function, whose body a hit does not run.
    Annotated,
}

/// A filled cache.
pub(crate) trait Cache: Send + Sync {
    /// Looks up the keys at these places, one after the other, and says how many were hits.
    ///
    /// # Panics
    ///
    /// Where the call is none that the cache offers.
    fn hits(&self, call: Call, places: &[u32]) -> usize;
}

/// A cache to measure.
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) calls: &'static [Call],
    pub(crate) fill: fn(Keys) -> anyhow::Result<Box<dyn Cache>>,
}

/// Those with a look-up by key.
pub(crate) const ALL: [Peer; 10] = [
    moka::SYNC,
    aside::PEER,
    quick::PEER,
    foyer::PEER,
    amalgam::PEER,
    cached::PEER,
    moka::FUTURE,
    multi_tier::BYTES,
    multi_tier::TYPED,
    hitbox::PEER,
];

/// Those that annotate functions. A cache of theirs is one for the process, so each is filled once.
pub(crate) const ANNOTATED: [Peer; 4] = [aside::GLOBAL, cached::CONCURRENT, cached::LOCKED, hitbox::PEER];

/// What cannot be compared, and why.
pub(crate) const ABSENT: &[&str] = &[
    "moka, quick_cache, foyer, amalgam-cache and multi-tier-cache have no annotation for functions.",
    "hitbox has no `get`: its only look-up is a call of an annotated function, so that call stands in the tables of `get_or_load` and of annotated functions.",
    "`#[cached]` of the crate cached hands out what it holds under one lock for all keys; it has no `get_or_load` on a shared reference.",
    "foyer is measured as foyer-memory, the crate of its in-memory cache: `foyer::Cache` is that very type.",
];

/// As many entries as there are keys twice over.
fn capacity(keys: &[String]) -> usize {
    keys.len() * 2 + 100
}

/// What a future that need not wait gives.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("what is in the process is there at once")
}
