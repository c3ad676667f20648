//! Building a service: every setting, checked once.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::refresh::{MAX_REFRESHES, Throttles};
use super::{Backends, CachingService, Inner};
use crate::clock::{Clock, SystemClock};
use crate::codec::Codec;
use crate::coherence::{Coherence, Debts, REPLICA_MAX_BYTES, Timings};
use crate::error::Error;
use crate::event::{Event, Events, Handler};
use crate::far::{Far, FarLimits};
use crate::key::Namespace;
use crate::policy::Policy;
use crate::selection::Tier;
use crate::stats::{Counters, TierCounters};
use crate::tasks::Tasks;
use crate::throttle::Throttle;
use crate::tier::{CacheTier, NearTier};

/// Builds a [`CachingService`].
#[must_use = "a builder does nothing until `build` is awaited"]
pub struct CachingServiceBuilder<B = ()> {
    pub(super) near: Option<Arc<dyn NearTier>>,
    pub(super) far: Vec<Arc<dyn CacheTier>>,
    namespace: Option<String>,
    policy: Policy,
    codec: Option<Arc<dyn Codec>>,
    clock: Arc<dyn Clock>,
    timings: Timings,
    lease_ttl: Duration,
    fence_ttl: Duration,
    max_ttl: Duration,
    replica_max_bytes: u64,
    limits: FarLimits,
    on_event: Option<Handler>,
    #[cfg(feature = "metrics")]
    metrics_interval: Duration,
    backends: PhantomData<fn() -> B>,
}

/// No load takes longer, whatever its policy says.
pub(super) const LONGEST_LOAD: Duration = Duration::from_secs(24 * 3_600);

/// No interval of the protocol is longer, and no bound on a call.
const LONGEST_INTERVAL: Duration = Duration::from_secs(365 * 24 * 3_600);

impl<B: Backends> CachingServiceBuilder<B> {
    const DEFAULT_MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3_600);

    pub(super) fn new() -> Self {
        Self {
            near: None,
            far: Vec::new(),
            namespace: None,
            policy: Policy::default(),
            codec: default_codec(),
            clock: Arc::new(SystemClock::new()),
            timings: Timings {
                heartbeat_interval: Duration::from_secs(1),
                heartbeat_timeout: Duration::from_secs(3),
                isolated_ttl: Duration::from_secs(10),
                lifetime: Self::DEFAULT_MAX_TTL + LONGEST_LOAD,
            },
            lease_ttl: Duration::from_secs(3),
            fence_ttl: Duration::from_secs(10),
            max_ttl: Self::DEFAULT_MAX_TTL,
            replica_max_bytes: 65_536,
            limits: FarLimits {
                timeout: Duration::from_secs(1),
                breaker_threshold: 3,
                queue_capacity: 10_000,
                read_retries: 1,
            },
            on_event: None,
            #[cfg(feature = "metrics")]
            metrics_interval: Duration::from_secs(10),
            backends: PhantomData,
        }
    }

    /// What separates this application's keys from those of others on a shared tier: see [`Namespace`]. Default: `cache`.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// The tier in the process, asked first. Default: none.
    pub fn local(mut self, tier: impl NearTier) -> Self {
        self.near = Some(Arc::new(tier));
        self
    }

    /// The tier that nodes share. Far tiers are asked in the order in which they are given, so give it last. Default: none.
    pub fn remote(self, tier: impl CacheTier) -> Self {
        self.tier(tier)
    }

    /// A further tier behind those given so far. Each needs a name of its own.
    pub fn tier(mut self, tier: impl CacheTier) -> Self {
        self.far.push(Arc::new(tier));
        self
    }

    /// The policy of calls that bring none. Default: [`Policy::default`].
    pub fn default_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How values become bytes on far tiers. Default: JSON, where the feature `json` is on.
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.codec = Some(Arc::new(codec));
        self
    }

    /// For how long the near tier serves an entry that it cannot hear the invalidation of. Default: 10 s.
    pub const fn isolated_ttl(mut self, ttl: Duration) -> Self {
        self.timings.isolated_ttl = ttl;
        self
    }

    /// How often the node makes sure that it hears of invalidations. Default: 1 s.
    pub const fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.timings.heartbeat_interval = interval;
        self
    }

    /// How long the bus may take to answer a heartbeat before the node counts as isolated. Default: 3 s.
    pub const fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.timings.heartbeat_timeout = timeout;
        self
    }

    /// After what time the lease of a node that died in the midst of a load lapses. A node that lives renews it. Default:
    /// 3 s.
    pub const fn lease_ttl(mut self, ttl: Duration) -> Self {
        self.lease_ttl = ttl;
        self
    }

    /// For how long after the last sign of life of a process that died in
    /// [`write_around`](CachingService::write_around) nothing is stored under the keys that it was about to change. It must
    /// be longer than the source may take to carry out or to give up what a client that died has sent. Default: 10 s.
    pub const fn fence_ttl(mut self, ttl: Duration) -> Self {
        self.fence_ttl = ttl;
        self
    }

    /// No value lives longer, whatever its policy says: so the invalidation of a tag need not be remembered for ever. It must
    /// be the same on all nodes of a namespace. Default: 30 days.
    pub fn max_ttl(mut self, ttl: Duration) -> Self {
        self.max_ttl = ttl;
        self.timings.lifetime = ttl.saturating_add(LONGEST_LOAD);
        self
    }

    /// The longest value that [`replicate`](super::EntryBuilder::replicate) sends to other nodes, in bytes as encoded; longer
    /// ones are invalidated there. Default: 65,536. At most [`REPLICA_MAX_BYTES`].
    pub const fn replica_max_bytes(mut self, bytes: u64) -> Self {
        self.replica_max_bytes = bytes;
        self
    }

    /// The bound on one call to a far tier, over the tier's own. Default: 1 s.
    ///
    /// Where it is shorter than the tier's own (`response_timeout` of the Redis tier, 500 ms), calls are given up before the tier
    /// finds them late. They count as outages here all the same; the tier itself then asks whether its connection is still good,
    /// and replaces one that is silent for three times its own bound.
    pub const fn tier_timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// How many outages in a row (no connection, no answer in time) open the breaker of a far tier. Default: 3.
    pub const fn breaker_threshold(mut self, outages: u32) -> Self {
        self.limits.breaker_threshold = outages;
        self
    }

    /// How often a read of a far tier that fails is made again, as long as the breaker is closed. Default: 1. 0 turns it off.
    ///
    /// It is made again after a wait of 5 ms, and of twice that each further time up to 50 ms, each with up to as much again
    /// as jitter: long enough for a connection that broke to be replaced. A read that timed out or was refused is not made
    /// again, nor is anything but a read, so no call waits for more than one timeout. Each attempt counts as a call for the
    /// breaker.
    pub const fn read_retries(mut self, retries: usize) -> Self {
        self.limits.read_retries = retries;
        self
    }

    /// Calls `handler` with every [`Event`] of the service. The last handler given counts. Default: none.
    ///
    /// It is called in the task in which the event happens, so it should be quick, and hand over what takes longer. It is
    /// never called under a lock or on the way of a hit in the near tier, and may call the service. One that panics harms
    /// nobody, and is counted in [`Stats::handler_panics`](crate::Stats::handler_panics).
    ///
    /// ```
    /// use cache_core::{CachingService, Event};
    ///
    /// let builder = CachingService::<()>::builder().on_event(|event| match event {
    ///     Event::TierDown { tier, error, .. } => eprintln!("{tier} is down: {error}"),
    ///     Event::TierUp { tier, .. } => eprintln!("{tier} is back"),
    ///     other => eprintln!("{}", other.name()),
    /// });
    /// # let _ = builder;
    /// ```
    pub fn on_event(mut self, handler: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Box::new(handler));
        self
    }

    /// How many invalidations wait for a tier that is away, before they become one `clear`. Default: 10,000.
    pub const fn queue_capacity(mut self, invalidations: usize) -> Self {
        self.limits.queue_capacity = invalidations;
        self
    }

    /// How often the counters are published to the `metrics` facade. Default: 10 s. At least 1 ms.
    ///
    /// A hit costs the same with metrics as without: its counter is the service's own, and is copied over by a task. The
    /// recorder is the one that is installed by then.
    #[cfg(feature = "metrics")]
    pub const fn metrics_interval(mut self, interval: Duration) -> Self {
        self.metrics_interval = interval;
        self
    }

    /// Where the service reads the time. Default: the system's clock. For tests.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the settings and builds the service. It returns when the far tiers have answered or have failed to within
    /// the tier timeout; a tier that is away is no error, and is taken up when it comes back.
    ///
    /// # Errors
    /// There is no tier, or a setting cannot be used; the error names it and the fix.
    pub async fn build(self) -> Result<CachingService<B>, Error> {
        let timeout = self.limits.timeout;
        let service = self.assemble()?;
        let inner = &service.inner;
        let (connected, first_attempt) = oneshot::channel();
        inner.start(Some(connected));
        let greetings = inner.far.iter().map(|far| far.greet());
        let bus = async {
            if inner.shared().is_some() {
                // An error says that the attempt has ended, which is all that is waited for.
                let _ = tokio::time::timeout(timeout, first_attempt).await;
            }
        };
        futures_util::future::join(futures_util::future::join_all(greetings), bus).await;
        Ok(service)
    }

    /// Checks the settings and builds the service without waiting for anything.
    pub(super) fn assemble(self) -> Result<CachingService<B>, Error> {
        self.check()?;
        let namespace = self.namespace.as_deref().map_or_else(|| Ok(Namespace::default()), Namespace::new)?;
        for tier in &self.far {
            tier.bind(&namespace)?;
        }
        if let Some(near) = &self.near {
            near.bind(&namespace)?;
        }
        Ok(self.construct(namespace))
    }

    pub(super) fn construct(self, namespace: Namespace) -> CachingService<B> {
        let counters = Arc::new(Counters::default());
        let events = Arc::new(Events::new(self.on_event, Arc::clone(&counters)));
        let far = self.far.into_iter().map(|tier| {
            Arc::new(Far::new(tier, Arc::clone(&self.clock), self.limits).with_events(Arc::clone(&events)))
        });
        let far: Vec<Arc<Far>> = far.collect();
        let near_name = self.near.as_ref().map(|near| near.name());
        let access = self.policy.selection().access(near_name, far.iter().map(|far| far.tier.name()));
        let has_bus = far.iter().any(|far| far.shared().is_some());
        let between = far.iter().filter(|far| has_bus && far.shared().is_none());
        let between = between.map(|far| Arc::clone(far) as Arc<dyn Debts>).collect();
        let coherence =
            Coherence::new(self.near.clone(), Arc::clone(&self.clock), Arc::clone(&counters), self.timings, has_bus)
                .with_events(Arc::clone(&events))
                .with_between(between);
        CachingService::from_inner(Arc::new_cyclic(|_this| Inner {
            namespace,
            near: self.near,
            near_counters: TierCounters::default(),
            far,
            policy: self.policy,
            access,
            codec: self.codec,
            started: self.clock.now(),
            clock: self.clock,
            coherence: Arc::new(coherence),
            counters,
            events,
            lease_ttl: self.lease_ttl,
            fence_ttl: self.fence_ttl,
            max_ttl: self.max_ttl,
            replica_max_bytes: self.replica_max_bytes,
            tasks: Tasks::default(),
            ended: tokio::sync::OnceCell::new(),
            #[cfg(feature = "metrics")]
            this: std::sync::Weak::clone(_this),
            #[cfg(feature = "metrics")]
            metrics_interval: self.metrics_interval,
            throttles: Throttles::new(),
            refreshing: Arc::new(Semaphore::new(MAX_REFRESHES)),
            invalid_key_trace: Throttle::default(),
            keyspaces: Default::default(),
            write_behinds: Default::default(),
        }))
    }

    fn check(&self) -> Result<(), Error> {
        if self.near.is_none() && self.far.is_empty() {
            return Err(Error::configuration(
                "no tier: give the builder at least one, such as .local(LocalTier::new(10_000)) or .remote(RedisTier::new(url)?)",
            ));
        }
        if self.codec.is_none() && !self.far.is_empty() {
            return Err(Error::configuration(
                "no codec: far tiers hold bytes, so give the builder one with .codec(..), or enable the feature \"json\"",
            ));
        }
        let shared = self.far.iter().filter(|tier| tier.shared().is_some()).count();
        if shared > 1 {
            return Err(Error::configuration(format!(
                "{shared} shared tiers: invalidations have one order only if one tier keeps the journal; leave one"
            )));
        }
        #[cfg(feature = "metrics")]
        if self.metrics_interval.as_millis() == 0 {
            return Err(Error::configuration("metrics_interval is less than 1 ms; give it at least that"));
        }
        let intervals = [
            ("heartbeat_interval", self.timings.heartbeat_interval),
            ("heartbeat_timeout", self.timings.heartbeat_timeout),
            ("lease_ttl", self.lease_ttl),
            ("fence_ttl", self.fence_ttl),
            ("tier_timeout", self.limits.timeout),
        ];
        let mut positive = intervals.into_iter().chain([("max_ttl", self.max_ttl)]);
        if let Some((name, _)) = positive.find(|(_, duration)| duration.as_millis() == 0) {
            return Err(Error::configuration(format!("{name} is less than 1 ms; give it at least that")));
        }
        let longest = LONGEST_INTERVAL;
        if let Some((name, duration)) = intervals.iter().find(|(_, duration)| *duration > longest) {
            return Err(Error::configuration(format!(
                "{name} is {duration:?}; give it at most {longest:?}, which is a year"
            )));
        }
        let (interval, timeout) = (self.timings.heartbeat_interval, self.timings.heartbeat_timeout);
        if timeout < interval {
            return Err(Error::configuration(format!(
                "heartbeat_timeout ({timeout:?}) is shorter than heartbeat_interval ({interval:?}); raise one or lower the other"
            )));
        }
        if self.replica_max_bytes > REPLICA_MAX_BYTES as u64 {
            let bytes = self.replica_max_bytes;
            return Err(Error::configuration(format!(
                "replica_max_bytes is {bytes}; set at most {REPLICA_MAX_BYTES}, which is what other nodes accept"
            )));
        }
        if self.limits.breaker_threshold == 0 {
            return Err(Error::configuration(
                "breaker_threshold is 0, so the breaker would never be closed; give it at least 1",
            ));
        }
        if self.limits.queue_capacity == 0 {
            return Err(Error::configuration("queue_capacity is 0, so no invalidation could wait; give it at least 1"));
        }
        if self.far.len() > Tier::MAX_FAR {
            let (count, most) = (self.far.len(), Tier::MAX_FAR);
            return Err(Error::configuration(format!("{count} far tiers: give the builder at most {most}")));
        }
        let near = self.near.iter().map(|near| near.name());
        let names: Vec<&str> = near.chain(self.far.iter().map(|far| far.name())).collect();
        if let Some(name) = names.iter().enumerate().find_map(|(at, name)| names[..at].contains(name).then_some(name)) {
            return Err(Error::configuration(format!(
                "two tiers are named \"{name}\", so neither metrics nor skip_read could tell them apart; leave one, or name one \
                 otherwise"
            )));
        }
        self.policy.selection().check_names(names.into_iter())?;
        self.policy.check()
    }
}

#[cfg(feature = "json")]
fn default_codec() -> Option<Arc<dyn Codec>> {
    Some(Arc::new(crate::codec::Json))
}

#[cfg(not(feature = "json"))]
fn default_codec() -> Option<Arc<dyn Codec>> {
    None
}
