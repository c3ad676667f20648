//! Setting up write-behind, checked once.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Log, WriteBehind, log_of};
use crate::error::Error;
use crate::service::Cacheable;
use crate::service::keyspace::{KeyspaceKey, Space};

/// No worker waits longer, nor is waited for.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) partitions: u16,
    pub(super) max_pending: u64,
    pub(super) batch: usize,
    pub(super) workers: u16,
    pub(super) max_attempts: u64,
    pub(super) retry_delay: Duration,
    pub(super) worker_lease: Duration,
    pub(super) apply_timeout: Duration,
    pub(super) poll_interval: Duration,
}

/// Sets up a [`WriteBehind`]: made by [`Keyspace::write_behind`](crate::Keyspace::write_behind).
#[must_use = "it does nothing until `build` is called"]
pub struct WriteBehindBuilder<K, V> {
    space: Arc<Space>,
    settings: Settings,
    types: PhantomData<fn(K) -> V>,
}

impl<K: KeyspaceKey + Cacheable, V: Cacheable> WriteBehindBuilder<K, V> {
    pub(in crate::service) fn new(space: &Arc<Space>) -> Self {
        let settings = Settings {
            partitions: 8,
            max_pending: 1_000_000,
            batch: 100,
            workers: 2,
            max_attempts: 10,
            retry_delay: Duration::from_millis(200),
            worker_lease: Duration::from_secs(5),
            apply_timeout: Duration::from_secs(30),
            poll_interval: Duration::from_millis(200),
        };
        Self { space: Arc::clone(space), settings, types: PhantomData }
    }

    /// Over how many queues the keys are spread, 1 to 256: so many workers can work at once, on all nodes together. Default:
    /// 8. All nodes must agree on it. It can be changed only while no writes wait: the order of a key's writes is kept within
    /// a queue.
    pub const fn partitions(mut self, partitions: u16) -> Self {
        self.settings.partitions = partitions;
        self
    }

    /// So many writes wait at the most, or were put aside, on all nodes together; further ones are refused. Each queue has its
    /// share, so some are refused earlier if keys are few. Default: 1,000,000.
    pub const fn max_pending(mut self, writes: u64) -> Self {
        self.settings.max_pending = writes;
        self
    }

    /// So many writes are given to the writer at once, at the most. Default: 100.
    pub const fn batch(mut self, writes: usize) -> Self {
        self.settings.batch = writes;
        self
    }

    /// How many workers [`WriteBehind::apply_with`] starts on a node. Default: 2.
    pub const fn workers(mut self, workers: u16) -> Self {
        self.settings.workers = workers;
        self
    }

    /// A write that was carried out so often without success is put aside. Default: 10. The death of a worker counts. One that
    /// failed together with others is tried alone at least once.
    pub const fn max_attempts(mut self, attempts: u64) -> Self {
        self.settings.max_attempts = attempts;
        self
    }

    /// How long a partition rests after a failure; twice as long after each further one of the same write, up to 64 times.
    /// Default: 200 ms. At most a day.
    pub const fn retry_delay(mut self, delay: Duration) -> Self {
        self.settings.retry_delay = delay;
        self
    }

    /// After so long without a sign of life a worker counts as dead, and another takes its partition over. Default: 5 s. At most
    /// a day.
    pub const fn worker_lease(mut self, lease: Duration) -> Self {
        self.settings.worker_lease = lease;
        self
    }

    /// A call of the writer that takes longer is dropped, and counts as failed. Default: 30 s.
    pub const fn apply_timeout(mut self, timeout: Duration) -> Self {
        self.settings.apply_timeout = timeout;
        self
    }

    /// How often a worker without work looks for writes of other nodes; those of its own node wake it. Default: 200 ms.
    /// At most a day.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll_interval = interval;
        self
    }

    /// Makes the write-behind. It asks nobody.
    ///
    /// # Errors
    /// A setting is out of range, or the service has no shared tier that keeps writes. The error says what to change.
    pub fn build(self) -> Result<WriteBehind<K, V>, Error> {
        let Self { space, settings, .. } = self;
        settings.check()?;
        check_tier(&space)?;
        let name = space.prefix.trim_end_matches(':').to_owned();
        let counters = space.inner.write_behinds.enter(&space.counted_as);
        let work = Arc::new(Notify::new());
        Ok(WriteBehind { log: Arc::new(Log { space, name, settings, counters, work }), types: PhantomData })
    }
}

/// What is refused at each write had better be refused when it is set up.
fn check_tier(space: &Space) -> Result<(), Error> {
    let Some(far) = space.inner.shared() else {
        return Err(Error::configuration(
            "write-behind: the service has no shared tier that could keep writes; give its builder .remote(RedisTier::new(url)?)",
        ));
    };
    if log_of(far).is_err() {
        return Err(Error::configuration(format!(
            "write-behind: the tier \"{}\" keeps no writes. A Redis Cluster cannot, since a write and its value lie in different \
             slots: use a single Redis, with sentinels or without, or write_through",
            far.tier.name()
        )));
    }
    Ok(())
}

impl Settings {
    fn check(&self) -> Result<(), Error> {
        let wrong = |message: String| Err(Error::configuration(format!("write-behind: {message}")));
        if !(1..=256).contains(&self.partitions) {
            return wrong(format!("partitions is {}; set 1 to 256", self.partitions));
        }
        let counts = [
            ("max_pending", self.max_pending),
            ("batch", self.batch as u64),
            ("workers", u64::from(self.workers)),
            ("max_attempts", self.max_attempts),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return wrong(format!("{name} is 0; set at least 1"));
        }
        let times = [
            ("retry_delay", self.retry_delay),
            ("worker_lease", self.worker_lease),
            ("apply_timeout", self.apply_timeout),
            ("poll_interval", self.poll_interval),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| time.as_millis() == 0) {
            return wrong(format!("{name} is less than 1 ms; set at least that"));
        }
        if let Some((name, time)) = times.iter().find(|(name, time)| *name != "apply_timeout" && *time > LONGEST) {
            return wrong(format!("{name} is {time:?}; set at most {LONGEST:?}"));
        }
        if self.batch > 1_000 {
            return wrong(format!("batch is {}; set at most 1000, a longer one would hold the server up", self.batch));
        }
        Ok(())
    }
}

impl<K, V> fmt::Debug for WriteBehindBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBehindBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
