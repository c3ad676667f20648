//! Writes to the source whose value goes into the tiers.

use std::sync::Arc;

use cache_aside::clock::ManualClock;
use cache_aside::{CachingService, Keyspace, LoadedBy, Policy};
use cache_testing::RedisServer;

use crate::support::{Gate, MINUTE, eventually, heard, hears_invalidations, local_only, near, node, node_builder};

type Users = Keyspace<u64, String, LoadedBy<String>>;

/// A keyspace whose source has "source" under every key.
fn users(node: &CachingService) -> Users {
    let load = |_: u64| async { Ok::<_, String>("source".to_owned()) };
    node.keyspace("user").policy(Policy::new(MINUTE)).loader(load).build().unwrap()
}

async fn read(users: &Users) -> String {
    users.get(&7).await.unwrap().map(|value| String::clone(&value)).unwrap()
}

async fn written(_: Arc<String>) -> Result<(), String> {
    Ok(())
}

/// A write that stands at its gate.
async fn begin(users: &Users, value: &str) -> (Gate, tokio::task::JoinHandle<Result<(), String>>) {
    let (users, value, gate) = (users.clone(), value.to_owned(), Gate::default());
    let at_gate = gate.clone();
    let write = move |_| async move {
        at_gate.pass().await;
        Ok::<_, String>(())
    };
    let write = tokio::spawn(async move { users.write_through(&7, value, write).await });
    gate.reached().await;
    (gate, write)
}

#[tokio::test]
async fn a_value_that_was_written_is_in_every_tier() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let (here, there) = (users(&a), users(&b));
    assert_eq!(read(&there).await, "source");
    // Near it is kept where the node has heard of everything before.
    let write = |_| async {
        heard(&b, &[&a]).await;
        Ok::<_, String>(())
    };
    here.write_through(&7, "new".to_owned(), write).await.unwrap();
    heard(&a, &[&b]).await;
    assert_eq!(near(&a, "user:7").await.as_deref(), Some("new"));
    assert_eq!(there.get_cached(&7).await.unwrap().as_str(), "new");
    assert_eq!(b.stats().loads, 1);
    assert_eq!(redis.cli(&["EXISTS", "{cache:user:7}!fences"]).trim(), "0");
}

#[tokio::test]
async fn a_write_that_fails_stores_nothing_and_lifts_the_fence() {
    let redis = RedisServer::start();
    for node in [node(&redis.url()).await, local_only().await] {
        let users = users(&node);
        users.set(&7, "old".to_owned()).await;
        let failed = users.write_through(&7, "new".to_owned(), |_| async { Err::<(), _>("refused") }).await;
        assert_eq!(failed, Err("refused"));
        assert_eq!(users.get_cached(&7).await, None);
        assert_eq!(read(&users).await, "source");
        assert_eq!(users.get_cached(&7).await.unwrap().as_str(), "source", "it is stored again");
    }
}

#[tokio::test]
async fn readers_are_answered_by_their_loaders_while_a_write_is_under_way() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let (here, there) = (users(&a), users(&b));
    let (gate, write) = begin(&here, "new").await;
    for users in [&here, &there] {
        assert_eq!(read(users).await, "source");
        assert_eq!(users.get_cached(&7).await, None);
    }
    gate.open();
    write.await.unwrap().unwrap();
    assert_eq!(there.get_cached(&7).await.unwrap().as_str(), "new");
}

#[tokio::test]
async fn of_writes_that_overlap_none_is_stored() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let pairs = [(a.clone(), b.clone()), (a.clone(), a.clone())];
    for (first_at, second_at) in pairs {
        for first_ends_first in [true, false] {
            let (first_gate, first) = begin(&users(&first_at), "first").await;
            let (second_gate, second) = begin(&users(&second_at), "second").await;
            let mut both = [(first_gate, first), (second_gate, second)];
            if !first_ends_first {
                both.reverse();
            }
            for (gate, write) in both {
                gate.open();
                write.await.unwrap().unwrap();
            }
            heard(&a, &[&b]).await;
            heard(&b, &[&a]).await;
            for node in [&a, &b] {
                assert_eq!(users(node).get_cached(&7).await, None, "nobody knows which the source has");
            }
        }
    }
}

#[tokio::test]
async fn a_value_that_was_invalidated_while_it_was_written_is_not_stored() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    for other in [&a, &b] {
        let (gate, write) = begin(&users(&a), "new").await;
        other.invalidate("user:7").await;
        gate.open();
        write.await.unwrap().unwrap();
        for node in [&a, &b] {
            assert_eq!(users(node).get_cached(&7).await, None);
        }
        heard(other, &[&a, &b]).await;
    }
}

/// A tag removes nothing, so the lease under the fence stands.
#[tokio::test]
async fn a_value_whose_tag_was_invalidated_while_it_was_written_is_not_served() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let tagged = |node: &CachingService| -> Users {
        let load = |_: u64| async { Ok::<_, String>("source".to_owned()) };
        node.keyspace("user").policy(Policy::new(MINUTE).tags(["team"])).loader(load).build().unwrap()
    };
    for other in [&a, &b] {
        let (gate, write) = begin(&tagged(&a), "new").await;
        other.invalidate_tags(["team"]).await;
        gate.open();
        write.await.unwrap().unwrap();
        heard(other, &[&a, &b]).await;
        for node in [&a, &b] {
            assert_eq!(tagged(node).get_cached(&7).await, None);
        }
        assert_eq!(read(&tagged(&a)).await, "source");
        assert_eq!(tagged(&b).get_cached(&7).await.unwrap().as_str(), "source", "what is loaded since is kept");
        a.invalidate("user:7").await;
    }
}

#[tokio::test]
async fn without_a_shared_tier_it_is_kept_near() {
    let node = local_only().await;
    let users = users(&node);
    users.write_through(&7, "new".to_owned(), written).await.unwrap();
    assert_eq!(users.get_cached(&7).await.unwrap().as_str(), "new");
    users.write_around(&7, || async { Ok::<_, String>(()) }).await.unwrap();
    assert_eq!(users.get_cached(&7).await, None);
}

#[tokio::test]
async fn of_writes_that_overlap_none_is_kept_near() {
    for first_ends_first in [true, false] {
        let node = local_only().await;
        let users = users(&node);
        let (first_gate, first) = begin(&users, "first").await;
        let (second_gate, second) = begin(&users, "second").await;
        let mut both = [(first_gate, first), (second_gate, second)];
        if !first_ends_first {
            both.reverse();
        }
        for (gate, write) in both {
            gate.open();
            write.await.unwrap().unwrap();
            assert_eq!(users.get_cached(&7).await, None, "nobody knows which the source has");
        }
        users.write_through(&7, "new".to_owned(), written).await.unwrap();
        assert_eq!(users.get_cached(&7).await.unwrap().as_str(), "new");
    }
}

#[tokio::test]
async fn a_value_that_may_not_lie_in_the_shared_tier_is_left_to_be_loaded() {
    let redis = RedisServer::start();
    let node = node(&redis.url()).await;
    let load = |_: u64| async { Ok::<_, String>("source".to_owned()) };
    let policy = Policy::new(MINUTE).skip_write("redis");
    let users: Users = node.keyspace("user").policy(policy).loader(load).build().unwrap();
    users.write_through(&7, "new".to_owned(), written).await.unwrap();
    assert_eq!(redis.cli(&["EXISTS", "cache:user:7", "{cache:user:7}!fences"]).trim(), "0");
    assert_eq!(users.get_cached(&7).await, None);
}

#[tokio::test]
async fn a_long_write_is_stored_as_a_short_one_is() {
    let redis = RedisServer::start();
    let clock = ManualClock::new();
    let node = node_builder(&redis.url()).clock(clock.clone()).fence_ttl(MINUTE).build().await.unwrap();
    hears_invalidations(&node).await;
    let users = users(&node);
    let (gate, write) = begin(&users, "new").await;
    for _ in 0..3 {
        assert_eq!(redis.cli(&["PEXPIRE", "{cache:user:7}!fences", "50000"]), "1");
        let renewed = || async { redis.cli(&["PTTL", "{cache:user:7}!fences"]).parse::<i64>().unwrap() > 50_000 };
        eventually("it is renewed", || async {
            clock.advance(MINUTE / 3);
            renewed().await
        })
        .await;
    }
    gate.open();
    write.await.unwrap().unwrap();
    assert_eq!(redis.cli(&["EXISTS", "cache:user:7"]), "1");
    assert_eq!(users.get_cached(&7).await.unwrap().as_str(), "new");
}
