//! What the black-box tests share.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod tracked;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache_aside::{
    BusStatus, CachingService, CachingServiceBuilder, Event, LoadError, LocalTier, Policy, RedisTier, TierState,
};
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A node with both tiers, which hears of invalidations.
pub(crate) async fn node(url: &str) -> CachingService {
    let (builder, told) = told(node_builder(url));
    let mut events = told.subscribe();
    let node = builder.build().await.unwrap();
    until(&mut events, "the bus is healthy", |event| matches!(event, Event::BusConnected)).await;
    node
}

/// What a node tells of, to be waited for.
pub(crate) type Told = broadcast::Sender<Event>;

/// A node that is to be built, and what it will tell of.
pub(crate) fn told(builder: CachingServiceBuilder) -> (CachingServiceBuilder, Told) {
    let told = Told::new(4_096);
    let tell = told.clone();
    // Nobody may listen.
    (builder.on_event(move |event| drop(tell.send(event.clone()))), told)
}

/// Waits for an event that `is_meant`. The bound only ends a test that would hang.
pub(crate) async fn until(events: &mut broadcast::Receiver<Event>, what: &str, is_meant: impl Fn(&Event) -> bool) {
    let wait = async { while !is_meant(&events.recv().await.unwrap()) {} };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// The same with timeouts that hold on a machine that is busy with other things.
pub(crate) fn node_builder(url: &str) -> CachingServiceBuilder {
    let patience = Duration::from_secs(10);
    let remote = RedisTier::builder(url).connect_timeout(patience).response_timeout(patience).build().unwrap();
    let builder = CachingService::builder().local(LocalTier::new(1_000)).remote(remote);
    builder.tier_timeout(patience).default_policy(Policy::new(MINUTE))
}

/// A node as an application would build it, with the default timeouts.
pub(crate) async fn default_node(url: &str) -> CachingService {
    let builder = CachingService::builder().local(LocalTier::new(1_000)).remote(RedisTier::new(url).unwrap());
    builder.default_policy(Policy::new(MINUTE)).build().await.unwrap()
}

pub(crate) async fn local_only() -> CachingService {
    CachingService::builder().local(LocalTier::new(1_000)).build().await.unwrap()
}

/// Waits until `condition` holds. The bound only ends a test that would hang.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

pub(crate) async fn hears_invalidations(service: &CachingService) {
    eventually("the bus is healthy", || async { service.status().await.bus == BusStatus::Healthy }).await;
}

/// Begins a write around the cache, and drops it half-way. What it leaves to be invalidated has been when this returns.
pub(crate) async fn abandon_write_around(cache: &CachingService, key: &str) {
    let reached = Gate::default();
    let keys = [key];
    let write = cache.write_around(&keys, || async {
        reached.pass().await;
        Ok::<_, Infallible>(())
    });
    tokio::select! {
        _ = write => panic!("it does not end"),
        () = reached.reached() => {}
    }
    let is_up = || async { cache.status().await.tiers.iter().all(|tier| tier.state == TierState::Up) };
    eventually("it is invalidated", is_up).await;
}

/// What the near tier of `cache` serves.
pub(crate) async fn near(cache: &CachingService, key: &str) -> Option<String> {
    cache.entry(key).local_only().get::<String>().await.map(|value| String::clone(&value))
}

/// Waits until each of `nodes` has applied every record up to now. Records are applied in order, so it is enough to wait
/// for the last.
pub(crate) async fn heard(writer: &CachingService, nodes: &[&CachingService]) {
    let marker = format!("marker:{}", MARKERS.fetch_add(1, Ordering::SeqCst));
    for node in nodes {
        node.entry(&marker).local_only().set(String::new()).await;
    }
    writer.invalidate(&marker).await;
    for node in nodes {
        eventually("the node hears of it", || async { near(node, &marker).await.is_none() }).await;
    }
}

static MARKERS: AtomicUsize = AtomicUsize::new(0);

/// A load whose loader stands at its gate.
pub(crate) struct GatedLoad {
    gate: Gate,
    caller: JoinHandle<Result<Arc<String>, LoadError<Infallible>>>,
}

impl GatedLoad {
    /// Begins to load `value`, with a tag that is named like the key, and returns when the loader stands at the gate.
    pub(crate) async fn start(cache: &CachingService, key: &str, value: &'static str) -> Self {
        let (cache, key, gate) = (cache.clone(), key.to_owned(), Gate::default());
        let passed = gate.clone();
        let load = move || async move {
            passed.pass().await;
            Ok(value.to_owned())
        };
        let caller = tokio::spawn(async move { cache.entry(&key).tags([&key]).get_or_load(load).await });
        gate.reached().await;
        Self { gate, caller }
    }

    /// Lets the loader go, and gives what its caller got.
    pub(crate) async fn end(self) -> String {
        self.gate.open();
        String::clone(&self.caller.await.unwrap().unwrap())
    }
}

/// A loader that stands still until it is let go, and counts its runs.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    started: Arc<Notify>,
    released: Arc<Notify>,
    runs: Arc<AtomicUsize>,
}

impl Gate {
    pub(crate) async fn pass(&self) {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.started.notify_one();
        self.released.notified().await;
    }

    /// Completes when a loader has reached the gate.
    pub(crate) async fn reached(&self) {
        self.started.notified().await;
    }

    pub(crate) fn open(&self) {
        self.released.notify_one();
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}
