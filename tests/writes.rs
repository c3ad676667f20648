//! Writes that do more than a `set` or an `invalidate`: around the cache, with a version, to every node.
#![cfg(all(feature = "local", feature = "redis", feature = "json"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;
#[path = "writes/versions.rs"]
mod versions;

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cache_aside::clock::ManualClock;
use cache_aside::{CachingService, Delivery, LocalTier, Policy};
use cache_testing::{FaultProxy, RedisServer};
use futures_util::FutureExt;
use support::{
    Gate, MINUTE, abandon_write_around, eventually, heard, hears_invalidations, local_only, node, node_builder,
};

/// The truth, as a database would hold it.
#[derive(Clone, Default)]
struct Source(Arc<AtomicU32>);

impl Source {
    fn write(&self, value: u32) {
        self.0.store(value, Ordering::SeqCst);
    }

    fn read(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    async fn through(&self, cache: &CachingService) -> u32 {
        let source = self.clone();
        *cache.get_or_load("k", move || async move { Ok::<_, Infallible>(source.read()) }).await.unwrap()
    }
}

#[tokio::test]
async fn a_write_around_the_cache_leaves_nothing_old_anywhere() {
    let redis = RedisServer::start();
    let (a, b, source) = (node(&redis.url()).await, node(&redis.url()).await, Source::default());
    assert_eq!((source.through(&a).await, source.through(&b).await), (0, 0));
    let (written, other) = (source.clone(), b.clone());
    let result = a.write_around(&["k"], || async {
        eventually("the other node has heard of the fence", || async { other.get::<u32>("k").await.is_none() }).await;
        // Before the source changes, and after: what is loaded goes to its callers and nowhere else.
        assert_eq!(written.through(&other).await, 0);
        written.write(1);
        assert_eq!(written.through(&other).await, 1);
        written.write(2);
        Ok::<_, Infallible>("done")
    });
    assert_eq!(result.await, Ok("done"));
    assert!(a.get::<u32>("k").await.is_none());
    eventually("b has heard of it", || async { b.get::<u32>("k").await.is_none() }).await;
    assert_eq!((source.through(&b).await, source.through(&a).await), (2, 2));
    assert_eq!(a.stats().unfenced_writes, 0);
}

#[tokio::test]
async fn a_failed_write_around_invalidates_as_well() {
    let redis = RedisServer::start();
    let cache = node(&redis.url()).await;
    cache.set("k", 1_u32).await;
    assert_eq!(cache.write_around(&["k"], || async { Err::<(), _>("no answer") }).await, Err("no answer"));
    assert!(cache.get::<u32>("k").await.is_none());
    assert_eq!(Source::default().through(&cache).await, 0);
    assert!(cache.get::<u32>("k").await.is_some(), "the fence is lifted");
}

#[test]
fn a_writer_that_dies_inside_write_around_leaves_nothing_old_behind() {
    let redis = RedisServer::start();
    let survivor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let writer = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (b, source) = survivor.block_on(async {
        let (b, source) = (node(&redis.url()).await, Source::default());
        assert_eq!(source.through(&b).await, 0);
        (b, source)
    });
    let a =
        writer.block_on(async { node_builder(&redis.url()).fence_ttl(Duration::from_secs(3)).build().await.unwrap() });
    let (fenced, commit, committed) = (Gate::default(), Gate::default(), source.clone());
    let (at_fence, at_commit) = (fenced.clone(), commit.clone());
    writer.spawn(async move {
        let write = || async move {
            at_fence.pass().await;
            committed.write(1);
            at_commit.pass().await;
            Ok::<_, Infallible>(())
        };
        a.write_around(&["k"], write).await
    });
    survivor.block_on(async {
        fenced.reached().await;
        eventually("b has heard of the fence", || async { b.get::<u32>("k").await.is_none() }).await;
        // A load that reads before the source changes, and ends after the writer's death.
        let (slow, load) = (Gate::default(), b.clone());
        let (held, old) = (slow.clone(), source.clone());
        let load = tokio::spawn(async move {
            let read = move || async move {
                let value = old.read();
                held.pass().await;
                Ok::<_, Infallible>(value)
            };
            *load.get_or_load("k", read).await.unwrap()
        });
        slow.reached().await;
        fenced.open();
        commit.reached().await;
        writer.shutdown_background();
        slow.open();
        assert_eq!(load.await.unwrap(), 0, "it began before");
        assert_eq!(source.through(&b).await, 1);
        assert!(b.get::<u32>("k").await.is_none(), "nothing is stored while the fence stands");
        eventually("the fence lapses", || async { redis.cli(&["EXISTS", "{cache:k}!fences"]) == "0" }).await;
        assert_eq!(source.through(&b).await, 1);
        assert_eq!(*b.get::<u32>("k").await.unwrap(), 1);
        assert_eq!(*node(&redis.url()).await.get::<u32>("k").await.unwrap(), 1);
    });
}

#[tokio::test]
async fn a_write_around_that_is_dropped_invalidates_in_the_background() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    b.set("k", 1_u32).await;
    let reached = Gate::default();
    let mut write = Box::pin(a.write_around(&["k"], || async {
        reached.pass().await;
        pending::<Result<(), Infallible>>().await
    }));
    tokio::select! {
        _ = &mut write => panic!("it does not end"),
        () = reached.reached() => {}
    }
    // What was set meanwhile may be older than what the source does in the end.
    assert!(!b.set("k", 2_u32).await.stored);
    drop(write);
    eventually("b has heard of it", || async { b.stats().invalidations_received >= 2 }).await;
    assert_eq!(a.status().await.queued_invalidations, 0);
    assert_eq!(redis.cli(&["EXISTS", "{cache:k}!fences"]), "1", "the fence stays until it lapses");
}

#[tokio::test]
async fn a_fence_that_nobody_lifts_lapses_in_time_though_a_longer_write_ended_after_it() {
    let redis = RedisServer::start();
    let a = node_builder(&redis.url()).fence_ttl(MINUTE).build().await.unwrap();
    let b = node_builder(&redis.url()).fence_ttl(MINUTE * 10).build().await.unwrap();
    abandon_write_around(&a, "k").await;
    let left = || redis.cli(&["PTTL", "{cache:k}!fences"]).parse::<i64>().unwrap();
    let write = || async {
        assert!((60_001..=600_000).contains(&left()), "both are there");
        Ok::<_, Infallible>(())
    };
    b.write_around(&["k"], write).await.unwrap();
    assert!((1..=60_000).contains(&left()), "{} ms", left());
}

#[tokio::test]
async fn a_set_is_stored_as_soon_as_the_write_of_another_node_has_ended() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    a.write_around(&["k"], || async { Ok::<_, Infallible>(()) }).await.unwrap();
    heard(&a, &[&b]).await;
    assert!(b.set("k", 1_u32).await.stored);
    assert!(b.entry("k").local_only().get::<u32>().await.is_some(), "also near");
    // Where nobody can say so, it counts until it would have lapsed.
    a.write_around(&["k"], || async { Ok::<_, Infallible>(()) }).await.unwrap();
    heard(&a, &[&b]).await;
    redis.kill();
    assert!(!b.set("k", 2_u32).await.stored);
}

#[tokio::test]
async fn a_long_write_keeps_its_fence() {
    let redis = RedisServer::start();
    let clock = ManualClock::new();
    let a = node_builder(&redis.url()).clock(clock.clone()).fence_ttl(Duration::from_secs(6)).build().await.unwrap();
    let write = || async {
        for _ in 0..3 {
            assert_eq!(redis.cli(&["PEXPIRE", "{cache:k}!fences", "5000"]), "1");
            let renewed = || async { redis.cli(&["PTTL", "{cache:k}!fences"]).parse::<i64>().unwrap() > 5_000 };
            eventually("it is renewed", || async {
                clock.advance(Duration::from_secs(2));
                renewed().await
            })
            .await;
        }
        Ok::<_, Infallible>(())
    };
    a.write_around(&["k"], write).await.unwrap();
    assert_eq!(redis.cli(&["EXISTS", "{cache:k}!fences"]), "0");
}

#[tokio::test]
async fn with_redis_away_a_write_around_goes_on_unfenced() {
    let redis = RedisServer::start();
    let cache = support::default_node(&redis.url()).await;
    cache.set("k", 1_u32).await;
    redis.kill();
    assert_eq!(cache.write_around(&["k"], || async { Ok::<_, Infallible>(7) }).await, Ok(7));
    assert_eq!(cache.stats().unfenced_writes, 1);
    assert!(cache.get::<u32>("k").await.is_none());
    assert!(cache.status().await.queued_invalidations >= 1);
    let local = local_only().await;
    local.set("k", 1_u32).await;
    local.write_around(&["k", ""], || async { Ok::<_, Infallible>(()) }).await.unwrap();
    assert!(local.get::<u32>("k").await.is_none());
    assert_eq!(local.stats().unfenced_writes, 0);
}

#[tokio::test]
async fn a_replicated_value_is_in_every_near_tier_without_a_read() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    a.entry("k").replicate().set("value".to_owned()).await;
    let near = || async { b.entry("k").local_only().get::<String>().await };
    eventually("b has it", || async { near().await.is_some_and(|value| *value == "value") }).await;
    assert_eq!(b.stats().replicas_received, 1);
    // While the near tier is still being rid of what it had before the bus was there, each reader decodes for itself.
    eventually("it is decoded once", || async { Arc::ptr_eq(&near().await.unwrap(), &near().await.unwrap()) }).await;
    b.invalidate("k").await;
    assert!(near().await.is_none());
    // Too long to be sent: then it is an invalidation like any other.
    b.set("k", "old".to_owned()).await;
    a.entry("k").replicate().set("x".repeat(70_000)).await;
    eventually("b has heard of it", || async { near().await.is_none() }).await;
    assert_eq!(b.get::<String>("k").await.unwrap().len(), 70_000);
    assert_eq!((b.stats().replicas_received, a.stats().replicas_received), (1, 0));
}

/// There its version is compared before anybody is sent it.
#[tokio::test]
async fn on_one_server_a_value_with_a_version_is_sent_as_well() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    a.entry("k").version(1).replicate().set("value".to_owned()).await;
    let near = || async { b.entry("k").local_only().get::<String>().await };
    eventually("b has it", || async { near().await.is_some_and(|value| *value == "value") }).await;
    assert_eq!(b.stats().replicas_received, 1);
}

/// Until it is read, it is bytes.
#[tokio::test]
async fn a_replica_that_nobody_has_read_is_stale_and_loaded_anew_like_any_other() {
    let (redis, clock) = (RedisServer::start(), ManualClock::new());
    let policy = Policy::new(MINUTE).jitter(0.0).stale_while_revalidate(MINUTE * 10);
    let node = || node_builder(&redis.url()).clock(clock.clone()).default_policy(policy.clone()).build();
    let (a, b) = (node().await.unwrap(), node().await.unwrap());
    hears_invalidations(&b).await;
    a.entry("k").replicate().set(1_u32).await;
    eventually("b has it", || async { b.stats().replicas_received == 1 }).await;
    clock.advance(MINUTE * 2);
    hears_invalidations(&b).await;
    let stale = b.get_or_load("k", || async { Ok::<_, Infallible>(2_u32) }).await.unwrap();
    assert_eq!((*stale, b.stats().stale_served), (1, 1));
    eventually("it is loaded anew", || async { b.get::<u32>("k").await.is_some_and(|value| *value == 2) }).await;
}

#[tokio::test]
async fn a_replica_does_not_go_over_an_invalidation_under_way() {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address());
    let (a, b) = (node(&redis.url()).await, node(&redis.url_at(proxy.port())).await);
    hears_invalidations(&b).await;
    // Nothing reaches b from now on: neither the replica nor what its own invalidation is told.
    let replies = proxy.hold_replies();
    let mut invalidation = Box::pin(b.invalidate("k"));
    assert!(invalidation.as_mut().now_or_never().is_none());
    a.entry("k").replicate().set(1_u32).await;
    drop(replies);
    proxy.pass().await;
    invalidation.await;
    eventually("b has heard of both", || async { b.stats().invalidations_received >= 1 }).await;
    let near = b.entry("k").local_only().get::<u32>().await;
    assert!(near.is_none() || b.get::<u32>("k").await == near, "what is there is what Redis has");
}

#[tokio::test]
async fn a_replica_is_of_the_type_that_is_asked_for_or_a_miss() {
    let redis = RedisServer::start();
    let a = node(&redis.url()).await;
    let b = node_builder(&redis.url()).local(LocalTier::new(10)).build().await.unwrap();
    hears_invalidations(&b).await;
    a.entry("k").replicate().set("text".to_owned()).await;
    eventually("b has it", || async { b.stats().replicas_received == 1 }).await;
    assert!(b.entry("k").local_only().get::<u32>().await.is_none());
    assert_eq!(b.stats().undecodable, 1);
    assert_eq!(*b.get::<String>("k").await.unwrap(), "text");
}

/// It cannot run later, so that nothing has to be waited for before the old value is removed.
#[tokio::test]
async fn a_write_that_redis_refuses_keeps_nobody_from_reading() {
    let redis = RedisServer::start();
    let a = node(&redis.url()).await;
    for key in ["k", "other"] {
        a.set(key, 1_u32).await;
    }
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(a.set("k", 2_u32).await.delivery, Delivery::Queued);
    let readable =
        eventually("Redis is read", || async { a.entry("other").remote_only().get::<u32>().await.is_some() });
    // Half of the time that a call may take.
    tokio::time::timeout(Duration::from_secs(5), readable).await.expect("it waits for nothing");
    assert_eq!(a.entry("k").remote_only().get::<u32>().await, None);
}

#[tokio::test]
async fn a_strict_invalidation_waits_for_every_node() {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address());
    let (a, b) = (node(&redis.url()).await, node(&redis.url_at(proxy.port())).await);
    let near = || async { b.entry("k").local_only().get::<u32>().await };
    // Redis has known its nodes for long, so it knows them all.
    redis.cli(&["HSET", "{cache}!nodes", "since", "0"]);
    b.set("k", 1_u32).await;
    let receipt = a.entry("k").invalidate_strict().await;
    assert_eq!((receipt.removed, receipt.delivery), (1, Delivery::Done));
    assert!(near().await.is_none(), "no wait is needed");

    b.set("k", 2_u32).await;
    let replies = proxy.hold_replies();
    let strict = tokio::spawn({
        let a = a.clone();
        async move { a.entry("k").invalidate_strict().await }
    });
    eventually("it is written", || async { redis.cli(&["EXISTS", "cache:k"]) == "0" }).await;
    assert_eq!(*near().await.unwrap(), 2, "b has not heard of it");
    assert!(!strict.is_finished());
    drop(replies);
    proxy.pass().await;
    assert_eq!(strict.await.unwrap().delivery, Delivery::Done);
    assert!(near().await.is_none());
}

#[tokio::test]
async fn a_strict_invalidation_waits_for_a_dead_node_no_longer_than_that_may_serve() {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address());
    let impatient = |url: &str| {
        let builder = node_builder(url).heartbeat_interval(Duration::from_millis(50));
        builder.heartbeat_timeout(Duration::from_millis(250)).isolated_ttl(Duration::ZERO)
    };
    let a = impatient(&redis.url()).build().await.unwrap();
    let b = impatient(&redis.url_at(proxy.port())).build().await.unwrap();
    hears_invalidations(&a).await;
    hears_invalidations(&b).await;
    b.set("k", 1_u32).await;
    let held = (proxy.hold_replies(), proxy.hold_requests());
    assert_eq!(a.entry("k").invalidate_strict().await.delivery, Delivery::Done);
    assert!(b.entry("k").local_only().get::<u32>().await.is_none(), "its right to serve has lapsed");
    drop(held);
    proxy.pass().await;
    // A node that ends is not waited for.
    b.shutdown().await;
    assert_eq!(redis.cli(&["HLEN", "{cache}!nodes"]), "3", "one node, since when, and on which server");
    redis.kill();
    assert_eq!(a.entry("k").invalidate_strict().await.delivery, Delivery::Queued);
}

/// It has registered for how long it may.
#[tokio::test]
async fn a_strict_invalidation_waits_for_a_node_that_may_serve_for_longer_than_this_one() {
    let redis = RedisServer::start();
    let (proxy, clock) = (FaultProxy::start(redis.address()), ManualClock::new());
    let builder = node_builder(&redis.url()).isolated_ttl(Duration::ZERO).clock(clock.clone());
    let (a, b) = (builder.build().await.unwrap(), node(&redis.url_at(proxy.port())).await);
    redis.cli(&["HSET", "{cache}!nodes", "since", "0"]);
    b.set("k", 1_u32).await;
    let held = (proxy.hold_replies(), proxy.hold_requests());
    let strict = tokio::spawn({
        let a = a.clone();
        async move { a.entry("k").invalidate_strict().await }
    });
    eventually("it is written", || async { redis.cli(&["EXISTS", "cache:k"]) == "0" }).await;
    for _ in 0..20 {
        clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(*b.entry("k").local_only().get::<u32>().await.unwrap(), 1, "b has not heard of it");
    assert!(!strict.is_finished());
    drop(held);
    proxy.pass().await;
    eventually("it ends", || async {
        clock.advance(Duration::from_millis(50));
        strict.is_finished()
    })
    .await;
    assert!(b.entry("k").local_only().get::<u32>().await.is_none());
}

#[tokio::test]
async fn a_strict_invalidation_waits_for_nodes_that_redis_has_lost() {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address());
    let (a, b) = (node(&redis.url()).await, node(&redis.url_at(proxy.port())).await);
    b.set("k", 1_u32).await;
    let held = (proxy.hold_replies(), proxy.hold_requests());
    redis.cli(&["DEL", "{cache}!nodes"]);
    let strict = tokio::spawn({
        let a = a.clone();
        async move { a.entry("k").invalidate_strict().await }
    });
    eventually("it is written", || async { redis.cli(&["EXISTS", "cache:k"]) == "0" }).await;
    eventually("a has registered again", || async { redis.cli(&["HLEN", "{cache}!nodes"]) == "3" }).await;
    assert_eq!(*b.entry("k").local_only().get::<u32>().await.unwrap(), 1, "b has not heard of it");
    assert!(!strict.is_finished());
    drop(held);
    proxy.pass().await;
    eventually("b has heard of it", || async { b.entry("k").local_only().get::<u32>().await.is_none() }).await;
    redis.cli(&["HSET", "{cache}!nodes", "since", "0"]);
    assert_eq!(strict.await.unwrap().delivery, Delivery::Done);
}

#[tokio::test]
async fn a_node_that_joins_preloads_its_near_tier() {
    let redis = RedisServer::start();
    let a = node(&redis.url()).await;
    for n in 0..250_u32 {
        a.set(format!("user:{n}"), n).await;
    }
    a.set("other", 1_u32).await;
    let b = node(&redis.url()).await;
    let mut reports = Vec::new();
    let preload = b.preload::<u32>("user:*").unwrap();
    let done = preload.on_progress(|progress| reports.push(*progress)).run().await;
    assert!(done.complete && done.read >= 250 && done.loaded == done.read, "{done:?}");
    assert!(reports.len() >= 3 && reports.windows(2).all(|pair| pair[0].read <= pair[1].read), "{reports:?}");
    let far_hits = b.stats().tiers[1].hits;
    for n in 0..250_u32 {
        assert_eq!(*b.get::<u32>(format!("user:{n}")).await.unwrap(), n);
    }
    assert_eq!(b.stats().tiers[1].hits, far_hits, "none was read from Redis");
    assert!(b.preload::<u32>("[").is_err());
    let few = node(&redis.url()).await.preload::<u32>("user:*").unwrap().max_keys(10).run().await;
    assert_eq!((few.read, few.complete), (10, true));
    redis.kill();
    assert!(!b.preload::<u32>("user:*").unwrap().run().await.complete);
}

#[tokio::test]
async fn a_preload_keeps_to_its_rate() {
    let redis = RedisServer::start();
    let a = node(&redis.url()).await;
    for n in 0..200_u32 {
        a.set(format!("user:{n}"), n).await;
    }
    let clock = ManualClock::new();
    let b = node_builder(&redis.url()).clock(clock.clone()).build().await.unwrap();
    let preload = b.preload::<u32>("user:*").unwrap().keys_per_second(50);
    let (mut run, mut passed) = (Box::pin(preload.run()), Duration::ZERO);
    let done = loop {
        tokio::select! {
            biased;
            done = &mut run => break done,
            () = tokio::task::yield_now() => {
                clock.advance(Duration::from_millis(100));
                passed += Duration::from_millis(100);
            }
        }
    };
    assert!(done.read >= 200 && passed >= Duration::from_secs(4), "{done:?} in {passed:?}");
}
