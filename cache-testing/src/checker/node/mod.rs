//! A node process: a service as an application would build it, which reads all the time and writes when told to.

mod calls;
mod link;
mod loads;
mod readers;

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_core::{BusStatus, CachingService, Policy, Stats, Status, TierState};
use cache_local::LocalTier;
use cache_redis::RedisTier;

use super::history::WriteKind;
use super::keys::{Keys, NAMESPACE};
use super::message::{Breakage, Health, NodeSettings, ToChecker, ToNode};
use super::moment::Moment;
use link::Link;

/// Longer than any bound, so that nothing stale goes away by itself before it is found.
const TTL: Duration = Duration::from_secs(120);

/// Some loads are slower than this.
const LOAD_TIMEOUT: Duration = Duration::from_secs(2);

/// Between two looks at how the node is.
const HEALTH_INTERVAL: Duration = Duration::from_millis(250);

/// What the tasks of a node share.
struct Node {
    cache: CachingService,
    keys: Vec<Key>,
    settings: NodeSettings,
    link: Link,
    /// No load fails or is slow.
    calm: AtomicBool,
    /// Writes that were queued, and not known to be delivered since.
    queued: Mutex<Vec<usize>>,
    finishing: AtomicBool,
}

/// A key and how it is cached.
struct Key {
    name: String,
    policy: Policy,
}

/// Runs a node until the checker goes away.
///
/// # Errors
///
/// The checker cannot be reached, or says something that is not understood.
pub async fn run(settings: NodeSettings) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (link, mut messages) = Link::open(&settings.socket).await?;
    let cache = service(&settings).await?;
    let keys = (0..settings.keys).map(|key| key_of(&settings, key)).collect();
    link.send(ToChecker::Hello { node: settings.node, bound: cache.staleness_bound() }).await;
    let node = Arc::new(Node {
        cache,
        keys,
        settings,
        link,
        calm: AtomicBool::new(false),
        queued: Mutex::default(),
        finishing: AtomicBool::new(false),
    });
    tokio::spawn(readers::read_until_finished(Arc::clone(&node)));
    tokio::spawn(watch_health(Arc::clone(&node)));
    while let Some(message) = messages.next().await? {
        node.obey(message);
    }
    Ok(())
}

/// As an application would build it: with the default timeouts.
async fn service(settings: &NodeSettings) -> Result<CachingService, cache_core::Error> {
    let timings = settings.timings;
    CachingService::builder()
        .namespace(NAMESPACE)
        .local(LocalTier::new(100_000))
        .remote(RedisTier::new(&settings.url)?)
        .default_policy(Policy::new(TTL).load_timeout(LOAD_TIMEOUT))
        .heartbeat_interval(timings.heartbeat_interval)
        .heartbeat_timeout(timings.heartbeat_timeout)
        .isolated_ttl(timings.isolated_ttl)
        .fence_ttl(timings.fence_ttl)
        .build()
        .await
}

fn key_of(settings: &NodeSettings, key: u32) -> Key {
    let policy = Policy::new(TTL).load_timeout(LOAD_TIMEOUT);
    let tag = Keys { count: settings.keys }.tag(key);
    let policy = if tag.is_some() { policy.tags(tag) } else { policy };
    Key { name: Keys::name(key), policy }
}

impl Node {
    /// Does what the checker says, in a task of its own where that takes time.
    fn obey(self: &Arc<Self>, message: ToNode) {
        let node = Arc::clone(self);
        match message {
            ToNode::Loaded { request, version } => self.link.answer(request, version),
            ToNode::BeCalm => self.calm.store(true, Ordering::Release),
            ToNode::Finish => self.finishing.store(true, Ordering::Release),
            ToNode::Write { write, call } => drop(tokio::spawn(async move { node.write(write, call).await })),
            ToNode::Audit => drop(tokio::spawn(async move { node.audit().await })),
        }
    }

    async fn write(&self, write: usize, call: super::message::Call) {
        let Breakage { swallows_every, dies_at, .. } = self.settings.breakage;
        if dies_at == Some(write) {
            std::process::abort();
        }
        let swallowed = swallows_every.is_some_and(|every| write.is_multiple_of(every));
        if swallowed && call.kind() == WriteKind::WriteAround {
            self.link.commit(write, None).await;
        }
        let done = swallowed || self.call(write, call).await;
        let returned = Moment::now();
        if !done {
            self.lock_queued().push(write);
        }
        self.link.send(ToChecker::Wrote { write, returned, done }).await;
    }

    async fn audit(self: Arc<Self>) {
        let mut read = Vec::with_capacity(self.keys.len());
        for key in 0..self.settings.keys {
            read.push((key, self.get_or_load(key, loads::Temper::CALM).await));
        }
        self.link.send(ToChecker::Audited(read)).await;
    }

    fn lock_queued(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what has been delivered, if `queued` was in the queue before the service was twice seen to owe nothing.
    async fn report_delivered(&self, queued: Vec<usize>) {
        if queued.is_empty() {
            return;
        }
        self.lock_queued().retain(|write| !queued.contains(write));
        self.link.send(ToChecker::Delivered { writes: queued, at: Moment::now() }).await;
    }
}

async fn watch_health(node: Arc<Node>) {
    loop {
        let queued = node.lock_queued().clone();
        let mut status = node.cache.status().await;
        // Asked twice: a change that is being delivered just now is in no queue for a moment.
        if owes_nothing(&status) {
            status = node.cache.status().await;
        }
        if owes_nothing(&status) {
            node.report_delivered(queued).await;
        }
        node.link.send(ToChecker::Health(health(&status, &node.cache.stats()))).await;
        tokio::time::sleep(HEALTH_INTERVAL).await;
    }
}

fn owes_nothing(status: &Status) -> bool {
    status.queued_invalidations == 0 && status.tiers.iter().all(|tier| tier.state == TierState::Up)
}

fn health(status: &Status, stats: &Stats) -> Health {
    let hears = status.bus == BusStatus::Healthy;
    let hits = |tier: usize| stats.tiers.get(tier).map_or(0, |tier| tier.hits);
    Health {
        well: hears && owes_nothing(status),
        hears,
        near_hits: hits(0),
        far_hits: hits(1),
        loads: stats.loads,
        load_failures: stats.load_failures,
        coalesced: stats.coalesced,
        fenced_fills: stats.fenced_fills,
        replays: stats.replays,
        resets: stats.resets,
    }
}
