//! Writes that reach the source later.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_aside::coherence::Position;
use cache_aside::{
    CachingService, Error, Keyspace, KeyspaceSource, LoadedBy, PendingWrite, Policy, WriteBehind, WriteBehindBuilder,
    WriteBehindStats,
};
use cache_testing::RedisServer;

use crate::support::{
    Gate, MINUTE, abandon_write_around, default_node, eventually, heard, hears_invalidations, local_only, near, node,
    node_builder,
};

/// A source that keeps the highest id of each key, as it should.
#[derive(Clone, Default)]
pub(super) struct Source(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    rows: HashMap<u64, (Position, String)>,
    /// Each call of the writer: the values that it was given.
    calls: Vec<Vec<String>>,
}

impl Source {
    pub(super) fn apply(&self, writes: &[PendingWrite<u64, String>]) {
        let mut state = self.0.lock().unwrap();
        state.calls.push(writes.iter().map(|write| write.value.clone()).collect());
        for write in writes {
            let newest = state.rows.get(&write.key).is_none_or(|(id, _)| *id < write.id);
            assert!(newest || write.attempt > 1, "a repeated write says so");
            if newest {
                state.rows.insert(write.key, (write.id, write.value.clone()));
            }
        }
    }

    /// What was there before anybody wrote behind.
    pub(super) fn begin_with(&self, key: u64, value: &str) {
        self.0.lock().unwrap().rows.insert(key, (Position::START, value.to_owned()));
    }

    pub(super) fn get(&self, key: u64) -> Option<String> {
        self.0.lock().unwrap().rows.get(&key).map(|(_, value)| value.clone())
    }

    pub(super) fn calls(&self) -> Vec<Vec<String>> {
        self.0.lock().unwrap().calls.clone()
    }
}

pub(super) type Users = Keyspace<u64, String, LoadedBy<String>>;

/// A keyspace that reads from `source`.
pub(super) fn users(node: &CachingService, source: &Source) -> Users {
    let source = source.clone();
    let load = move |key: u64| {
        let found = source.get(key);
        async move { Ok::<_, String>(found) }
    };
    node.keyspace("user").policy(Policy::new(MINUTE)).loader(load).build().unwrap()
}

pub(super) fn behind<S: KeyspaceSource<u64, String>>(
    users: &Keyspace<u64, String, S>,
) -> WriteBehindBuilder<u64, String> {
    let short = Duration::from_millis(20);
    users.write_behind().poll_interval(short).retry_delay(Duration::from_millis(1)).worker_lease(MINUTE)
}

pub(super) fn apply_to(behind: &WriteBehind<u64, String>, source: &Source) {
    let source = source.clone();
    let writer = move |writes: Vec<PendingWrite<u64, String>>| {
        source.apply(&writes);
        async { Ok::<_, String>(()) }
    };
    behind.apply_with(writer).unwrap();
}

pub(super) async fn drained(behind: &WriteBehind<u64, String>) {
    eventually("every write has reached the source", || async { behind.backlog().await.unwrap().pending == 0 }).await;
}

pub(super) async fn read(users: &Users, key: u64) -> Option<String> {
    users.get(&key).await.unwrap().map(|value| String::clone(&value))
}

/// Has a worker of `node` take the writes, and die before any of them is settled, as if its process were killed.
pub(super) async fn die_in_the_midst(node: CachingService, writes: &WriteBehind<u64, String>) {
    let gate = Gate::default();
    let at_gate = gate.clone();
    let stuck = move |_: Vec<PendingWrite<u64, String>>| {
        let gate = at_gate.clone();
        async move {
            gate.pass().await;
            Ok::<_, String>(())
        }
    };
    writes.apply_with(stuck).unwrap();
    gate.reached().await;
    node.shutdown().await;
}

#[tokio::test]
async fn a_write_is_read_at_once_and_reaches_the_source_later() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let source = Source::default();
    let (here, there) = (users(&a, &source), users(&b, &source));
    // Both nodes hold the old value.
    here.set(&7, "old".to_owned()).await;
    assert_eq!(read(&there, 7).await.as_deref(), Some("old"));

    let writes = behind(&here).build().unwrap();
    let first = writes.put(&7, "new".to_owned()).await.unwrap();
    assert!(writes.put(&7, "newer".to_owned()).await.unwrap() > first);
    heard(&a, &[&b]).await;
    assert_eq!(near(&a, "user:7").await.as_deref(), Some("newer"));
    assert_eq!(read(&there, 7).await.as_deref(), Some("newer"));
    assert_eq!((source.get(7), writes.backlog().await.unwrap().pending), (None, 2));

    // Workers may be anywhere.
    let elsewhere = behind(&there).build().unwrap();
    apply_to(&elsewhere, &source);
    drained(&writes).await;
    assert_eq!(source.get(7).as_deref(), Some("newer"));
    assert_eq!(source.calls(), [["new", "newer"]], "in one call, in order");
    let WriteBehindStats { accepted, .. } = writes.stats();
    let WriteBehindStats { applied, failed, repeated, dead, .. } = elsewhere.stats();
    assert_eq!((accepted, applied, failed, repeated, dead), (2, 2, 0, 0, 0));
}

#[tokio::test]
async fn what_is_loaded_while_a_write_is_pending_is_stored_nowhere() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let source = Source::default();
    source.begin_with(7, "old");
    let gate = Gate::default();
    let (gated, at_source) = (gate.clone(), source.clone());
    let load = move |key: u64| {
        let (gate, found) = (gated.clone(), at_source.get(key));
        async move {
            gate.pass().await;
            Ok::<_, String>(found)
        }
    };
    let (here, there) = (users(&a, &source), b.keyspace("user").loader(load).build().unwrap());
    let writes = behind(&here).build().unwrap();

    // A load that began before the write, under a lease, and ends after it.
    let slow: Users = there.clone();
    let slow = tokio::spawn(async move { slow.get(&7).await.unwrap().map(|value| String::clone(&value)) });
    gate.reached().await;
    writes.put(&7, "new".to_owned()).await.unwrap();
    heard(&a, &[&b]).await;
    gate.open();
    assert_eq!(slow.await.unwrap().as_deref(), Some("old"), "its caller came before the write");
    assert_eq!(near(&b, "user:7").await, None);
    assert_eq!(b.get::<String>("user:7").await.as_deref().map(String::as_str), Some("new"));

    // One that begins while the value is gone from the cache.
    a.invalidate("user:7").await;
    heard(&a, &[&b]).await;
    for node in [&here, &there] {
        gate.open();
        assert_eq!(read(node, 7).await.as_deref(), Some("old"), "the source has nothing newer");
        assert_eq!(node.get_cached(&7).await, None);
    }

    // Once the write is there, loads are stored again.
    apply_to(&writes, &source);
    drained(&writes).await;
    assert_eq!(read(&here, 7).await.as_deref(), Some("new"));
    assert_eq!(near(&a, "user:7").await.as_deref(), Some("new"));
    assert_eq!(redis.cli(&["KEYS", "*fences*"]).trim(), "", "nothing is left");
}

#[tokio::test]
async fn a_writer_that_fails_is_called_again_in_order_and_then_the_write_is_put_aside() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let source = Source::default();
    let users = users(&a, &source);
    let writes = behind(&users).partitions(1).workers(1).max_attempts(3).build().unwrap();
    for (key, value) in [(1, "one"), (2, "bad"), (2, "two"), (3, "panic"), (3, "three")] {
        writes.put(&key, value.to_owned()).await.unwrap();
    }
    assert_eq!(b.get::<String>("user:3").await.as_deref().map(String::as_str), Some("three"));
    let applied = source.clone();
    let writer = move |batch: Vec<PendingWrite<u64, String>>| {
        let applied = applied.clone();
        async move {
            assert!(batch.iter().all(|write| write.value != "panic"), "a panic that is asked for");
            if batch.iter().any(|write| write.value == "bad") {
                return Err("refused");
            }
            applied.apply(&batch);
            Ok(())
        }
    };
    writes.apply_with(writer).unwrap();
    drained(&writes).await;
    assert_eq!(source.calls(), [["one"], ["two"], ["three"]], "each alone, in order");
    let stats = writes.stats();
    assert_eq!((stats.applied, stats.dead, writes.backlog().await.unwrap().dead), (3, 2, 2));
    let aside = redis.cli(&["XRANGE", "{cache}!writes:user/dead", "-", "+"]);
    assert!(aside.contains("user:2") && aside.contains("user:3"), "{aside}");
}

#[tokio::test]
async fn a_value_that_will_not_reach_the_source_is_not_served_any_more() {
    let redis = RedisServer::start();
    let node = node(&redis.url()).await;
    let source = Source::default();
    source.begin_with(7, "old");
    let users = users(&node, &source);
    let writes = behind(&users).max_attempts(1).build().unwrap();
    writes.put(&7, "bad".to_owned()).await.unwrap();
    assert_eq!(read(&users, 7).await.as_deref(), Some("bad"));
    writes.apply_with(|_| async { Err::<(), _>("refused") }).unwrap();
    drained(&writes).await;
    eventually("it is invalidated", || async { read(&users, 7).await.as_deref() == Some("old") }).await;
}

#[tokio::test]
async fn the_writes_of_a_worker_that_died_are_carried_out_by_another() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let source = Source::default();
    let (here, there) = (users(&a, &source), users(&b, &source));
    let lease = Duration::from_millis(50);
    let writes = behind(&here).partitions(1).worker_lease(lease).build().unwrap();
    writes.put(&1, "one".to_owned()).await.unwrap();
    writes.put(&1, "two".to_owned()).await.unwrap();
    die_in_the_midst(a, &writes).await;
    let elsewhere = behind(&there).partitions(1).worker_lease(lease).build().unwrap();
    apply_to(&elsewhere, &source);
    drained(&elsewhere).await;
    assert_eq!(source.calls(), [["one"], ["two"]], "one by one, since one of them may be what killed");
}

#[tokio::test]
async fn a_write_that_cannot_be_kept_is_refused() {
    let local = local_only().await.keyspace::<u64, String>("user").build().unwrap();
    let error = local.write_behind().build().unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains("has no shared tier"), "{error}");

    let redis = RedisServer::start();
    let node = default_node(&redis.url()).await;
    hears_invalidations(&node).await;
    let users = users(&node, &Source::default());
    let writes = behind(&users).partitions(1).max_pending(2).build().unwrap();
    for value in ["one", "two"] {
        writes.put(&1, value.to_owned()).await.unwrap();
    }
    let full = writes.put(&1, "three".to_owned()).await.unwrap_err();
    assert!(full.is_full() && full.to_string().contains("max_pending is 2"), "{full}");
    assert_eq!(redis.cli(&["XLEN", "{cache}!writes:user/0"]).trim(), "2");

    redis.kill();
    let refused: Result<_, Error> = writes.put(&2, "four".to_owned()).await;
    assert!(refused.unwrap_err().is_tier());
    assert_eq!((writes.stats().accepted, writes.stats().refused), (2, 2));
    assert_eq!(near(&node, "user:2").await, None, "nothing pretends that it was written");
}

#[tokio::test]
async fn what_was_put_aside_is_listed_requeued_and_discarded() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let source = Source::default();
    let users = users(&a, &source);
    let writes = behind(&users).partitions(1).max_attempts(1).build().unwrap();
    let mut ids = Vec::new();
    for key in 1..=5 {
        ids.push(writes.put(&key, format!("value {key}")).await.unwrap());
    }
    // The source refuses everything until it is well again.
    let (well, applied) = (Arc::new(AtomicBool::new(false)), source.clone());
    let is_well = Arc::clone(&well);
    let writer = move |batch: Vec<PendingWrite<u64, String>>| {
        let done = is_well.load(Ordering::SeqCst);
        if done {
            applied.apply(&batch);
        }
        async move { if done { Ok(()) } else { Err("refused") } }
    };
    writes.apply_with(writer).unwrap();
    drained(&writes).await;

    // Oldest first, in pages, on any node.
    let elsewhere = behind(&self::users(&b, &source)).partitions(1).build().unwrap();
    let first = elsewhere.dead_letters(Position::START, 3).await.unwrap();
    let rest = elsewhere.dead_letters(first[2].id, 3).await.unwrap();
    let dead: Vec<_> = first.into_iter().chain(rest).collect();
    assert_eq!(dead.iter().map(|dead| dead.write).collect::<Vec<_>>(), ids);
    assert_eq!((dead[1].name.as_str(), dead[1].content.clone()), ("user:2", Some((2, "value 2".to_owned()))));
    assert!(elsewhere.dead_letters(Position::START, 0).await.unwrap().is_empty());

    // One is written anew, by one of two that try, and is read at once.
    well.store(true, Ordering::SeqCst);
    let (one, other) = futures_util::join!(writes.requeue(dead[1].id), elsewhere.requeue(dead[1].id));
    let requeued = [one.unwrap(), other.unwrap()];
    assert_eq!(requeued.iter().flatten().count(), 1, "{requeued:?}");
    assert!(requeued.into_iter().flatten().all(|id| id > dead[1].write));
    heard(&b, &[&a]).await;
    assert_eq!(read(&users, 2).await.as_deref(), Some("value 2"));
    eventually("it is in the source", || async { source.get(2).is_some() }).await;
    assert_eq!(writes.requeue(dead[1].id).await.unwrap(), None);

    // The others are dropped, as far as they are there.
    let all: Vec<Position> = dead.iter().map(|dead| dead.id).collect();
    assert_eq!(writes.discard(&all).await.unwrap(), 4);
    assert_eq!(writes.discard(&all).await.unwrap(), 0);
    assert!(writes.dead_letters(Position::START, 100).await.unwrap().is_empty());
    assert_eq!(writes.backlog().await.unwrap().dead, 0);
    assert_eq!(source.calls().iter().flatten().count(), 1, "nothing else was written");
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_decoded_is_listed_and_discarded_but_not_requeued() {
    let redis = RedisServer::start();
    let node = node(&redis.url()).await;
    let numbers = node.keyspace::<u64, u64>("user").build().unwrap();
    let before = numbers.write_behind().build().unwrap();
    before.put(&7, 1).await.unwrap();
    // The type has changed since.
    let writes = behind(&users(&node, &Source::default())).build().unwrap();
    apply_to(&writes, &Source::default());
    drained(&writes).await;
    let dead = writes.dead_letters(Position::START, 10).await.unwrap();
    assert_eq!((dead.len(), dead[0].name.as_str(), dead[0].content.clone()), (1, "user:7", None));
    let error = writes.requeue(dead[0].id).await.unwrap_err();
    assert!(error.is_tier() && error.to_string().contains("\"user:7\" cannot be decoded"), "{error}");
    assert_eq!(before.dead_letters(Position::START, 10).await.unwrap()[0].content, Some((7, 1)), "it stays as it was");
    assert_eq!(writes.discard(&[dead[0].id]).await.unwrap(), 1);
}

#[tokio::test]
async fn while_the_shared_tier_is_away_nothing_is_said_of_dead_letters() {
    let redis = RedisServer::start();
    let node = default_node(&redis.url()).await;
    hears_invalidations(&node).await;
    let writes = behind(&users(&node, &Source::default())).build().unwrap();
    redis.kill();
    assert!(writes.dead_letters(Position::START, 10).await.unwrap_err().is_tier());
    assert!(writes.requeue(Position::new(1, 1)).await.unwrap_err().is_tier());
    assert!(writes.discard(&[Position::new(1, 1)]).await.unwrap_err().is_tier());
}

#[tokio::test]
async fn a_write_around_the_cache_keeps_a_pending_write_out_of_it() {
    let redis = RedisServer::start();
    let node = node(&redis.url()).await;
    let source = Source::default();
    let users = users(&node, &source);
    let writes = behind(&users).build().unwrap();
    let done = AtomicBool::new(false);
    let around = node.write_around(&["user:7"], || async {
        writes.put(&7, "behind".to_owned()).await.unwrap();
        assert_eq!(users.get_cached(&7).await, None);
        done.store(true, Ordering::SeqCst);
        Ok::<_, Error>(())
    });
    around.await.unwrap();
    assert!(done.load(Ordering::SeqCst));
    assert_eq!(writes.backlog().await.unwrap().pending, 1);
}

#[tokio::test]
async fn settings_out_of_range_are_named() {
    let users = local_only().await.keyspace::<u64, String>("user").build().unwrap();
    let message = |builder: WriteBehindBuilder<u64, String>| builder.build().unwrap_err().to_string();
    assert_eq!(message(users.write_behind().partitions(0)), "write-behind: partitions is 0; set 1 to 256");
    assert_eq!(message(users.write_behind().batch(0)), "write-behind: batch is 0; set at least 1");
    assert!(message(users.write_behind().worker_lease(Duration::ZERO)).contains("worker_lease"));
    let long = Duration::from_secs(86_401);
    let builder = users.write_behind().apply_timeout(Duration::MAX);
    assert_eq!(message(builder.poll_interval(long)), "write-behind: poll_interval is 86401s; set at most 86400s");
    assert!(message(users.write_behind().retry_delay(Duration::MAX)).contains("retry_delay"));
    assert!(message(users.write_behind().worker_lease(Duration::MAX)).contains("worker_lease"));
}

#[tokio::test]
async fn a_write_that_has_reached_the_source_leaves_a_fence_that_nobody_lifts_to_lapse() {
    let redis = RedisServer::start();
    let fence_ttl = Duration::from_secs(3);
    let node = node_builder(&redis.url()).fence_ttl(fence_ttl).build().await.unwrap();
    hears_invalidations(&node).await;
    let source = Source::default();
    let writes = behind(&users(&node, &source)).build().unwrap();
    abandon_write_around(&node, "user:7").await;
    writes.put(&7, "new".to_owned()).await.unwrap();
    apply_to(&writes, &source);
    drained(&writes).await;
    let left: i64 = redis.cli(&["PTTL", "{cache:user:7}!fences"]).parse().unwrap();
    assert!(left <= 3_000, "{left} ms");
    eventually("it lapses", || async { redis.cli(&["EXISTS", "{cache:user:7}!fences"]) == "0" }).await;
    assert!(node.set("user:7", "set".to_owned()).await.stored);
}
