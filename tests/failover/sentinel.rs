//! Sentinels make the replica the primary.

use std::time::Duration;

use cache_aside::{CachingService, Delivery, LocalTier, Policy, RedisTier};
use cache_testing::RedisSentinels;

use crate::support::{MINUTE, eventually, hears_invalidations};

async fn node(sentinels: &RedisSentinels) -> CachingService {
    let patience = Duration::from_secs(5);
    let remote = RedisTier::sentinel(sentinels.service(), sentinels.urls()).connect_timeout(patience);
    let builder = CachingService::builder().local(LocalTier::new(1_000)).remote(remote.build().unwrap());
    let node = builder.tier_timeout(patience).default_policy(Policy::new(MINUTE)).build().await.unwrap();
    hears_invalidations(&node).await;
    node
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
