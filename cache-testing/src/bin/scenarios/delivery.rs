//! How long an invalidation takes to reach the near tier of another node, beside Redis pub/sub with nothing around it.
//!
//! Measured in one process and one runtime, in turns, so that all meet the same machine:
//! - an invalidation, from before the call of `invalidate` on node A until the near tier of node B has removed the entry,
//!   from when on it cannot be served. The time is taken within B's near tier, so nobody polls.
//! - raw, from before `PUBLISH` is called on a connection of the client library that the Redis tier stands on, until the
//!   message has been taken from another such connection. This is what an invalidation is held against.
//! - bare bytes: the same with two sockets and no library.

use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cache_core::{CacheTier, Entry, Key, NearTier, Pattern, TierError};
use cache_local::LocalTier;
use cache_testing::RedisServer;
use tokio::sync::watch;

use crate::node::{Node, builder, hears, near, node};
use crate::options::Options;
use crate::raw::{LibraryPubSub, RawPubSub};
use crate::table::{Cell, percentile};
use crate::{Failure, Heading};

pub(crate) const HEADING: Heading =
    ("delivery to the other node, p50/p99 us (raw pub/sub in the same run)", "103/128 (97/163); bound: twice raw");

/// So much of what raw pub/sub takes, at the most.
const BOUND: u32 = 2;

/// Before these, connections and code are cold.
const WARM_UP: usize = 200;

pub(crate) async fn run(options: &Options) -> Result<Cell, Failure> {
    let redis = RedisServer::start();
    let watched = Watched::new();
    let removed = watched.removed.subscribe();
    let (a, b) = (node(&redis.url()).await?, builder(&redis.url())?.local(watched).build().await?);
    hears(&b).await?;
    let (bytes, library) = (RawPubSub::start(redis.address()).await?, LibraryPubSub::start(&redis.url()).await?);
    let run = Run { bytes, library, a, b, removed };
    // In a task, as a request to a service would be: the thread that started the runtime takes longer to be woken.
    let times = tokio::spawn(run.rounds(options.choose(20_000, 500))).await??;
    let (ours, library, bytes) = (Spread::of(times.ours), Spread::of(times.library), Spread::of(times.bytes));
    let good = ours.median <= library.median * BOUND && ours.slow <= library.slow * BOUND;
    Ok(Cell::new(good, format!("{ours} ({library}; bare bytes {bytes})")))
}

#[derive(Default)]
struct Times {
    bytes: Vec<Duration>,
    library: Vec<Duration>,
    ours: Vec<Duration>,
}

struct Spread {
    median: Duration,
    slow: Duration,
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { median: percentile(&times, 0.5), slow: percentile(&times, 0.99) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.median.as_micros(), self.slow.as_micros())
    }
}

struct Run {
    bytes: RawPubSub,
    library: LibraryPubSub,
    a: Node,
    b: Node,
    removed: watch::Receiver<Option<Instant>>,
}

impl Run {
    /// How long each delivery took, raw and by invalidation.
    async fn rounds(mut self, rounds: usize) -> Result<Times, Failure> {
        let mut times = Times::default();
        for round in 0..WARM_UP + rounds {
            let (bytes, library, ours) = (self.bytes().await?, self.library().await?, self.invalidation().await?);
            if round >= WARM_UP {
                times.bytes.push(bytes);
                times.library.push(library);
                times.ours.push(ours);
            }
        }
        Ok(times)
    }

    async fn bytes(&mut self) -> Result<Duration, Failure> {
        let began = Instant::now();
        Ok(self.bytes.deliver().await?.duration_since(began))
    }

    async fn library(&mut self) -> Result<Duration, Failure> {
        let began = Instant::now();
        Ok(self.library.deliver().await?.duration_since(began))
    }

    async fn invalidation(&mut self) -> Result<Duration, Failure> {
        self.b.entry("k").local_only().set("old".to_owned()).await;
        near(&self.b, "k").await.ok_or("the near tier holds what it was given")?;
        self.removed.mark_unchanged();
        let began = Instant::now();
        self.a.invalidate("k").await;
        self.removed.changed().await?;
        let removed = *self.removed.borrow_and_update();
        if near(&self.b, "k").await.is_some() {
            return Err("the near tier serves what it has removed".into());
        }
        Ok(removed.ok_or("the removal has a time")?.duration_since(began))
    }
}

/// A near tier that tells when it has removed an entry.
struct Watched {
    tier: LocalTier,
    removed: watch::Sender<Option<Instant>>,
}

impl Watched {
    fn new() -> Self {
        Self { tier: LocalTier::new(100), removed: watch::Sender::new(None) }
    }
}

impl NearTier for Watched {
    fn inspect(&self, key: &str, look: &mut dyn FnMut(&Entry)) {
        self.tier.inspect(key, look);
    }

    fn insert(&self, key: &Key, entry: Entry, ttl: Duration) {
        self.tier.insert(key, entry, ttl);
    }

    fn remove(&self, key: &str) -> bool {
        let removed = self.tier.remove(key);
        if removed {
            self.removed.send_replace(Some(Instant::now()));
        }
        removed
    }

    fn remove_matching(&self, void: &dyn Fn(&Key, &Entry) -> bool) -> u64 {
        self.tier.remove_matching(void)
    }
}

#[async_trait]
impl CacheTier for Watched {
    fn name(&self) -> &'static str {
        self.tier.name()
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, TierError> {
        self.tier.get(key).await
    }

    async fn set(&self, key: &Key, entry: Entry, ttl: Duration) -> Result<(), TierError> {
        self.tier.set(key, entry, ttl).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64, TierError> {
        self.tier.delete(keys).await
    }

    async fn invalidate_pattern(&self, pattern: &Pattern) -> Result<u64, TierError> {
        self.tier.invalidate_pattern(pattern).await
    }

    async fn ping(&self) -> Result<(), TierError> {
        self.tier.ping().await
    }
}
