//! Several nodes over one Redis: values shared, loads shared, invalidations heard.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[cfg(feature = "cluster")]
#[path = "nodes/cluster.rs"]
mod cluster;
#[path = "nodes/events.rs"]
mod events;
#[cfg(feature = "metrics")]
#[path = "nodes/metrics.rs"]
mod metrics;
#[path = "nodes/panics.rs"]
mod panics;
#[path = "nodes/plain.rs"]
mod plain;
#[path = "nodes/promotion.rs"]
mod promotion;
#[path = "nodes/refreshing_ahead.rs"]
mod refreshing_ahead;
#[path = "nodes/selection.rs"]
mod selection;
#[path = "nodes/shown.rs"]
mod shown;
#[path = "nodes/source_down.rs"]
mod source_down;
mod support;
#[path = "nodes/table.rs"]
mod table;
#[path = "nodes/table_rows.rs"]
mod table_rows;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use cache_aside::clock::ManualClock;
use cache_aside::{BusStatus, Delivery, LoadError};
use cache_testing::RedisServer;
use support::{Gate, MINUTE, eventually, hears_invalidations, node, node_builder};

#[tokio::test]
async fn what_one_node_stores_another_reads() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    assert_eq!(a.set("k", "value".to_owned()).await.delivery, Delivery::Done);
    assert_eq!(*b.get::<String>("k").await.unwrap(), "value");
    let stats = b.stats();
    assert_eq!((stats.tiers[1].name, stats.tiers[1].hits), ("redis", 1));
    assert_eq!(*b.get::<String>("k").await.unwrap(), "value");
    assert_eq!(b.stats().tiers[1].hits, 1, "the second read is a near hit");
    assert_eq!(b.get_many::<String>(&["none", "k"]).await, [None, Some(Arc::new("value".to_owned()))]);
}

#[tokio::test]
async fn an_invalidation_reaches_every_tier_of_every_node() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    for key in ["user:1", "user:2", "order:1"] {
        a.set(key, 1_u32).await;
        b.get::<u32>(key).await.unwrap();
    }
    let receipt = b.invalidate("user:1").await;
    assert_eq!((receipt.removed, receipt.delivery), (1, Delivery::Done));
    eventually("a has heard of it", || async { a.get::<u32>("user:1").await.is_none() }).await;
    assert_eq!(redis.cli(&["EXISTS", "cache:user:1"]), "0");

    b.invalidate_pattern("user:*").await.unwrap();
    eventually("a has heard of it", || async { a.get::<u32>("user:2").await.is_none() }).await;
    assert!(a.get::<u32>("order:1").await.is_some());

    b.clear().await;
    eventually("a has heard of it", || async { a.get::<u32>("order:1").await.is_none() }).await;
    let left = redis.cli(&["KEYS", "cache:*"]);
    assert_eq!(left, "");
}

#[tokio::test]
async fn a_set_replaces_the_value_on_every_node_and_stays_near_on_its_own() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    a.set("k", 1_u32).await;
    assert_eq!(*b.get::<u32>("k").await.unwrap(), 1);
    b.set("k", 2_u32).await;
    eventually("a has the new value", || async { *a.get::<u32>("k").await.unwrap() == 2 }).await;
    eventually("b has heard of its own record", || async { redis.cli(&["XLEN", "{cache}!journal"]) == "3" }).await;
    let before = b.stats().tiers[1].hits;
    assert_eq!(*b.get::<u32>("k").await.unwrap(), 2);
    assert_eq!(b.stats().tiers[1].hits, before, "the writer's near tier keeps its value");
}

#[tokio::test]
async fn namespaces_do_not_meet() {
    let redis = RedisServer::start();
    let a = node_builder(&redis.url()).namespace("a").build().await.unwrap();
    let b = node_builder(&redis.url()).namespace("b").build().await.unwrap();
    a.set("k", 1_u32).await;
    b.set("k", 2_u32).await;
    assert_eq!(a.clear().await.removed, 1);
    assert_eq!((a.get::<u32>("k").await, b.get::<u32>("k").await), (None, Some(Arc::new(2))));
    assert_eq!(redis.cli(&["EXISTS", "b:k"]), "1");
}

#[tokio::test]
async fn a_cold_key_is_loaded_once_for_all_callers_on_all_nodes() {
    let redis = RedisServer::start();
    let url = redis.url();
    let nodes = futures_util::future::join_all((0..8).map(|_| node(&url))).await;
    let gate = Gate::default();
    let callers: Vec<_> = (0..200)
        .map(|n| {
            let (cache, gate) = (nodes[n % nodes.len()].clone(), gate.clone());
            tokio::spawn(async move {
                let load = move || async move {
                    gate.pass().await;
                    Ok::<_, Infallible>(7_u32)
                };
                cache.get_or_load("cold", load).await
            })
        })
        .collect();
    gate.reached().await;
    eventually("every node waits for the lease", || async {
        nodes.iter().filter(|node| node.stats().tiers[1].misses > 0).count() == nodes.len()
    })
    .await;
    gate.open();
    for caller in callers {
        assert_eq!(*caller.await.unwrap().unwrap(), 7);
    }
    assert_eq!(gate.runs(), 1);
}

#[tokio::test]
async fn a_failed_load_frees_the_key_for_other_nodes() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let gate = Gate::default();
    let failing = {
        let (a, gate) = (a.clone(), gate.clone());
        tokio::spawn(async move {
            let load = move || async move {
                gate.pass().await;
                Err::<u32, _>("source down")
            };
            a.get_or_load("k", load).await
        })
    };
    gate.reached().await;
    let waiting = {
        let b = b.clone();
        tokio::spawn(async move { b.get_or_load("k", || async { Ok::<_, Infallible>(1_u32) }).await })
    };
    eventually("b has seen the lease", || async { b.stats().tiers[1].misses > 0 }).await;
    gate.open();
    assert!(matches!(failing.await.unwrap(), Err(LoadError::Source(error)) if *error == "source down"));
    assert_eq!(*waiting.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_load_longer_than_the_lease_keeps_it() {
    let redis = RedisServer::start();
    let clock = ManualClock::new();
    let a = node_builder(&redis.url()).clock(clock.clone()).lease_ttl(MINUTE).build().await.unwrap();
    let gate = Gate::default();
    let slow = {
        let (a, gate) = (a.clone(), gate.clone());
        tokio::spawn(async move {
            let load = move || async move {
                gate.pass().await;
                Ok::<_, Infallible>(1_u32)
            };
            a.entry("k").load_timeout(MINUTE * 10).get_or_load(load).await
        })
    };
    gate.reached().await;
    for _ in 0..3 {
        redis.cli(&["PEXPIRE", "cache:k", "30000"]);
        eventually("the lease is renewed", || {
            // Steps of the heartbeat's interval, so that the bus is not kept waiting for longer than it may.
            clock.advance(Duration::from_secs(1));
            let left: u64 = redis.cli(&["PTTL", "cache:k"]).parse().unwrap();
            async move { left > 30_000 }
        })
        .await;
    }
    gate.open();
    assert_eq!(*slow.await.unwrap().unwrap(), 1);
    assert_eq!(redis.cli(&["GETRANGE", "cache:k", "3", "3"]), "V", "the fill was accepted");
}

#[tokio::test]
async fn a_slow_load_that_another_nodes_invalidation_overtakes_is_stored_nowhere() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let gate = Gate::default();
    let old = {
        let (a, gate) = (a.clone(), gate.clone());
        tokio::spawn(async move {
            let load = move || async move {
                gate.pass().await;
                Ok::<_, Infallible>("old".to_owned())
            };
            a.get_or_load("k", load).await
        })
    };
    gate.reached().await;
    assert_eq!(b.invalidate("k").await.delivery, Delivery::Done);
    gate.open();
    assert_eq!(*old.await.unwrap().unwrap(), "old", "its caller came before the invalidation");
    assert_eq!(redis.cli(&["EXISTS", "cache:k"]), "0");
    assert_eq!((a.get::<String>("k").await, b.get::<String>("k").await), (None, None));
    assert_eq!(a.stats().fenced_fills, 1);
}

#[tokio::test]
async fn a_pattern_overtakes_a_load_of_another_node() {
    for clear in [false, true] {
        let redis = RedisServer::start();
        let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
        let gate = Gate::default();
        let old = {
            let (a, gate) = (a.clone(), gate.clone());
            tokio::spawn(async move {
                let load = move || async move {
                    gate.pass().await;
                    Ok::<_, Infallible>(1_u32)
                };
                a.get_or_load("user:1", load).await
            })
        };
        gate.reached().await;
        if clear {
            b.clear().await;
        } else {
            b.invalidate_pattern("user:*").await.unwrap();
        }
        gate.open();
        assert_eq!(*old.await.unwrap().unwrap(), 1);
        assert_eq!((a.get::<u32>("user:1").await, b.get::<u32>("user:1").await), (None, None));
    }
}

#[tokio::test]
async fn a_batch_is_one_read_and_is_filled_under_leases() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    a.set("k1", 1_u32).await;
    let load = |keys: Vec<String>| async move {
        assert_eq!(keys, ["k2", "k3"]);
        Ok::<_, Infallible>(keys.into_iter().map(|key| (key, 9_u32)).collect())
    };
    let values = b.get_or_load_many(&["k1", "k2", "k3"], load).await.unwrap();
    assert_eq!(values.iter().flatten().map(|value| **value).collect::<Vec<_>>(), [1, 9, 9]);
    assert_eq!(*a.get::<u32>("k3").await.unwrap(), 9);
}

#[tokio::test]
async fn a_near_entry_does_not_outlive_its_far_entry() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    a.entry("k").ttl(Duration::from_millis(300)).jitter(0.0).set(1_u32).await;
    assert!(b.get::<u32>("k").await.is_some());
    eventually("the far entry is gone", || async { redis.cli(&["EXISTS", "cache:k"]) == "0" }).await;
    assert_eq!((a.get::<u32>("k").await, b.get::<u32>("k").await), (None, None));
}

#[tokio::test]
async fn bytes_that_do_not_decode_are_loaded_anew() {
    let redis = RedisServer::start();
    let a = node(&redis.url()).await;
    a.set("k", "text".to_owned()).await;
    let b = node(&redis.url()).await;
    assert_eq!(*b.get_or_load("k", || async { Ok::<_, Infallible>(5_u32) }).await.unwrap(), 5);
    assert_eq!(b.stats().undecodable, 1);
    redis.cli(&["SET", "cache:garbage", "no frame"]);
    assert_eq!(*b.get_or_load("garbage", || async { Ok::<_, Infallible>(6_u32) }).await.unwrap(), 6);
    redis.cli(&["LPUSH", "cache:list", "x"]);
    assert_eq!(*b.get_or_load("list", || async { Ok::<_, Infallible>(7_u32) }).await.unwrap(), 7);
    assert_eq!(*a.get::<u32>("k").await.unwrap(), 5);
}

#[tokio::test]
async fn an_entry_of_this_node_only_is_not_seen_elsewhere() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    assert_eq!(a.entry("k").local_only().set(1_u32).await.delivery, Delivery::Local);
    assert_eq!((a.get::<u32>("k").await, b.get::<u32>("k").await), (Some(Arc::new(1)), None));
}

#[tokio::test]
async fn missed_records_are_read_from_the_journal() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    hears_invalidations(&a).await;
    a.set("k", 1_u32).await;
    a.set("kept", 2_u32).await;
    // The bus of node a is cut by the server; what happens meanwhile it can only learn from the journal.
    for connection in redis.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]).lines() {
        let id = connection.split(' ').next().unwrap().strip_prefix("id=").unwrap();
        redis.cli(&["CLIENT", "KILL", "ID", id]);
    }
    b.invalidate("k").await;
    eventually("a has caught up", || async { a.get::<u32>("k").await.is_none() }).await;
    hears_invalidations(&a).await;
    assert!(a.get::<u32>("kept").await.is_some());
    assert_eq!(a.stats().resets, 0);
}

#[tokio::test]
async fn when_the_journal_no_longer_reaches_back_the_near_tier_is_emptied() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    a.set("k", 1_u32).await;
    hears_invalidations(&a).await;
    redis.cli(&["DEL", "{cache}!journal", "cache:k"]);
    b.invalidate("other").await;
    eventually("a has started anew", || async { a.stats().resets > 0 && a.get::<u32>("k").await.is_none() }).await;
    a.set("k", 2_u32).await;
    assert_eq!(*b.get::<u32>("k").await.unwrap(), 2);
    b.invalidate("k").await;
    eventually("records are heard again", || async { a.get::<u32>("k").await.is_none() }).await;
}

#[tokio::test]
async fn a_policy_with_a_ttl_of_zero_stores_nothing() {
    let redis = RedisServer::start();
    let a = node(&redis.url()).await;
    a.set("k", 1_u32).await;
    a.entry("k").ttl(Duration::ZERO).set(2_u32).await;
    assert_eq!(a.get::<u32>("k").await, None);
    let loaded = a.entry("k").ttl(Duration::ZERO).get_or_load(|| async { Ok::<_, Infallible>(3_u32) }).await;
    assert_eq!(*loaded.unwrap(), 3);
    assert_eq!(a.get::<u32>("k").await, None);
    eventually("the lease was given back", || async { redis.cli(&["EXISTS", "cache:k"]) == "0" }).await;
}

#[tokio::test]
async fn a_caller_that_wants_a_value_replaces_a_cached_absence() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let absent =
        a.entry("k").negative_ttl(MINUTE).get_or_load_optional::<u32, _, _, _>(|| async { Ok::<_, Infallible>(None) });
    assert_eq!(absent.await.unwrap(), None);
    assert_eq!(b.get::<u32>("k").await, None);
    assert_eq!(b.stats().tiers[1].hits, 1, "the absence itself was read");
    assert_eq!(*b.get_or_load("k", || async { Ok::<_, Infallible>(1_u32) }).await.unwrap(), 1);
    let again = b.get_or_load("k", || async { Err::<u32, _>("loaded again") }).await;
    assert_eq!(*again.unwrap(), 1);
    assert_eq!(redis.cli(&["GETRANGE", "cache:k", "3", "3"]), "V");
}

#[tokio::test]
async fn a_tag_is_void_at_once_on_every_node() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    a.entry("user:1").tags(["org:7", "role:admin"]).set(1_u32).await;
    a.entry("user:2").tags(["org:8"]).set(2_u32).await;
    assert!(b.get::<u32>("user:1").await.is_some() && b.get::<u32>("user:2").await.is_some());
    assert_eq!(a.invalidate_tags(["org:7", "org:9"]).await.delivery, Delivery::Done);
    assert_eq!(a.get::<u32>("user:1").await, None, "at once on its own node");
    eventually("b has heard of it", || async { b.get::<u32>("user:1").await.is_none() }).await;
    assert!(a.get::<u32>("user:2").await.is_some() && b.get::<u32>("user:2").await.is_some());
    assert_eq!(redis.cli(&["EXISTS", "cache:user:1"]), "1", "it is void, not removed");

    let joined = node(&redis.url()).await;
    assert_eq!(joined.get::<u32>("user:1").await, None, "a node that joins knows the rule");
    let load = || async { Ok::<_, Infallible>(3_u32) };
    assert_eq!(*joined.entry("user:1").tags(["org:7"]).get_or_load(load).await.unwrap(), 3);
    assert_eq!(*a.get::<u32>("user:1").await.unwrap(), 3);
}

#[tokio::test]
async fn a_tag_overtakes_a_load_of_either_node() {
    for own in [false, true] {
        let redis = RedisServer::start();
        let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
        let gate = Gate::default();
        let old = {
            let (a, gate) = (a.clone(), gate.clone());
            tokio::spawn(async move {
                let load = move || async move {
                    gate.pass().await;
                    Ok::<_, Infallible>(1_u32)
                };
                a.entry("k").tags(["t"]).get_or_load(load).await
            })
        };
        gate.reached().await;
        if own {
            a.invalidate_tags(["t"]).await
        } else {
            b.invalidate_tags(["t"]).await
        };
        gate.open();
        assert_eq!(*old.await.unwrap().unwrap(), 1);
        assert_eq!(b.get::<u32>("k").await, None);
        eventually("a knows", || async { a.get::<u32>("k").await.is_none() }).await;
    }
}

#[tokio::test]
async fn a_node_that_joins_during_the_scan_of_a_pattern_knows_the_pattern() {
    let redis = RedisServer::start();
    let a = node(&redis.url()).await;
    a.set("user:1", 1_u32).await;
    // As if the node that gave the pattern had died before its scan.
    let position = redis.cli(&["XADD", "{cache}!journal", "*", "record", "1 00000000000000ff pattern 6:user:*"]);
    redis.cli(&["HSET", "{cache}!rules", "puser:*", &position]);
    let joined = node(&redis.url()).await;
    assert_eq!(joined.get::<u32>("user:1").await, None);
    eventually("the heartbeat finds the record", || async { a.get::<u32>("user:1").await.is_none() }).await;
    a.invalidate_pattern("user:*").await.unwrap();
    assert_eq!(redis.cli(&["HKEYS", "{cache}!rules"]), "cleared", "its scan has ended");
}

#[tokio::test]
async fn when_the_rules_are_lost_everything_born_before_is_void() {
    let redis = RedisServer::start();
    let a = node(&redis.url()).await;
    a.entry("k").tags(["t"]).set(1_u32).await;
    a.invalidate_tags(["t"]).await;
    redis.cli(&["DEL", "{cache}!rules"]);
    let joined = node(&redis.url()).await;
    assert_eq!(joined.get::<u32>("k").await, None);
    joined.set("k", 2_u32).await;
    assert_eq!(*a.get::<u32>("k").await.unwrap(), 2);
}

#[tokio::test]
async fn an_isolated_node_holds_what_it_reads_against_the_rules_in_redis() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    a.entry("tagged").tags(["t"]).set(1_u32).await;
    a.set("plain", 1_u32).await;
    // The bus is gone and cannot come back, while commands pass.
    redis.cli(&["ACL", "SETUSER", "default", "-subscribe", "-psubscribe"]);
    redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    eventually("b is isolated", || async { matches!(b.status().await.bus, BusStatus::Isolated { .. }) }).await;
    a.invalidate_tags(["t"]).await;
    assert_eq!(b.get::<u32>("tagged").await, None);
    assert!(b.get::<u32>("plain").await.is_some());
}

#[tokio::test]
async fn an_old_far_entry_is_kept_near_however_many_other_keys_were_invalidated() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    a.set("old", 1_u32).await;
    let others: Vec<String> = (0..20_000).map(|n| format!("other{n}")).collect();
    a.invalidate_many(&others).await;
    eventually("b has heard of it", || async { b.stats().invalidations_received >= 21 }).await;
    for _ in 0..3 {
        assert_eq!(*b.get::<u32>("old").await.unwrap(), 1);
    }
    assert_eq!((b.stats().tiers[1].hits, b.stats().fenced_fills), (1, 0));
}
