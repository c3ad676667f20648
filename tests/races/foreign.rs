//! Other programs write to Redis, and nodes that track foreign writes drop what they have near.

use std::convert::Infallible;

use cache_aside::{CachingService, LocalTier, Policy};
use cache_testing::{FaultProxy, RedisServer};

use crate::gated::{GatedTier, Gates, Point};
use crate::support::{MINUTE, eventually, hears_invalidations, near};

struct Tracked {
    redis: RedisServer,
    bus: FaultProxy,
    gates: Gates,
    node: CachingService,
}

impl Tracked {
    async fn start() -> Self {
        let redis = RedisServer::start();
        let bus = FaultProxy::start(redis.address());
        let tier = GatedTier::tracking(&redis.url(), &redis.url_at(bus.port()), true);
        let gates = tier.gates();
        let builder = CachingService::builder().local(LocalTier::new(1_000)).remote(tier);
        let node = builder.default_policy(Policy::new(MINUTE)).build().await.unwrap();
        hears_invalidations(&node).await;
        Self { redis, bus, gates, node }
    }

    /// Has the value near, whatever this node has yet to hear of its own writes.
    async fn have(&self, key: &str) {
        eventually("it is near, and stays so", || async {
            // A flush is noticed a heartbeat later, and then costs what was set in the meantime.
            if self.node.get::<String>(key).await.is_none() {
                self.node.set(key, "v".to_owned()).await;
            }
            self.has_heard().await;
            near(&self.node, key).await.is_some()
        })
        .await;
    }

    /// Returns when the node has taken in everything that was written up to now.
    async fn has_heard(&self) {
        let mark = "mark-of-the-test";
        self.node.entry(mark).local_only().set(String::new()).await;
        self.redis.cli(&["SET", &format!("cache:{mark}"), "x"]);
        eventually("the node hears of the mark", || async { near(&self.node, mark).await.is_none() }).await;
    }
}

#[tokio::test]
async fn what_other_programs_write_is_dropped() {
    let tracked = Tracked::start().await;
    for command in [
        &["SET", "cache:k", "x"][..],
        &["DEL", "cache:k"],
        &["EXPIRE", "cache:k", "100"],
        &["APPEND", "cache:k", "x"],
        &["RENAME", "cache:k", "cache:other"],
        &["FLUSHDB"],
        &["FLUSHALL"],
    ] {
        tracked.have("k").await;
        tracked.redis.cli(command);
        eventually("it is dropped", || async { near(&tracked.node, "k").await.is_none() }).await;
        hears_invalidations(&tracked.node).await;
    }
    assert!(tracked.node.stats().foreign_invalidations >= 7);
}

#[tokio::test]
async fn keys_of_others_are_left_alone() {
    let tracked = Tracked::start().await;
    tracked.have("k").await;
    tracked.redis.cli(&["SET", "cached:k", "x"]);
    tracked.redis.cli(&["SET", "k", "x"]);
    tracked.has_heard().await;
    assert!(near(&tracked.node, "k").await.is_some());
}

#[tokio::test]
async fn a_reply_from_before_a_foreign_write_is_not_kept() {
    let tracked = Tracked::start().await;
    tracked.have("k").await;
    tracked.node.entry("k").local_only().get::<String>().await.unwrap();
    // Drop it near, and hold the answer to the read that follows.
    tracked.redis.cli(&["PERSIST", "cache:k"]);
    eventually("it is dropped", || async { near(&tracked.node, "k").await.is_none() }).await;
    let answered = tracked.gates.close(Point::GetAnswered);
    let reader = tokio::spawn({
        let node = tracked.node.clone();
        async move { node.get::<String>("k").await }
    });
    answered.reached().await;
    tracked.redis.cli(&["DEL", "cache:k"]);
    tracked.has_heard().await;
    answered.open();
    assert!(reader.await.unwrap().is_some(), "it was asked before");
    assert_eq!(near(&tracked.node, "k").await, None);
}

#[tokio::test]
async fn a_load_goes_on_and_is_shared_while_its_own_lease_is_heard_of() {
    let tracked = Tracked::start().await;
    let load = crate::support::GatedLoad::start(&tracked.node, "k", "loaded").await;
    tracked.has_heard().await;
    let joined = tokio::spawn({
        let node = tracked.node.clone();
        async move { node.get_or_load("k", || async { Ok::<_, Infallible>("second".to_owned()) }).await }
    });
    // This runtime has one thread, so the other task runs until it waits.
    tokio::task::yield_now().await;
    assert_eq!(load.end().await, "loaded");
    assert_eq!(*joined.await.unwrap().unwrap(), "loaded");
    assert_eq!(tracked.node.stats().loads, 1);
}

#[tokio::test]
async fn what_was_written_while_the_bus_was_cut_off_is_dropped_when_it_is_back() {
    let tracked = Tracked::start().await;
    tracked.have("k").await;
    let held = tracked.bus.hold_replies();
    tracked.redis.cli(&["DEL", "cache:k"]);
    tracked.bus.sever().await;
    drop(held);
    eventually("it is dropped", || async { near(&tracked.node, "k").await.is_none() }).await;
    hears_invalidations(&tracked.node).await;
    assert_eq!(tracked.node.get::<String>("k").await, None);
}
