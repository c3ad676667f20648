//! Writes that reach the source later, where workers, replies, the server's memory or its keys are lost.

use std::time::Duration;

use cache_aside::coherence::Position;
use cache_aside::{CachingService, Event, LocalTier, PendingWrite, Policy, RedisTier};
use cache_testing::{FaultProxy, RedisServer};
use serde::{Deserialize, Deserializer, Serialize};

use super::custom_tier::MapTier;
use super::write_behind::{Source, apply_to, behind, die_in_the_midst, drained, read, users};
use crate::support::{
    Gate, MINUTE, default_node, eventually, heard, hears_invalidations, near, node, node_builder, told, until,
};

/// Fails with what is `bad`, and carries out the rest.
fn apply_what_is_good(source: &Source) -> impl Fn(Vec<PendingWrite<u64, String>>) -> Answer + Send + Sync + use<> {
    let source = source.clone();
    move |writes| {
        if writes.iter().any(|write| write.value == "bad") {
            return std::future::ready(Err("refused"));
        }
        source.apply(&writes);
        std::future::ready(Ok(()))
    }
}

type Answer = std::future::Ready<Result<(), &'static str>>;

/// A text that panics when it is read, if it says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Touchy(String);

impl<'de> Deserialize<'de> for Touchy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        assert_ne!(text, "unreadable", "a panic that is asked for");
        Ok(Self(text))
    }
}

#[tokio::test]
async fn a_write_whose_decoding_panics_is_put_aside_and_its_worker_goes_on() {
    let redis = RedisServer::start();
    let (builder, told) = told(node_builder(&redis.url()));
    let mut events = told.subscribe();
    let node = builder.build().await.unwrap();
    let touchy = node.keyspace::<u64, Touchy>("touchy").build().unwrap();
    let writes = touchy.write_behind().partitions(1).workers(1).build().unwrap();
    let dead = writes.put(&7, Touchy("unreadable".to_owned())).await.unwrap();
    writes.put(&7, Touchy("fine".to_owned())).await.unwrap();
    writes.apply_with(|_| async { Ok::<_, String>(()) }).unwrap();
    eventually("both are settled", || async { writes.backlog().await.unwrap().pending == 0 }).await;
    assert_eq!((writes.stats().applied, writes.stats().dead), (1, 1));
    assert_eq!(writes.backlog().await.unwrap().dead, 1);
    let is_told = |event: &Event| matches!(event, Event::WriteDead { key, write, .. } if key.as_str() == "touchy:7" && *write == dead);
    until(&mut events, "it is told", is_told).await;
}

#[tokio::test]
async fn what_somebody_else_has_put_among_the_writes_stops_nobody() {
    // Also what a worker had taken that has died.
    for taken in [false, true] {
        let redis = RedisServer::start();
        let (builder, told) = told(node_builder(&redis.url()));
        let mut events = told.subscribe();
        let node = builder.build().await.unwrap();
        let source = Source::default();
        let writes = behind(&users(&node, &source)).partitions(1).workers(1).build().unwrap();
        let stream = "{cache}!writes:user/0";
        let add = |fields: &[&str]| redis.cli(&[&["XADD", stream, "*"], fields].concat()).trim().to_owned();
        let many = ["field", "value"].repeat(5_000);

        let mut none = vec![add(&["secret", "none"])];
        writes.put(&1, "one".to_owned()).await.unwrap();
        none.push(add(&["key", "", "payload", "secret"]));
        none.push(add(&["payload", "secret"]));
        writes.put(&2, "two".to_owned()).await.unwrap();
        add(&["key", "user:3"]);
        add(&[&["key", "user:4", "payload", "secret"], &many[..]].concat());
        writes.put(&2, "three".to_owned()).await.unwrap();
        none.push(add(&["secret", "none"]));
        if taken {
            redis.cli(&["XGROUP", "CREATE", stream, "writers", "0"]);
            redis.cli(&["XREADGROUP", "GROUP", "writers", "worker", "STREAMS", stream, ">"]);
        }
        apply_to(&writes, &source);
        drained(&writes).await;
        eventually("the last is settled", || async { redis.cli(&["EXISTS", &format!("{stream}/worker")]) == "0" })
            .await;

        assert_eq!(source.calls().concat(), ["one", "two", "three"], "in order");
        let stats = writes.stats();
        assert_eq!((stats.applied, stats.dead, stats.unreadable, stats.failed), (3, 2, 4, 0));
        assert_eq!(redis.cli(&["XPENDING", stream, "writers"]).lines().next(), Some("0"));
        let dead = writes.dead_letters(Position::START, 10).await.unwrap();
        let dead: Vec<_> = dead.iter().map(|dead| (dead.name.as_str(), &dead.content)).collect();
        assert_eq!(dead, [("user:3", &None), ("user:4", &None)]);
        let mut told = Vec::new();
        while let Ok(event) = events.try_recv() {
            match event {
                Event::WriteUnreadable { log, partition, entry, .. } => told.push(format!("{log}/{partition} {entry}")),
                event => assert!(!matches!(event, Event::TierDown { .. }), "{event:?}"),
            }
        }
        assert_eq!(told, none.iter().map(|entry| format!("user/0 {entry}")).collect::<Vec<_>>(), "each once");
        assert_eq!(node.stats().tiers[1].errors, 0, "nothing of it is a fault of Redis");
    }
}

#[tokio::test]
async fn a_value_that_was_loaded_while_the_closure_of_its_key_had_lapsed_is_void_once_the_write_is_there() {
    // Both what closes the key and the number of its pending writes, or the number alone.
    for both in [true, false] {
        let redis = RedisServer::start();
        let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
        let source = Source::default();
        source.begin_with(7, "old");
        let (here, there) = (users(&a, &source), users(&b, &source));
        let writes = behind(&here).build().unwrap();
        writes.put(&7, "new".to_owned()).await.unwrap();
        // As if the server had evicted them.
        let closing = redis.cli(&["KEYS", "*fences*"]);
        let closing: Vec<&str> = closing.lines().filter(|key| both || key.ends_with("/writes")).collect();
        assert_eq!(closing.len(), 1 + usize::from(both), "{closing:?}");
        closing.iter().for_each(|key| assert_eq!(redis.cli(&["DEL", key]).trim(), "1"));
        a.invalidate("user:7").await;
        heard(&a, &[&b]).await;
        assert_eq!(read(&there, 7).await.as_deref(), Some("old"), "the source has nothing newer");
        let stored = near(&b, "user:7").await;
        assert_eq!(stored.is_some(), both, "it is stored where the key is open");
        apply_to(&writes, &source);
        drained(&writes).await;
        heard(&a, &[&b]).await;
        assert_eq!(read(&there, 7).await.as_deref(), Some("new"));
        assert_eq!(near(&b, "user:7").await.as_deref(), Some("new"), "and is stored again");
        assert_eq!(redis.cli(&["KEYS", "*fences*"]).trim(), "", "nothing is left");
    }
}

#[tokio::test]
async fn the_value_of_a_write_that_is_put_aside_is_void_though_nobody_hears_that_it_was() {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address());
    let a = default_node(&format!("redis://{}", proxy.address())).await;
    hears_invalidations(&a).await;
    let b = node(&redis.url()).await;
    let source = Source::default();
    source.begin_with(7, "old");
    let (here, there) = (users(&a, &source), users(&b, &source));
    let builder = || behind(&here).partitions(1).workers(1).max_attempts(1);
    let writes = builder().build().unwrap();
    let gate = Gate::default();
    let (at_gate, apply) = (gate.clone(), apply_what_is_good(&source));
    let writer = move |writes| {
        let (gate, applied) = (at_gate.clone(), apply(writes));
        async move {
            gate.pass().await;
            applied.await
        }
    };
    writes.apply_with(writer).unwrap();
    // So that the server knows the script, and one call settles the next.
    writes.put(&1, "fine".to_owned()).await.unwrap();
    gate.reached().await;
    gate.open();
    drained(&writes).await;
    behind(&there).partitions(1).build().unwrap().put(&7, "bad".to_owned()).await.unwrap();
    assert_eq!(read(&there, 7).await.as_deref(), Some("bad"));
    gate.reached().await;
    let held = proxy.hold_replies();
    gate.open();
    let dead = || async { redis.cli(&["XLEN", "{cache}!writes:user/dead"]).trim() == "1" };
    eventually("it is put aside", dead).await;
    // Whoever did it never hears of it.
    drop((here, writes, a));
    eventually("its value is void", || async { read(&there, 7).await.as_deref() == Some("old") }).await;
    drop(held);
}

#[tokio::test]
async fn a_write_that_kills_its_workers_is_put_aside() {
    let redis = RedisServer::start();
    let source = Source::default();
    let lease = Duration::from_millis(50);
    let build = |node: &CachingService| {
        behind(&users(node, &source)).partitions(1).workers(1).max_attempts(2).worker_lease(lease).build().unwrap()
    };
    let (a, b, c) = (node(&redis.url()).await, node(&redis.url()).await, node(&redis.url()).await);
    let writes = build(&c);
    writes.put(&7, "fatal".to_owned()).await.unwrap();
    for killed in [a, b] {
        let its = build(&killed);
        die_in_the_midst(killed, &its).await;
    }
    writes.put(&8, "fine".to_owned()).await.unwrap();
    apply_to(&writes, &source);
    drained(&writes).await;
    assert_eq!(source.calls(), [["fine"]], "the other one is not given to a third");
    assert_eq!((writes.stats().dead, writes.backlog().await.unwrap().dead), (1, 1));
}

#[tokio::test]
async fn writes_that_fail_together_are_each_tried_alone_before_they_are_put_aside() {
    let redis = RedisServer::start();
    let node = node(&redis.url()).await;
    let source = Source::default();
    let writes = behind(&users(&node, &source)).partitions(1).workers(1).max_attempts(1).build().unwrap();
    for (key, value) in [(1, "one"), (2, "bad"), (3, "three")] {
        writes.put(&key, value.to_owned()).await.unwrap();
    }
    writes.apply_with(apply_what_is_good(&source)).unwrap();
    drained(&writes).await;
    assert_eq!(source.calls(), [["one"], ["three"]]);
    assert_eq!(writes.stats().dead, 1);
}

/// A node with a tier of its own before the one that is shared, and nothing near.
async fn node_before(redis: &RedisServer, map: &MapTier) -> CachingService {
    let builder = CachingService::builder().local(LocalTier::new(0)).tier(map.clone());
    let builder = builder.remote(RedisTier::new(redis.url()).unwrap()).default_policy(Policy::new(MINUTE));
    let node = builder.build().await.unwrap();
    hears_invalidations(&node).await;
    node
}

#[tokio::test]
async fn no_tier_before_the_shared_one_keeps_what_a_write_replaces_or_what_was_put_aside() {
    let (redis, map) = (RedisServer::start(), MapTier::default());
    let node = node_before(&redis, &map).await;
    let source = Source::default();
    source.begin_with(7, "old");
    let users = users(&node, &source);
    assert_eq!(read(&users, 7).await.as_deref(), Some("old"));
    let writes = behind(&users).max_attempts(1).build().unwrap();
    writes.put(&7, "bad".to_owned()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(read(&users, 7).await.as_deref(), Some("bad"));
    }
    writes.apply_with(apply_what_is_good(&source)).unwrap();
    drained(&writes).await;
    eventually("it is invalidated", || async { read(&users, 7).await.as_deref() == Some("old") }).await;
}

#[tokio::test]
async fn a_policy_that_does_not_write_the_shared_tier_keeps_values_out_of_it() {
    for policy in [Policy::new(MINUTE).skip_write("redis"), Policy::new(MINUTE).local_only()] {
        // Workers are tasks of their node, and would take the writes of the next round.
        let redis = RedisServer::start();
        let node = node(&redis.url()).await;
        let source = Source::default();
        let users = node.keyspace::<u64, String>("user").policy(policy).build().unwrap();
        let writes = behind(&users).build().unwrap();
        writes.put(&7, "behind".to_owned()).await.unwrap();
        assert_eq!(redis.cli(&["EXISTS", "cache:user:7"]).trim(), "0");
        apply_to(&writes, &source);
        drained(&writes).await;
        assert_eq!(source.get(7).as_deref(), Some("behind"));
        users.write_through(&7, "through".to_owned(), |_| async { Ok::<_, String>(()) }).await.unwrap();
        assert_eq!(redis.cli(&["EXISTS", "cache:user:7"]).trim(), "0");
    }
}

/// It is what the source had before the write, kept near by those that read it.
#[tokio::test]
async fn what_was_loaded_while_a_write_waited_is_void_once_it_has_reached_the_source() {
    for policy in [Policy::new(MINUTE).skip_write("redis"), Policy::new(MINUTE).local_only()] {
        let redis = RedisServer::start();
        let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
        let source = Source::default();
        source.begin_with(7, "old");
        let users = |node: &CachingService| {
            let source = source.clone();
            let load = move |key: u64| std::future::ready(Ok::<_, String>(source.get(key)));
            node.keyspace::<u64, String>("user").policy(policy.clone()).loader(load).build().unwrap()
        };
        let (ours, theirs) = (users(&a), users(&b));
        let writes = behind(&ours).build().unwrap();
        writes.put(&7, "behind".to_owned()).await.unwrap();
        heard(&a, &[&b]).await;
        assert_eq!((read(&ours, 7).await.as_deref(), read(&theirs, 7).await.as_deref()), (Some("old"), Some("old")));
        apply_to(&writes, &source);
        drained(&writes).await;
        for users in [&ours, &theirs] {
            eventually("it is loaded anew", || async { read(users, 7).await.as_deref() == Some("behind") }).await;
        }
    }
}

#[tokio::test]
async fn writes_reach_the_source_while_the_servers_memory_is_full() {
    let redis = RedisServer::start();
    let node = node(&redis.url()).await;
    let source = Source::default();
    let writes = behind(&users(&node, &source)).partitions(1).workers(1).max_attempts(2).build().unwrap();
    for (key, value) in [(1, "one"), (2, "bad"), (3, "three")] {
        writes.put(&key, value.to_owned()).await.unwrap();
    }
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(writes.put(&4, "four".to_owned()).await.is_err());
    writes.apply_with(apply_what_is_good(&source)).unwrap();
    drained(&writes).await;
    assert_eq!(source.calls(), [["one"], ["three"]]);
    assert_eq!((writes.stats().dead, writes.backlog().await.unwrap().dead), (1, 1));
}

#[tokio::test]
async fn workers_that_could_not_run_are_refused() {
    let redis = RedisServer::start();
    let node = node(&redis.url()).await;
    let writes = behind(&users(&node, &Source::default())).build().unwrap();
    let elsewhere = writes.clone();
    let outside = std::thread::spawn(move || elsewhere.apply_with(apply_what_is_good(&Source::default())));
    let error = outside.join().unwrap().unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains("within a Tokio runtime"), "{error}");
    node.shutdown().await;
    let error = writes.apply_with(apply_what_is_good(&Source::default())).unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains("shut down"), "{error}");
}
