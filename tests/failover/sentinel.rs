//! Sentinels make the replica the primary.

use std::time::Duration;

use cache_aside::{CachingService, Delivery, Event, LocalTier, Policy, RedisTier};
use cache_testing::RedisSentinels;

use crate::support::{MINUTE, Told, eventually, hears_invalidations, told, until};

async fn node(sentinels: &RedisSentinels) -> CachingService {
    told_node(sentinels).await.0
}

async fn told_node(sentinels: &RedisSentinels) -> (CachingService, Told) {
    let patience = Duration::from_secs(5);
    let remote = RedisTier::sentinel(sentinels.service(), sentinels.urls()).connect_timeout(patience);
    let builder = CachingService::builder().local(LocalTier::new(1_000)).remote(remote.build().unwrap());
    let (builder, told) = told(builder.tier_timeout(patience).default_policy(Policy::new(MINUTE)));
    let node = builder.build().await.unwrap();
    hears_invalidations(&node).await;
    (node, told)
}

/// The nodes use the server that was the replica, and hear of each other over it.
async fn have_followed(sentinels: &RedisSentinels, a: &CachingService, b: &CachingService) {
    let shared = || async { a.set("k", 2_u32).await.delivery == Delivery::Done };
    eventually("values are stored again", shared).await;
    assert_eq!(sentinels.replica().cli(&["EXISTS", "cache:k"]), "1");
    hears_invalidations(a).await;
    hears_invalidations(b).await;
    eventually("the other node reads them", || async { b.get::<u32>("k").await.as_deref() == Some(&2) }).await;
    assert_eq!(a.invalidate("k").await.delivery, Delivery::Done);
    eventually("the other node hears of it", || async { b.entry("k").local_only().get::<u32>().await.is_none() }).await;
    // Scans use connections of their own.
    a.set("k", 3_u32).await;
    assert_eq!(a.clear().await.removed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_primary_is_left_for_the_one_that_takes_over() {
    let sentinels = RedisSentinels::start();
    let (a, b) = (node(&sentinels).await, node(&sentinels).await);
    a.set("k", 1_u32).await;
    assert_eq!(b.get::<u32>("k").await.as_deref(), Some(&1));
    sentinels.primary().kill();
    assert_eq!(a.invalidate("k").await.delivery, Delivery::Queued);
    sentinels.wait_for_failover();
    eventually("what was queued is delivered", || async { a.status().await.queued_invalidations == 0 }).await;
    eventually("the other node has heard", || async { b.get::<u32>("k").await.is_none() }).await;
    have_followed(&sentinels, &a, &b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_made_a_replica_is_left() {
    let sentinels = RedisSentinels::start();
    let (a, b) = (node(&sentinels).await, node(&sentinels).await);
    a.set("k", 1_u32).await;
    // It goes on answering, and keeps its connections, until it is told.
    sentinels.sentinels()[0].cli(&["SENTINEL", "FAILOVER", sentinels.service()]);
    sentinels.wait_for_failover();
    have_followed(&sentinels, &a, &b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_asks_nothing_meanwhile_does_not_ask_the_primary_before() {
    let sentinels = RedisSentinels::start();
    let (a, (b, told)) = (node(&sentinels).await, told_node(&sentinels).await);
    let mut events = told.subscribe();
    a.set("k", 1_u32).await;
    assert_eq!(sentinels.primary().cli(&["WAIT", "1", "10000"]), "1");
    sentinels.primary().stop();
    sentinels.wait_for_failover();
    until(&mut events, "b has lost its bus", |event| matches!(event, Event::BusIsolated { .. })).await;
    until(&mut events, "it has another", |event| matches!(event, Event::BusConnected)).await;
    let shared = || async { a.set("other", 1_u32).await.delivery == Delivery::Done };
    eventually("a has followed", shared).await;
    assert_eq!(a.invalidate("k").await.delivery, Delivery::Done);
    sentinels.primary().resume();
    assert_eq!(b.get::<u32>("k").await, None, "the primary before has it still");
}
