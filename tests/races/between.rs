//! A tier between the near and the shared one, and what is on its way to it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cache_aside::{CacheTier, CachingService, Entry, Key, LocalTier, Pattern, Policy, RedisTier, TierError};
use cache_testing::RedisServer;

use crate::custom_tier::MapTier;
use crate::setting::{NEW, OLD};
use crate::support::{Gate, MINUTE, eventually, hears_invalidations, near, node};

/// A tier that holds what is stored, before it is or before it answers.
#[derive(Clone, Default)]
struct Between {
    map: MapTier,
    sent: Arc<Mutex<Option<Gate>>>,
    stored: Arc<Mutex<Option<Gate>>>,
    /// Before and after what is there is deleted.
    deleting: Arc<Mutex<Option<Gate>>>,
    deleted: Arc<Mutex<Option<Gate>>>,
    deletions: Arc<AtomicUsize>,
}

async fn pass(gate: &Mutex<Option<Gate>>) {
    let gate = gate.lock().unwrap().take();
    if let Some(gate) = gate {
        gate.pass().await;
    }
}

fn close(gate: &Mutex<Option<Gate>>) -> Gate {
    gate.lock().unwrap().insert(Gate::default()).clone()
}

#[async_trait]
impl CacheTier for Between {
    fn name(&self) -> &'static str {
        "between"
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, TierError> {
        self.map.get(key).await
    }

    async fn set(&self, key: &Key, entry: Entry, ttl: Duration) -> Result<(), TierError> {
        pass(&self.sent).await;
        self.map.set(key, entry, ttl).await?;
        pass(&self.stored).await;
        Ok(())
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64, TierError> {
        pass(&self.deleting).await;
        let deleted = self.map.delete(keys).await;
        pass(&self.deleted).await;
        self.deletions.fetch_add(1, Ordering::SeqCst);
        deleted
    }

    async fn invalidate_pattern(&self, pattern: &Pattern) -> Result<u64, TierError> {
        self.map.invalidate_pattern(pattern).await
    }

    async fn ping(&self) -> Result<(), TierError> {
        Ok(())
    }
}

/// A node with the tier, and another without.
async fn nodes(redis: &RedisServer) -> (CachingService, CachingService, Between) {
    nodes_with(redis, LocalTier::new(0)).await
}

async fn nodes_with(redis: &RedisServer, near: LocalTier) -> (CachingService, CachingService, Between) {
    let between = Between::default();
    let builder = CachingService::builder().local(near).tier(between.clone());
    let builder = builder.remote(RedisTier::new(redis.url()).unwrap()).tier_timeout(Duration::from_secs(10));
    let a = builder.build().await.unwrap();
    hears_invalidations(&a).await;
    (a, node(&redis.url()).await, between)
}

async fn read(node: &CachingService) -> Option<String> {
    node.get::<String>("k").await.map(|value| String::clone(&value))
}

/// Its second look, after the value was stored, never comes.
#[tokio::test]
async fn a_reader_that_goes_away_while_it_copies_leaves_nothing_old() {
    let redis = RedisServer::start();
    let (a, b, between) = nodes(&redis).await;
    b.set("k", OLD.to_owned()).await;
    let (sent, stored) = (close(&between.sent), close(&between.stored));
    let reader = tokio::spawn({
        let a = a.clone();
        async move { read(&a).await }
    });
    sent.reached().await;
    a.invalidate("k").await;
    sent.open();
    stored.reached().await;
    reader.abort();
    assert!(reader.await.unwrap_err().is_cancelled());
    assert_eq!(read(&a).await, None);
}

#[tokio::test]
async fn what_is_read_of_a_copy_that_came_late_goes_with_it() {
    let redis = RedisServer::start();
    let (a, b, between) = nodes_with(&redis, LocalTier::new(100)).await;
    b.set("k", OLD.to_owned()).await;
    let (sent, stored) = (close(&between.sent), close(&between.stored));
    let copier = tokio::spawn({
        let a = a.clone();
        async move { read(&a).await }
    });
    sent.reached().await;
    a.invalidate("k").await;
    sent.open();
    stored.reached().await;
    // Until the copier has looked again nobody knows better.
    drop(read(&a).await);
    stored.open();
    copier.await.unwrap();
    assert_eq!((near(&a, "k").await, read(&a).await), (None, None));
}

#[tokio::test]
async fn a_set_that_is_overtaken_on_its_way_is_not_kept() {
    let redis = RedisServer::start();
    let (a, b, between) = nodes(&redis).await;
    for (round, invalidates) in [true, false].into_iter().enumerate() {
        let sent = close(&between.sent);
        let setter = tokio::spawn({
            let a = a.clone();
            async move { a.set("k", OLD.to_owned()).await }
        });
        // Redis has it by now.
        sent.reached().await;
        let deletions = between.deletions.load(Ordering::SeqCst);
        if invalidates {
            b.invalidate("k").await;
        } else {
            b.set("k", NEW.to_owned()).await;
        }
        eventually("the tier is told", || async { between.deletions.load(Ordering::SeqCst) > deletions }).await;
        sent.open();
        setter.await.unwrap();
        assert_eq!(read(&a).await.as_deref(), (!invalidates).then_some(NEW), "{round}");
    }
}

/// Redis has the value, and somebody else changes it there.
#[tokio::test]
async fn it_hears_of_what_other_programs_write() {
    let redis = RedisServer::start();
    let between = Between::default();
    let remote = RedisTier::builder(redis.url()).track_foreign_writes(true).build().unwrap();
    let node = CachingService::builder().local(LocalTier::new(0)).tier(between.clone()).remote(remote);
    let node = node.build().await.unwrap();
    hears_invalidations(&node).await;
    node.set("k", OLD.to_owned()).await;
    eventually("it is copied", || async {
        read(&node).await.as_deref() == Some(OLD) && between.map.get(&Key::new("k").unwrap()).await.unwrap().is_some()
    })
    .await;
    redis.cli(&["DEL", "cache:k"]);
    eventually("it is gone", || async { read(&node).await.is_none() }).await;
}

/// Whoever reads before the key is fenced copies the old value into the tier.
#[tokio::test]
async fn nothing_old_is_copied_behind_a_write_that_is_stored() {
    let redis = RedisServer::start();
    let (a, b, between) = nodes(&redis).await;
    let users = a.keyspace("k").policy(Policy::new(MINUTE));
    let users = users.loader(|_: u64| async { Ok::<_, String>(NEW.to_owned()) }).build().unwrap();
    b.set("k:7", OLD.to_owned()).await;
    let deleted = close(&between.deleted);
    let write = tokio::spawn({
        let users = users.clone();
        async move { users.write_through(&7, NEW.to_owned(), |_| async { Ok::<_, String>(()) }).await }
    });
    deleted.reached().await;
    drop(a.get::<String>("k:7").await);
    deleted.open();
    write.await.unwrap().unwrap();
    assert_eq!(users.get_cached(&7).await.as_deref().map(String::as_str), Some(NEW));
}

/// A reader that comes before the tier is told puts the old value back into the near tier.
#[tokio::test]
async fn a_change_whose_caller_goes_away_voids_what_was_read_meanwhile() {
    let redis = RedisServer::start();
    for sets in [false, true] {
        let (a, b, between) = nodes_with(&redis, LocalTier::new(100)).await;
        b.set("k", OLD.to_owned()).await;
        assert_eq!(read(&a).await.as_deref(), Some(OLD));
        // Where it is set Redis has it by then.
        let gate = close(if sets { &between.sent } else { &between.deleting });
        let caller = tokio::spawn({
            let a = a.clone();
            async move {
                if sets {
                    a.set("k", NEW.to_owned()).await;
                } else {
                    a.invalidate("k").await;
                }
            }
        });
        gate.reached().await;
        assert_eq!(read(&a).await.as_deref(), Some(OLD), "the tier has yet to be told");
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        gate.open();
        eventually("it is delivered", || async { a.status().await.queued_invalidations == 0 }).await;
        assert_ne!(near(&a, "k").await.as_deref(), Some(OLD));
        assert_eq!(read(&a).await.as_deref(), sets.then_some(NEW));
    }
}
