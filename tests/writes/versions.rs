//! Versions that the application gives to what it sets.

use std::collections::HashMap;
use std::convert::Infallible;

use cache_aside::clock::ManualClock;
use cache_aside::{CachingService, Delivery, LoadContext, LocalTier, Policy};
use cache_testing::{FaultProxy, RedisServer};

use crate::support::{MINUTE, eventually, local_only, node, node_builder};

#[tokio::test]
async fn an_older_version_never_overwrites_a_newer_one() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    assert!(a.entry("k").version(5).set(50_u32).await.stored);
    let late = b.entry("k").version(4).set(40_u32).await;
    assert_eq!((late.stored, late.delivery), (false, Delivery::Done));
    assert!(!a.entry("k").version(4).set(41_u32).await.stored, "its own near tier knows");
    for node in [&a, &b] {
        assert_eq!(*node.get::<u32>("k").await.unwrap(), 50);
    }
    assert!(b.entry("k").version(6).set(60_u32).await.stored);
    eventually("a has heard of it", || async { a.get::<u32>("k").await.is_some_and(|value| *value == 60) }).await;
    let local = local_only().await;
    assert!(local.entry("k").version(2).set(2_u32).await.stored);
    assert!(!local.entry("k").version(1).set(1_u32).await.stored);
    assert_eq!(*local.get::<u32>("k").await.unwrap(), 2);
}

/// Loads what is stale, and what the source says that it has not changed.
async fn load_anew(cache: &CachingService, how: &str) {
    match how {
        "a load" => drop(cache.get_or_load("k", || async { Ok::<_, Infallible>(70_u32) }).await.unwrap()),
        "the same" => {
            let same = cache
                .entry("k")
                .load_with(|context: LoadContext<u32>| async move { Ok::<_, Infallible>(context.not_modified()) });
            assert_eq!(*same.await.unwrap(), 7_u32);
        }
        _ => {
            let load = |_| async { Ok::<_, Infallible>(HashMap::from([("k".to_owned(), 70_u32)])) };
            assert_eq!(*cache.get_or_load_many(&["k"], load).await.unwrap()[0].clone().unwrap(), 70);
        }
    }
}

/// A loader does not say what version it gives: it is none that is older than what it replaces.
#[tokio::test]
async fn what_is_loaded_anew_keeps_the_version_of_what_it_replaces() {
    let redis = RedisServer::start();
    for (how, far) in ["a load", "the same", "a batch"].into_iter().flat_map(|how| [(how, false), (how, true)]) {
        let clock = ManualClock::new();
        let policy = Policy::new(MINUTE).jitter(0.0).stale_if_error(MINUTE * 10);
        let cache = || {
            let near = CachingService::builder().local(LocalTier::new(100));
            let builder = if far { node_builder(&redis.url()) } else { near };
            builder.clock(clock.clone()).default_policy(policy.clone()).build()
        };
        let a = cache().await.unwrap();
        a.clear().await;
        assert!(a.entry("k").version(7).set(7_u32).await.stored);
        clock.advance(MINUTE * 2);
        load_anew(&a, how).await;
        assert_eq!(a.stats().loads, 1);
        let late = if far { cache().await.unwrap() } else { a.clone() };
        assert!(!late.entry("k").version(5).set(5_u32).await.stored, "{how}, {far}");
        assert!(late.entry("k").version(8).set(8_u32).await.stored, "{how}, {far}");
    }
}

/// The tier that would compare them is away.
#[tokio::test]
async fn a_version_that_cannot_be_compared_is_kept_nowhere() {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address());
    let (a, b) = (node(&redis.url()).await, node(&redis.url_at(proxy.port())).await);
    assert!(a.entry("k").version(7).set(7_u32).await.stored);
    proxy.cut().await;
    for _ in 0..2 {
        let late = b.entry("k").version(5).set(5_u32).await;
        assert_eq!((late.stored, late.delivery), (false, Delivery::Queued));
        assert_eq!(b.entry("k").local_only().get::<u32>().await, None);
    }
    assert!(b.set("k", 6_u32).await.stored, "without a version it is kept near");
}
