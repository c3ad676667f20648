//! A replica takes over that had not heard of everything.
#![cfg(all(feature = "local", feature = "redis", feature = "json"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[cfg(feature = "cluster")]
#[path = "failover/cluster.rs"]
mod cluster;
#[cfg(feature = "cluster")]
#[path = "failover/foreign.rs"]
mod foreign;
#[cfg(feature = "sentinel")]
#[path = "failover/sentinel.rs"]
mod sentinel;
mod support;

use cache_aside::{CachingService, Delivery};
use cache_testing::proxy::Gate;
use cache_testing::{FaultProxy, RedisServer};
use support::{eventually, hears_invalidations, node};

/// A primary, a replica that hears of it through one proxy, and another proxy through which nodes find the one in charge.
struct Pair {
    primary: RedisServer,
    replica: RedisServer,
    stream: FaultProxy,
    front: FaultProxy,
}

impl Pair {
    async fn start() -> Self {
        let (primary, replica) = (RedisServer::start(), RedisServer::start());
        let (stream, front) = (FaultProxy::start(primary.address()), FaultProxy::start(primary.address()));
        replica.cli(&["REPLICAOF", "127.0.0.1", &stream.port().to_string()]);
        let up = || async { replica.cli(&["INFO", "replication"]).contains("master_link_status:up") };
        eventually("the replica has what the primary has", up).await;
        Self { primary, replica, stream, front }
    }

    async fn node(&self) -> CachingService {
        node(&self.primary.url_at(self.front.port())).await
    }

    /// Lets the replica hear of everything so far and of nothing more.
    fn hold(&self) -> Gate {
        assert_eq!(self.primary.cli(&["WAIT", "1", "10000"]), "1");
        self.stream.hold_replies()
    }

    async fn fail_over(&self) {
        self.primary.kill();
        self.replica.cli(&["REPLICAOF", "NO", "ONE"]);
        self.front.lead_to(self.replica.address());
        self.front.sever().await;
    }
}

#[tokio::test]
async fn an_invalidation_that_a_failover_lost_is_delivered_again() {
    let pair = Pair::start().await;
    let (a, b) = (pair.node().await, pair.node().await);
    for key in ["key", "pattern", "tagged", "other"] {
        a.entry(key).tags(if key == "tagged" { vec!["t"] } else { vec![] }).set(1_u32).await;
    }
    let held = pair.hold();
    assert_eq!(a.invalidate("key").await.delivery, Delivery::Done);
    assert_eq!(a.invalidate_pattern("pat*").await.unwrap().delivery, Delivery::Done);
    assert_eq!(a.invalidate_tags(["t"]).await.delivery, Delivery::Done);
    eventually("b has heard of all", || async { b.stats().invalidations_received >= 7 }).await;
    pair.fail_over().await;
    drop(held);
    assert_eq!(pair.replica.cli(&["EXISTS", "cache:key", "cache:pattern"]), "2", "they rise again");
    for node in [&a, &b] {
        for key in ["key", "pattern", "tagged"] {
            assert!(node.get::<u32>(key).await.is_none(), "{key}, before the bus is back");
        }
    }
    hears_invalidations(&a).await;
    hears_invalidations(&b).await;
    let gone = || async { pair.replica.cli(&["EXISTS", "cache:key", "cache:pattern"]) == "0" };
    eventually("they are removed again", gone).await;
    let joined = pair.node().await;
    for node in [&a, &b, &joined] {
        for key in ["key", "pattern", "tagged"] {
            assert!(node.get::<u32>(key).await.is_none(), "{key}");
        }
        // A node reads Redis again when it has delivered what it owes.
        eventually("what was not invalidated is there", || async { node.get::<u32>("other").await.is_some() }).await;
    }
}

#[tokio::test]
async fn a_node_that_remembers_alone_tells_the_others() {
    let pair = Pair::start().await;
    let (a, b) = (pair.node().await, pair.node().await);
    a.set("k", 1_u32).await;
    let held = pair.hold();
    a.invalidate("k").await;
    eventually("b has heard of it", || async { b.stats().invalidations_received >= 2 }).await;
    // The one that made it is gone.
    drop(a);
    pair.fail_over().await;
    drop(held);
    hears_invalidations(&b).await;
    eventually("it is removed again", || async { pair.replica.cli(&["EXISTS", "cache:k"]) == "0" }).await;
    assert!(pair.node().await.get::<u32>("k").await.is_none());
}
