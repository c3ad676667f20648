//! What a pattern or a clear has voided, while the near tier has yet to be rid of it.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cache_aside::coherence::{Change, NodeId, Record};
use cache_aside::{
    CacheTier, CachingService, Delivery, Entry, Key, LocalTier, Namespace, NearTier, Pattern, RedisTier, SharedTier,
    TierError, TierState,
};
use cache_testing::RedisServer;
use futures_util::FutureExt;

use crate::gated::Point;
use crate::setting::{NEW, OLD, Setting};
use crate::support::{GatedLoad, eventually, heard, hears_invalidations, near, node};

/// A near tier whose removals by pattern wait for their gate to open.
#[derive(Clone)]
struct SlowToFree {
    tier: Arc<LocalTier>,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

#[derive(Default)]
struct Gate {
    open: bool,
    waiting: usize,
}

impl SlowToFree {
    fn new() -> Self {
        Self { tier: Arc::new(LocalTier::new(1_000)), gate: Arc::default() }
    }

    fn open(&self) {
        self.gate.0.lock().unwrap().open = true;
        self.gate.1.notify_all();
    }

    fn is_freeing(&self) -> bool {
        self.gate.0.lock().unwrap().waiting > 0
    }
}

impl NearTier for SlowToFree {
    fn inspect(&self, key: &str, look: &mut dyn FnMut(&Entry)) {
        self.tier.inspect(key, look);
    }

    fn insert(&self, key: &Key, entry: Entry, ttl: Duration) {
        self.tier.insert(key, entry, ttl);
    }

    fn remove(&self, key: &str) -> bool {
        self.tier.remove(key)
    }

    fn remove_matching(&self, void: &dyn Fn(&Key, &Entry) -> bool) -> u64 {
        let mut gate = self.gate.0.lock().unwrap();
        gate.waiting += 1;
        // The bound only ends a test that would hang.
        drop(self.gate.1.wait_timeout_while(gate, Duration::from_secs(30), |gate| !gate.open).unwrap());
        self.tier.remove_matching(void)
    }
}

#[async_trait]
impl CacheTier for SlowToFree {
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

/// A node whose near tier is slow to free, and holds old values of `user:1` and `order:1`. Its gate is closed by now: with
/// an open one it has begun to listen.
async fn slow_node(redis: &RedisServer, writer: &CachingService) -> (CachingService, SlowToFree) {
    let slow = SlowToFree::new();
    slow.open();
    let remote = RedisTier::new(redis.url()).unwrap();
    let node = CachingService::builder().local(slow.clone()).remote(remote).build().await.unwrap();
    hears_invalidations(&node).await;
    for key in ["user:1", "order:1"] {
        writer.set(key, OLD.to_owned()).await;
    }
    heard(writer, &[&node]).await;
    for key in ["user:1", "order:1"] {
        node.get::<String>(key).await.unwrap();
    }
    *slow.gate.0.lock().unwrap() = Gate::default();
    (node, slow)
}

#[tokio::test]
async fn what_another_node_has_voided_is_not_served_while_it_is_freed() {
    let redis = RedisServer::start();
    let writer = node(&redis.url()).await;
    let (reader, slow) = slow_node(&redis, &writer).await;

    writer.invalidate_pattern("user:*").await.unwrap();
    heard(&writer, &[&reader]).await;
    eventually("it is being freed", || async { slow.is_freeing() }).await;

    assert_eq!((near(&reader, "user:1").await, near(&reader, "order:1").await), (None, Some(OLD.to_owned())));
    assert_eq!(GatedLoad::start(&reader, "user:1", NEW).await.end().await, NEW);
    assert_eq!(near(&reader, "user:1").await.as_deref(), Some(NEW), "what is loaded since is kept");
    writer.clear().await;
    heard(&writer, &[&reader]).await;
    assert_eq!((near(&reader, "user:1").await, near(&reader, "order:1").await), (None, None));

    slow.open();
    eventually("it is free", || async { slow.tier.usage().entries == Some(0) }).await;
}

#[tokio::test]
async fn what_a_caller_has_voided_is_not_served_while_it_is_freed_for_which_it_does_not_wait() {
    let redis = RedisServer::start();
    let writer = node(&redis.url()).await;
    let (caller, slow) = slow_node(&redis, &writer).await;

    assert_eq!(caller.invalidate_pattern("user:*").await.unwrap().removed, 1);
    eventually("it is being freed", || async { slow.is_freeing() }).await;
    assert_eq!((near(&caller, "user:1").await, near(&caller, "order:1").await), (None, Some(OLD.to_owned())));
    heard(&caller, &[&writer]).await;
    assert_eq!((caller.get::<String>("user:1").await, writer.get::<String>("user:1").await), (None, None));

    slow.open();
    eventually("it is free", || async { slow.tier.usage().entries == Some(1) }).await;
    assert_eq!(near(&caller, "order:1").await.as_deref(), Some(OLD));
}

/// Nobody else has a reason to look.
#[tokio::test]
async fn what_a_caller_did_not_wait_for_is_freed_where_there_is_no_other_tier() {
    let slow = SlowToFree::new();
    let cache = CachingService::builder().local(slow.clone()).build().await.unwrap();
    for key in ["user:1", "order:1"] {
        cache.set(key, OLD.to_owned()).await;
    }
    let mut first = Box::pin(cache.invalidate_pattern("user:*"));
    assert!(first.as_mut().now_or_never().is_none());
    eventually("it is being freed", || async { slow.is_freeing() }).await;
    let mut second = Box::pin(cache.invalidate_pattern("order:*"));
    assert!(second.as_mut().now_or_never().is_none(), "it waits for the first");
    drop((first, second));
    assert_eq!((near(&cache, "user:1").await, near(&cache, "order:1").await), (None, None));
    slow.open();
    eventually("all is free", || async { slow.tier.usage().entries == Some(0) }).await;
}

/// The scan of a pattern that has waited for Redis may take minutes.
#[tokio::test]
async fn other_changes_are_delivered_while_what_a_pattern_covers_is_freed() {
    let setting = Setting::new().await;
    let Setting { commands, gates, a, b, .. } = &setting;
    b.set("k", OLD.to_owned()).await;
    b.set("old:1", OLD.to_owned()).await;
    commands.cut().await;
    assert_eq!(a.invalidate_pattern("old:*").await.unwrap().delivery, Delivery::Queued);
    let scan = gates.close(Point::ScanSent);
    commands.pass().await;
    eventually("it is being freed", || async {
        setting.clock.advance(Duration::from_millis(50));
        scan.runs() == 1
    })
    .await;
    assert_eq!(a.invalidate("k").await.delivery, Delivery::Done);
    assert_eq!(b.get::<String>("k").await, None);
    let set = a.set("k", NEW.to_owned()).await;
    assert_eq!((set.delivery, set.stored), (Delivery::Done, true));
    assert_eq!(b.get::<String>("k").await.as_deref().map(String::as_str), Some(NEW), "Redis knows of everything");
    assert_eq!(a.entry("k").remote_only().get::<String>().await.as_deref().map(String::as_str), Some(NEW));
    assert_eq!(a.entry("old:1").remote_only().get::<String>().await, None, "what has yet to be freed is void");
    let state = || async { a.status().await.tiers.iter().find(|tier| tier.name == "redis").map(|tier| tier.state) };
    assert_eq!(state().await, Some(TierState::Degraded), "it waits for its scan");
    scan.open();
    eventually("everything is delivered", || async {
        setting.clock.advance(Duration::from_millis(50));
        state().await == Some(TierState::Up)
    })
    .await;
}

/// What is loaded behind the record is younger than it.
#[tokio::test]
async fn what_is_loaded_while_a_pattern_is_scanned_for_is_kept() {
    let setting = Setting::new().await;
    let Setting { gates, a, .. } = &setting;
    a.set("user:1", OLD.to_owned()).await;
    let scan = gates.close(Point::ScanSent);
    let invalidation = tokio::spawn({
        let a = a.clone();
        async move { a.invalidate_pattern("user:*").await.unwrap() }
    });
    scan.reached().await;
    assert_eq!(GatedLoad::start(a, "user:1", NEW).await.end().await, NEW);
    assert_eq!(near(a, "user:1").await.as_deref(), Some(NEW));
    let other = GatedLoad::start(a, "order:1", NEW).await;
    let fenced = a.stats().fenced_fills;
    scan.open();
    assert_eq!(invalidation.await.unwrap().delivery, Delivery::Done);
    other.end().await;
    assert_eq!(near(a, "user:1").await.as_deref(), Some(NEW), "nothing has voided it");
    assert_eq!((near(a, "order:1").await.as_deref(), a.stats().fenced_fills), (Some(NEW), fenced));
}

/// The snapshot knows of the rule, and of what had yet to be removed; those that run have forgotten it.
#[tokio::test]
async fn what_a_server_brings_back_that_had_been_scanned_for_is_void_again() {
    let setting = Setting::new().await;
    let Setting { redis, gates, a, b, clock, .. } = &setting;
    b.set("old:1", OLD.to_owned()).await;
    let scan = gates.close(Point::ScanSent);
    let invalidation = tokio::spawn({
        let a = a.clone();
        async move { a.invalidate_pattern("old:*").await.unwrap() }
    });
    scan.reached().await;
    redis.cli(&["SAVE"]);
    scan.open();
    assert_eq!(invalidation.await.unwrap().delivery, Delivery::Done);
    // No record is lost, so nothing else tells that the server is not as it was.
    assert_eq!(redis.cli(&["HLEN", "{cache}!rules"]), "1", "it has been scanned for");
    redis.restart_from_snapshot();
    assert_eq!(redis.cli(&["EXISTS", "cache:old:1"]), "1");
    eventually("they are connected and have carried it again", || async {
        clock.advance(Duration::from_millis(50));
        let (a, b) = (a.status().await, b.status().await);
        let healthy = |status: &cache_aside::Status| status.bus == cache_aside::BusStatus::Healthy;
        healthy(&a) && healthy(&b) && a.queued_invalidations + b.queued_invalidations == 0
    })
    .await;
    for node in [a, b] {
        assert_eq!(node.get::<String>("old:1").await, None);
    }
    assert_eq!(redis.cli(&["EXISTS", "cache:old:1"]), "0");
}

/// The record stands, and the scan has yet to come to the lease of the write.
#[tokio::test]
async fn what_is_written_through_is_void_by_a_pattern_that_has_yet_to_be_scanned_for() {
    for hears in [true, false] {
        let setting = Setting::new().await;
        let Setting { redis, a, b, .. } = &setting;
        let other = RedisTier::new(redis.url()).unwrap();
        other.bind(&Namespace::new("cache").unwrap()).unwrap();
        let load = |_: u64| async { Ok::<_, String>(NEW.to_owned()) };
        let users = a.keyspace("user").loader(load).build().unwrap();
        let held = std::cell::RefCell::new(None);
        let write = |_| async {
            if !hears {
                *held.borrow_mut() = Some(setting.bus.hold_replies());
            }
            let record = Record::new(NodeId::new(1), Change::Pattern(Pattern::new("user:*").unwrap()));
            other.invalidate(&[], &record, None).await.unwrap();
            if hears {
                heard(b, &[a]).await;
            }
            Ok::<_, String>(())
        };
        users.write_through(&7, OLD.to_owned(), write).await.unwrap();
        drop(held.take());
        setting.bus.pass().await;
        setting.a_has_heard().await;
        assert_eq!(near(a, "user:7").await, None, "{hears}");
        for node in [a, b] {
            assert_eq!(node.get::<String>("user:7").await, None, "{hears}");
        }
    }
}
