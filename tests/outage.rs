//! Redis away: callers are answered, and nothing is lost.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use cache_aside::clock::ManualClock;
use cache_aside::{BusStatus, CachingService, Delivery, LocalTier, RedisTier, TierState};
use cache_testing::{FaultProxy, RedisServer};
use support::{default_node, eventually, hears_invalidations, node, node_builder};

async fn load(cache: &CachingService, key: &str) -> u32 {
    *cache.get_or_load(key, || async { Ok::<_, Infallible>(7_u32) }).await.unwrap()
}

async fn redis_state(cache: &CachingService) -> TierState {
    cache.status().await.tiers.iter().find(|tier| tier.name == "redis").unwrap().state
}

#[tokio::test]
async fn a_service_is_built_while_redis_is_down_and_takes_it_up_later() {
    let redis = RedisServer::start();
    redis.kill();
    let started = Instant::now();
    let cache = default_node(&redis.url()).await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(load(&cache, "k").await, 7);
    let status = cache.status().await;
    assert_eq!(status.tiers[1].state, TierState::Down);
    assert!(status.tiers[1].last_error.is_some());
    assert!(matches!(status.bus, BusStatus::Isolated { .. }));
    redis.restart();
    eventually("redis is up", || async { redis_state(&cache).await == TierState::Up }).await;
    hears_invalidations(&cache).await;
    assert_eq!(cache.set("k", 1_u32).await.delivery, Delivery::Done);
    assert_eq!(redis.cli(&["EXISTS", "cache:k"]), "1");
}

#[tokio::test]
async fn with_redis_killed_loads_go_on_at_once() {
    let redis = RedisServer::start();
    let cache = default_node(&redis.url()).await;
    load(&cache, "hot").await;
    redis.kill();
    let started = Instant::now();
    for n in 0..200 {
        assert_eq!(load(&cache, &format!("k{n}")).await, 7);
    }
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(load(&cache, "hot").await, 7);
    assert_eq!(cache.stats().loads, 201);
    assert_eq!(redis_state(&cache).await, TierState::Down);
}

#[tokio::test]
async fn with_redis_hung_loads_cost_bounded_timeouts_and_near_hits_nothing() {
    let redis = RedisServer::start();
    let cache = default_node(&redis.url()).await;
    load(&cache, "hot").await;
    redis.stop();
    let started = Instant::now();
    for n in 0..200 {
        assert_eq!(load(&cache, &format!("k{n}")).await, 7);
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let started = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(load(&cache, "hot").await, 7);
    }
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    redis.resume();
    eventually("redis is up", || async { redis_state(&cache).await == TierState::Up }).await;
    load(&cache, "after").await;
    eventually("it is filled again", || async { redis.cli(&["EXISTS", "cache:after"]) == "1" }).await;
}

#[tokio::test]
async fn invalidations_wait_for_redis_and_are_delivered_before_it_is_read_again() {
    let redis = RedisServer::builder().append_only().start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    for key in ["user:1", "user:2", "order:1", "kept"] {
        a.set(key, 1_u32).await;
    }
    redis.kill();
    for receipt in [a.invalidate("order:1").await, a.invalidate_pattern("user:*").await.unwrap()] {
        assert_eq!(receipt.delivery, Delivery::Queued);
    }
    assert_eq!(a.set("set", 2_u32).await.delivery, Delivery::Queued);
    assert_eq!(a.status().await.queued_invalidations, 3);
    assert_eq!((a.get::<u32>("order:1").await, a.get::<u32>("user:1").await), (None, None), "applied here at once");
    assert!(a.get::<u32>("set").await.is_some());
    redis.restart();
    eventually("delivered", || async {
        let status = a.status().await;
        status.queued_invalidations == 0 && status.tiers[1].state == TierState::Up
    })
    .await;
    eventually("b is up", || async { redis_state(&b).await == TierState::Up }).await;
    hears_invalidations(&b).await;
    for key in ["order:1", "user:1", "user:2"] {
        assert_eq!((a.get::<u32>(key).await, b.get::<u32>(key).await), (None, None), "{key}");
    }
    assert!(b.get::<u32>("kept").await.is_some());
}

#[tokio::test]
async fn a_scan_that_fails_is_made_again_without_another_record() {
    let redis = RedisServer::start();
    let a = node(&redis.url()).await;
    a.set("user:1", 1_u32).await;
    let records = || redis.cli(&["XRANGE", "{cache}!journal", "-", "+"]).matches("user:*").count();
    let refused = || {
        let stats = redis.cli(&["INFO", "commandstats"]);
        let scans = stats.lines().find(|line| line.starts_with("cmdstat_scan:"));
        let rejected = scans.and_then(|scans| scans.split("rejected_calls=").nth(1)?.split(',').next()?.parse().ok());
        rejected.unwrap_or(0_u32)
    };
    let refused_again = async || {
        let before = refused();
        // Of those under way one may have been appended before.
        eventually("it is tried again", || async { refused() >= before + 3 }).await;
    };

    redis.cli(&["ACL", "SETUSER", "default", "-scan"]);
    assert_eq!(a.invalidate_pattern("user:*").await.unwrap().delivery, Delivery::Queued);
    refused_again().await;
    assert_eq!(records(), 1);
    // What was made since is not covered by it.
    assert_eq!(a.invalidate_pattern("user:*").await.unwrap().delivery, Delivery::Queued);
    refused_again().await;
    assert_eq!(records(), 2);
    // Nor is anything by one that is gone.
    redis.cli(&["DEL", "{cache}!journal"]);
    eventually("the journal is taken up anew", || async { records() == 1 }).await;
    refused_again().await;
    assert_eq!(records(), 1);
    assert_ne!(redis_state(&a).await, TierState::Up, "it waits for its scan");

    redis.cli(&["ACL", "SETUSER", "default", "+scan"]);
    // What is on its way does not count as queued.
    eventually("it is delivered", || async { redis_state(&a).await == TierState::Up }).await;
    assert_eq!((records(), redis.cli(&["EXISTS", "cache:user:1"]).as_str()), (1, "0"));
    assert!(!redis.cli(&["HKEYS", "{cache}!rules"]).contains("user:*"), "everything was scanned for it");
}

#[tokio::test]
async fn an_invalidation_whose_caller_goes_away_is_delivered_nevertheless() {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address());
    let a = node(&redis.url_at(proxy.port())).await;
    let b = node(&redis.url()).await;
    b.set("k", 1_u32).await;
    let gate = proxy.hold_requests();
    {
        let mut invalidation = Box::pin(a.invalidate("k"));
        assert!(futures_util::poll!(&mut invalidation).is_pending());
    }
    gate.release();
    eventually("b has heard of it", || async { b.get::<u32>("k").await.is_none() }).await;
    assert_eq!(redis.cli(&["EXISTS", "cache:k"]), "0");
}

#[tokio::test]
async fn while_isolated_a_node_serves_near_entries_no_longer_than_the_isolated_ttl() {
    let redis = RedisServer::start();
    let clock = ManualClock::new();
    let cache = CachingService::builder()
        .local(LocalTier::new(100))
        .remote(RedisTier::new(redis.url()).unwrap())
        .clock(clock.clone())
        .isolated_ttl(Duration::from_secs(10))
        .build()
        .await
        .unwrap();
    cache.set("k", 1_u32).await;
    redis.kill();
    eventually("the node knows", || async { matches!(cache.status().await.bus, BusStatus::Isolated { .. }) }).await;
    assert!(cache.get::<u32>("k").await.is_some());
    clock.advance(Duration::from_millis(9_999));
    assert!(cache.get::<u32>("k").await.is_some());
    clock.advance(Duration::from_millis(1));
    assert!(cache.get::<u32>("k").await.is_none());
    assert_eq!(load(&cache, "k").await, 7);
    clock.advance(Duration::from_millis(9_999));
    let value = cache.get_or_load("k", || async { Err::<u32, _>("not asked") }).await;
    assert_eq!(*value.unwrap(), 7, "one load each ten seconds");
}

#[tokio::test]
async fn a_node_that_stood_still_serves_nothing_that_it_cannot_vouch_for() {
    let redis = RedisServer::start();
    let clock = ManualClock::new();
    let builder = CachingService::builder().local(LocalTier::new(100)).remote(RedisTier::new(redis.url()).unwrap());
    let cache = builder.clock(clock.clone()).build().await.unwrap();
    hears_invalidations(&cache).await;
    cache.set("k", 1_u32).await;
    let served = || async { cache.entry("k").local_only().get::<u32>().await.is_some() };
    assert_eq!(cache.staleness_bound(), Duration::from_secs(10));
    clock.advance(Duration::from_millis(9_999));
    assert!(served().await);
    // The heartbeat that is due gives it another such time.
    eventually("the heartbeat", || async {
        clock.advance(Duration::from_millis(1));
        served().await
    })
    .await;
    // As for a process that was stopped: the clock has moved on, and no task of the node has run since.
    clock.advance(cache.staleness_bound());
    assert!(!served().await);
}

#[tokio::test]
async fn a_silent_link_is_found_by_the_heartbeat() {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address());
    let a = node_builder(&redis.url_at(proxy.port()))
        .heartbeat_interval(Duration::from_millis(50))
        .heartbeat_timeout(Duration::from_millis(200))
        .build()
        .await
        .unwrap();
    let b = node(&redis.url()).await;
    a.set("k", 1_u32).await;
    hears_invalidations(&a).await;
    proxy.pause();
    b.invalidate("k").await;
    eventually("the node knows", || async { matches!(a.status().await.bus, BusStatus::Isolated { .. }) }).await;
    proxy.pass().await;
    eventually("a has caught up", || async { a.get::<u32>("k").await.is_none() }).await;
    hears_invalidations(&a).await;
}

#[tokio::test]
async fn shutdown_delivers_what_is_queued() {
    let redis = RedisServer::start();
    let a = node(&redis.url()).await;
    redis.kill();
    a.invalidate("k").await;
    redis.restart();
    redis.cli(&["SET", "cache:k", "left over"]);
    a.shutdown().await;
    assert_eq!(redis.cli(&["EXISTS", "cache:k"]), "0");
}

#[tokio::test]
async fn a_load_waits_for_a_hung_redis_once() {
    let redis = RedisServer::start();
    let cache = default_node(&redis.url()).await;
    redis.stop();
    assert_eq!(load(&cache, "k").await, 7);
    let stats = cache.stats();
    assert_eq!(
        (stats.tiers[1].errors, stats.tiers[1].skipped),
        (1, 0),
        "the read timed out, and nothing else was tried"
    );
}
