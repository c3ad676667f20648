//! The caching service: what applications call.
//!
//! A read asks the near tier, then joins or starts the flight of its key; the flight asks the far tiers, takes the lease,
//! loads, and fills. Each step is a file of this folder.

mod around;
mod batch;
mod builder;
mod claim;
mod entry_builder;
mod environment;
mod errand;
mod global;
mod inner;
mod keyspace;
mod lease;
mod load;
mod loaded;
mod metrics;
mod near;
mod preload;
mod read;
mod refresh;
mod stale;
mod store;
mod strict;
mod through;
mod write;
mod write_behind;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::clock::{Clock, Timestamp};
use crate::codec::Codec;
use crate::coherence::Coherence;
use crate::erased::{self, ValueType};
use crate::error::{Error, LoadError};
use crate::event::Events;
use crate::far::Far;
use crate::key::Namespace;
use crate::pattern::Pattern;
use crate::policy::Policy;
use crate::selection::{Access, Tier};
use crate::stats::{Counters, Stats, TierCounters};
use crate::status::{Receipt, Status};
use crate::tags::Tags;
use crate::tasks::Tasks;
use crate::throttle::Throttle;
use crate::tier::NearTier;

use near::{Caller, Near};
use refresh::Throttles;

pub use batch::BatchBuilder;
pub use builder::CachingServiceBuilder;
pub use entry_builder::EntryBuilder;
pub(crate) use entry_builder::{AtOnce, Chosen};
pub use environment::Backends;
pub(crate) use global::Current;
pub use keyspace::{Keyspace, KeyspaceBuilder, KeyspaceKey, KeyspaceSource, LoadedBy, NoLoader};
pub use loaded::{Answer, LoadContext};
pub(crate) use loaded::{Answering, AnyLoaded, Load, Loaded, Loader, Loading};
pub use preload::{Preload, PreloadProgress};
pub use write_behind::{DeadWrite, PendingWrite, WriteBehind, WriteBehindBuilder, WriteBehindStats};

/// A type whose values can be cached: serde reads and writes it, and it may be shared between threads.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be cached",
    label = "cached values need `Serialize`, `DeserializeOwned`, `Send`, `Sync` and `'static`",
    note = "add `#[derive(serde::Serialize, serde::Deserialize)]` to the type, and let it own its data"
)]
pub trait Cacheable: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Cacheable for T {}

/// A cache-aside service over one or more tiers. Cloning it is cheap; clones share everything.
///
/// Reads never fail for a fault of a tier: a tier that is away is a miss, counted and traced.
///
/// `B` tells [`CachingService::from_env`] which tiers there are to build; the crate `cache-aside` sets it.
pub struct CachingService<B = ()> {
    inner: Arc<Inner>,
    backends: PhantomData<fn() -> B>,
}

pub(crate) struct Inner {
    namespace: Namespace,
    near: Option<Arc<dyn NearTier>>,
    near_counters: TierCounters,
    /// The far tiers, nearest first.
    far: Vec<Arc<Far>>,
    policy: Policy,
    /// The tiers that `policy` chooses.
    access: Access,
    /// Always there where there are far tiers.
    codec: Option<Arc<dyn Codec>>,
    clock: Arc<dyn Clock>,
    started: Timestamp,
    coherence: Arc<Coherence>,
    counters: Arc<Counters>,
    events: Arc<Events>,
    lease_ttl: Duration,
    fence_ttl: Duration,
    max_ttl: Duration,
    replica_max_bytes: u64,
    tasks: Tasks,
    /// Whether it was shut down.
    ended: tokio::sync::OnceCell<()>,
    /// The service itself, for tasks that must not keep it alive.
    #[cfg(feature = "metrics")]
    this: std::sync::Weak<Inner>,
    #[cfg(feature = "metrics")]
    metrics_interval: Duration,
    throttles: Throttles,
    /// The background refreshes that may yet begin.
    refreshing: Arc<Semaphore>,
    invalid_key_trace: Throttle,
    keyspaces: keyspace::Registry,
    write_behinds: write_behind::Registry,
}

/// How one call is to be made.
#[derive(Clone, Debug)]
struct Plan {
    policy: Policy,
    /// The tiers that are read, and that values are stored in.
    access: Access,
    /// There are no far tiers, as it were.
    local_only: bool,
    /// Whether a cached absence is an answer, or as good as nothing.
    optional: bool,
    /// The application's version of a value that is set.
    version: Option<u64>,
    /// Whether a value that is set is sent to the other nodes.
    replicate: bool,
    /// Where look-ups are counted beside the counters of the tiers: for a call through a keyspace.
    look_ups: Option<Arc<keyspace::LookUps>>,
}

impl Plan {
    const fn new(policy: Policy, access: Access) -> Self {
        let local_only = policy.selection().local_only;
        Self { policy, access, local_only, optional: true, version: None, replicate: false, look_ups: None }
    }

    /// Counts what the near tier said of one of many keys, if it was asked.
    fn count_near<T>(&self, found: &Near<T>) {
        if let Some(look_ups) = self.look_ups.as_ref().filter(|_| self.access.reads(Tier::NEAR)) {
            look_ups.count_near(found);
        }
    }

    /// How long the near tier may keep what far tiers keep for `ttl` more. Zero: not at all.
    fn near_ttl(&self, ttl: Duration) -> Duration {
        if self.access.writes(Tier::NEAR) { self.policy.near_ttl(ttl) } else { Duration::ZERO }
    }
}

impl<B> CachingService<B> {
    pub(crate) const fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

impl<B: Backends> CachingService<B> {
    /// A builder, to which at least one tier must be given.
    pub fn builder() -> CachingServiceBuilder<B> {
        CachingServiceBuilder::new()
    }

    fn from_inner(inner: Arc<Inner>) -> Self {
        Self { inner, backends: PhantomData }
    }

    /// The value under `key`, from the nearest tier that has it. `None` when no tier has it, when its absence is cached,
    /// or when it is not a `T`.
    ///
    /// What is not fresh any more is not given, whatever the stale windows of the policy: those are for calls that can load.
    ///
    /// A hit in the near tier does not allocate, lock or suspend; a hit in a far tier is copied into the near one. May be
    /// cancelled at any point.
    pub async fn get<T: Cacheable>(&self, key: impl AsRef<str>) -> Option<Arc<T>> {
        let key = key.as_ref();
        if let Some(value) = self.inner.settled(key) {
            return Some(value);
        }
        // Not by `entry`, whose policy would have to be moved through the hit path.
        let reads_near = self.inner.access.reads(Tier::NEAR);
        match if reads_near {
            self.inner.look_near(key, &self.inner.policy, Caller { behind: false, optional: true })
        } else {
            Near::Miss
        } {
            Near::Hit(value) | Near::Due(value, _) => Some(value),
            Near::Absent => None,
            // Boxed, so that the future of a hit stays small.
            Near::Miss => {
                let get = Box::pin(async { self.inner.get(key, &self.inner.plan(), ValueType::of::<T>()).await });
                get.await.map(erased::value)
            }
        }
    }

    /// The values under `keys`, in their order: one look-up in the near tier each, and one call to a far tier for all that
    /// are missing. May be cancelled at any point.
    pub async fn get_many<T: Cacheable>(&self, keys: &[impl AsRef<str>]) -> Vec<Option<Arc<T>>> {
        self.inner.get_many(keys, &self.inner.plan()).await
    }

    /// Stores `value` under `key` in every tier, replacing what is there, and voids it on all other nodes.
    ///
    /// If a shared tier is away the value is kept on this node, the receipt says [`Queued`](crate::Delivery::Queued), and
    /// the old value is removed elsewhere as soon as the tier is back. If the future is dropped half-way, so is the value;
    /// the old one is removed nevertheless. An invalid key stores nothing.
    pub async fn set<T: Cacheable>(&self, key: impl AsRef<str>, value: T) -> Receipt {
        self.entry(key.as_ref()).set(value).await
    }

    /// The value under `key`; if no tier has it, what `loader` gives, which is then stored in every tier.
    ///
    /// Callers of one key share one load, in this node by waiting for it, and across nodes by a lease on the shared tier.
    /// The load runs in a task of its own: a caller that goes away cancels nothing. For a loader that borrows, see
    /// [`EntryBuilder::get_or_load_inline`]. A value that an invalidation overtook is returned to the callers that came
    /// before the invalidation, and stored nowhere.
    ///
    /// An invalid key is loaded and not stored.
    ///
    /// # Errors
    /// The loader's own error, shared with every caller that waited for it; or the load panicked, or took longer than
    /// [`Policy::load_timeout`]. A fault of a tier is never an error.
    pub async fn get_or_load<T, E, F, Fut>(&self, key: impl AsRef<str>, loader: F) -> Result<Arc<T>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let key = key.as_ref();
        // First, as the entry would have to be moved through the hit path.
        if let Some(value) = self.inner.settled(key) {
            return Ok(value);
        }
        Box::pin(self.entry(key).get_or_load(loader)).await
    }

    /// The values under `keys`, in their order. Those that no tier has are loaded in one call of `batch_loader`, which is
    /// given the missing keys, each once, and returns what it found by key; `None` for a key that it did not return, which
    /// is stored only with a [`Policy::negative_ttl`].
    ///
    /// Keys that somebody in this node is loading already, alone or in another batch, are not loaded again: this call waits
    /// for them, after it has loaded its own, and others wait for its own. A key whose lease another node holds is loaded
    /// here as well, so that no batch waits for one of another node, and is then stored by that other node only.
    ///
    /// One call to each far tier reads all that is missing; leases are taken all at once, and values stored all at once. The
    /// load runs in a task of its own: a caller that goes away cancels nothing.
    ///
    /// # Errors
    /// As [`CachingService::get_or_load`]; then nothing of this batch is stored, and whoever waits for one of its keys gets
    /// the error too. If what fails is a load that this call waits for, its own values are stored nevertheless. When such a load is
    /// not made after all, and `batch_loader` has been called before, [`LoadError::Cancelled`]: the caller of an inline load went
    /// away, or another's load is held back after a failure
    /// ([`error_throttle`](crate::Policy::error_throttle)) for a stale value that this call's policy does not serve.
    pub async fn get_or_load_many<T, E, F, Fut>(
        &self,
        keys: &[impl AsRef<str>],
        batch_loader: F,
    ) -> Result<Vec<Option<Arc<T>>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce(Vec<String>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<std::collections::HashMap<String, T>, E>> + Send + 'static,
    {
        self.batch().get_or_load(keys, batch_loader).await
    }

    /// The calls for many keys, with a policy of their own.
    pub const fn batch(&self) -> BatchBuilder<'_> {
        BatchBuilder::new(&self.inner)
    }

    /// Removes the value under `key` from every tier of every node.
    ///
    /// When it returns, no value that was loaded before the call is or will be stored under the key in any tier that
    /// could be told ([`Delivery`](crate::Delivery) says which could), and this node does not serve one. If the future is
    /// dropped half-way, the invalidation is delivered in the background.
    pub async fn invalidate(&self, key: impl AsRef<str>) -> Receipt {
        self.invalidate_many(&[key]).await
    }

    /// Removes the values under `keys` from every tier of every node, as [`CachingService::invalidate`].
    pub async fn invalidate_many(&self, keys: &[impl AsRef<str>]) -> Receipt {
        self.inner.invalidate_keys(keys).await
    }

    /// Removes the values under all keys that match `pattern` (see [`Pattern`]) from every tier of every node.
    ///
    /// It takes effect when its record is written; the call returns when the shared tier has been scanned for what can be
    /// freed. If the future is dropped half-way, both are done in the background.
    ///
    /// # Errors
    /// The pattern is malformed.
    pub async fn invalidate_pattern(&self, pattern: impl AsRef<str>) -> Result<Receipt, Error> {
        Ok(self.inner.invalidate_pattern(Pattern::new(pattern)?).await)
    }

    /// Voids every value that has one of `tags` ([`Policy::tags`]), in every tier of every node.
    ///
    /// It is one record, however many values there are, and takes effect when the record is written; the values are freed
    /// as they are met, or run out. [`Receipt::removed`] is 0: nobody counts them. If the future is dropped half-way, the
    /// record is written in the background.
    pub async fn invalidate_tags(&self, tags: impl IntoIterator<Item: AsRef<str>>) -> Receipt {
        self.inner.invalidate_tags(Tags::new(tags)).await
    }

    /// Removes every value of this namespace from every tier of every node, as [`CachingService::invalidate_pattern`].
    pub async fn clear(&self) -> Receipt {
        self.inner.clear().await
    }

    /// Sets up a keyspace: typed keys under `prefix`, with a policy and loaders of their own.
    ///
    /// ```
    /// # use cache_core::{CachingService, Policy};
    /// # use std::time::Duration;
    /// # async fn f(service: CachingService) -> Result<(), Box<dyn std::error::Error>> {
    /// let users = service
    ///     .keyspace::<u64, String>("user")
    ///     .policy(Policy::new(Duration::from_secs(60)))
    ///     .loader(|id: u64| async move { Ok::<_, std::io::Error>(format!("user {id}")) })
    ///     .build()?;
    /// assert_eq!(*users.get(&7).await?.unwrap(), "user 7"); // under the key "user:7"
    /// # Ok(())
    /// # }
    /// ```
    pub fn keyspace<K: KeyspaceKey, V: Cacheable>(&self, prefix: impl Into<String>) -> KeyspaceBuilder<K, V> {
        KeyspaceBuilder::new(&self.inner, prefix.into())
    }

    /// Fills the near tier with the values of all keys that match `pattern` and that the shared tier has, so that a node that
    /// starts need not meet its first callers empty-handed.
    ///
    /// # Errors
    /// The pattern is malformed.
    pub fn preload<T: Cacheable>(&self, pattern: impl AsRef<str>) -> Result<Preload<'_, T>, Error> {
        self.inner.preload(pattern.as_ref())
    }

    /// Writes to the source by `write`, and invalidates `keys`, so that not even the death of this process leaves an old
    /// value behind.
    ///
    /// Before the write the keys are fenced: their values are removed everywhere, and nothing that is loaded from then on is
    /// stored, on any node. Readers are answered by their loaders meanwhile. After the write, also one that failed, the keys
    /// are invalidated and the fence is lifted. If the process dies in between, the fence lapses
    /// [`fence_ttl`](CachingServiceBuilder::fence_ttl) after its last sign of life; what is loaded then is what the source
    /// has by then. If the future is dropped half-way, the keys are invalidated in the background and the fence stays until
    /// it lapses, since the source may still carry the write out.
    ///
    /// Two round trips to the shared tier, one before and one after the write, and one for each third of `fence_ttl` that
    /// it takes. While the shared tier is away, keys cannot be fenced: the write goes on, is counted in
    /// [`Stats::unfenced_writes`](crate::Stats::unfenced_writes), and the invalidation waits in the queue of this process.
    /// Invalid keys are left out.
    ///
    /// # Errors
    /// The error of `write`. A fault of a tier is never one.
    pub async fn write_around<R, E, F, Fut>(&self, keys: &[impl AsRef<str>], write: F) -> Result<R, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        self.inner.write_around(keys, write).await
    }

    /// The same calls for one key, with a policy of their own.
    pub fn entry<'a>(&'a self, key: &'a str) -> EntryBuilder<'a> {
        EntryBuilder::new(&self.inner, key, Chosen::DEFAULT)
    }

    /// The health of every tier and of the bus. Never fails. It pings the far tiers, all at once, each within the tier
    /// timeout; a ping that fails counts as an outage like any other call.
    pub async fn status(&self) -> Status {
        self.inner.status().await
    }

    /// What the service has done since it was built. Asks nobody.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    /// Publishes every counter and gauge to the `metrics` facade now, instead of at the next interval: for an exporter that
    /// is asked. Asks nobody itself. [The documentation](https://github.com/cache-aside/cache-aside/blob/main/docs/observability.md)
    /// lists the names.
    #[cfg(feature = "metrics")]
    pub fn publish_metrics(&self) {
        self.inner.publish_metrics();
    }

    /// The bound D on staleness: on no node does a read that starts more than this after an invalidation returned
    /// ([`Done`](crate::Delivery::Done)) see an older value, whatever happens to the network and to Redis.
    ///
    /// It is the longer of `heartbeat_interval + heartbeat_timeout` and `isolated_ttl`: 10 s with the defaults. It is used
    /// up only by nodes that cannot hear of the invalidation; the others have it within one message of Redis. Zero without
    /// a shared tier. Nodes measure it by their own monotonic clocks, so a machine that was suspended as a whole may serve
    /// for the rest of it when it wakes up.
    #[must_use]
    pub fn staleness_bound(&self) -> Duration {
        let shared = self.inner.shared().is_some();
        if shared { self.inner.coherence.trust.timings().staleness_bound() } else { Duration::ZERO }
    }

    /// The namespace of the service's keys.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.inner.namespace.as_str()
    }

    /// Ends the service's tasks, delivers queued invalidations, and closes the tiers. A tier that is away is tried for up
    /// to three tier timeouts; what could not be delivered then is traced as an error. Loads that are under way fail with
    /// [`LoadError::Cancelled`].
    ///
    /// Clones of the service go on to answer, from their loaders. What they invalidate from now on is told of as lost
    /// ([`Event::InvalidationsLost`](crate::Event::InvalidationsLost)). Of several calls at once each returns when the service has ended.
    pub async fn shutdown(self) {
        self.inner.shutdown().await;
    }
}

impl<B> Clone for CachingService<B> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), backends: PhantomData }
    }
}

impl<B> fmt::Debug for CachingService<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tiers: Vec<&str> = self.inner.tier_names().collect();
        f.debug_struct("CachingService")
            .field("namespace", &self.inner.namespace.as_str())
            .field("tiers", &tiers)
            .finish()
    }
}
