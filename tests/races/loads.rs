//! A load that something overtakes: in the loader, on the way to Redis, and on the way back.

use std::convert::Infallible;
use std::time::Duration;

use cache_aside::CachingService;
use cache_testing::proxy::{Direction, Flow};
use cache_testing::{FaultProxy, RedisServer};
use tokio::task::JoinSet;

use crate::gated::{GatedTier, Point};
use crate::setting::{Change, NEW, OLD, Setting, Writer, changes, changes_of_nodes};
use crate::support::{GatedLoad, heard, near, node};

#[tokio::test]
async fn a_load_held_long_past_a_change_is_stored_nowhere() {
    let setting = Setting::new().await;
    for (change, writer) in changes() {
        let key = format!("{change:?}{writer:?}");
        let load = GatedLoad::start(&setting.a, &key, OLD).await;
        setting.change(change, writer, &key).await;
        setting.a_has_heard().await;
        assert_eq!(load.end().await, OLD, "its caller came before the change");
        setting.assert_void(change, writer, &key).await;
    }
}

#[tokio::test]
async fn a_load_that_ends_as_a_change_returns_is_stored_nowhere() {
    let setting = Setting::new().await;
    for (change, writer) in changes() {
        let key = format!("{change:?}{writer:?}");
        let load = GatedLoad::start(&setting.a, &key, OLD).await;
        // No record reaches the node before it has filled.
        let held = setting.bus.hold_replies();
        setting.change(change, writer, &key).await;
        load.end().await;
        held.release();
        setting.assert_void(change, writer, &key).await;
    }
}

/// Starts a load and waits until it has come to `point`; changes the key; lets the load go on.
async fn overtaken_at(point: Point, changes: impl Iterator<Item = (Change, Writer)>) {
    let setting = Setting::new().await;
    for (change, writer) in changes {
        let key = format!("{change:?}{writer:?}");
        let gate = setting.gates.close(point);
        let load = tokio::spawn({
            let (a, key) = (setting.a.clone(), key.clone());
            async move { load_old(&a, &key).await }
        });
        gate.reached().await;
        setting.change(change, writer, &key).await;
        setting.a_has_heard().await;
        gate.open();
        load.await.unwrap();
        setting.assert_void(change, writer, &key).await;
    }
}

async fn load_old(node: &CachingService, key: &str) {
    let load = || async { Ok::<_, Infallible>(OLD.to_owned()) };
    node.entry(key).tags([key]).get_or_load(load).await.unwrap();
}

#[tokio::test]
async fn a_fill_that_a_change_overtakes_on_its_way_to_redis_is_refused() {
    overtaken_at(Point::FillSent, changes()).await;
}

#[tokio::test]
async fn a_fill_that_a_change_overtakes_on_its_way_back_is_not_kept_near() {
    overtaken_at(Point::FillAnswered, changes_of_nodes()).await;
}

#[tokio::test]
async fn a_caller_after_a_change_is_not_given_the_load_before_it() {
    let setting = Setting::new().await;
    // What is changed behind the nodes' backs detaches no flight: nobody tells them. And what a set brings along is there.
    for (change, writer) in changes_of_nodes().filter(|(change, _)| *change != Change::Set) {
        let key = format!("{change:?}{writer:?}");
        let old = GatedLoad::start(&setting.a, &key, OLD).await;
        setting.change(change, writer, &key).await;
        setting.a_has_heard().await;
        let new = setting.a.entry(&key).get_or_load(|| async { Ok::<_, Infallible>(NEW.to_owned()) }).await;
        assert_eq!(*new.unwrap(), NEW, "{change:?} by {writer:?}");
        old.end().await;
        for node in [&setting.a, &setting.b] {
            assert_eq!(*node.get::<String>(&key).await.unwrap(), NEW, "{change:?} by {writer:?}");
        }
    }
}

/// The lease would stand until it lapses: a minute, here.
#[tokio::test]
async fn a_lease_whose_taking_was_given_up_is_given_back() {
    let redis = RedisServer::start();
    let tier = GatedTier::new(&redis.url(), &redis.url());
    let gates = tier.gates();
    let builder = CachingService::builder().remote(tier).tier_timeout(Duration::from_millis(300));
    let a = builder.lease_ttl(Duration::from_secs(60)).build().await.unwrap();
    let b = node(&redis.url()).await;
    let taken = gates.close(Point::AcquireAnswered);
    load_old(&a, "k").await;
    assert_eq!(taken.runs(), 1);
    let load = || async { Ok::<_, Infallible>(NEW.to_owned()) };
    let loaded = tokio::time::timeout(Duration::from_secs(10), b.get_or_load("k", load)).await;
    assert_eq!(*loaded.expect("b has the lease").unwrap(), NEW);
    assert_eq!(b.entry("k").remote_only().get::<String>().await.as_deref().map(String::as_str), Some(NEW));
}

/// Loads end as their invalidation returns, each on a key of its own and many at a time, on a node with a slow link: the
/// fill is on its way to Redis while the record is on its way to the node.
#[tokio::test]
async fn a_thousand_loads_that_end_as_their_invalidation_returns_over_a_slow_link_are_stored_nowhere() {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address());
    let (a, b) = (node(&redis.url_at(proxy.port())).await, node(&redis.url()).await);
    for direction in [Direction::ToServer, Direction::ToClient] {
        proxy.set(direction, Flow::Delay(Duration::from_millis(1)));
    }
    let keys: Vec<String> = (0..1_000).map(|number| format!("k{number}")).collect();
    for keys in keys.chunks(50) {
        let mut rounds = JoinSet::new();
        for (number, key) in keys.iter().enumerate() {
            let (a, writer) = (a.clone(), if number % 2 == 0 { b.clone() } else { a.clone() });
            let key = key.clone();
            rounds.spawn(async move {
                let load = GatedLoad::start(&a, &key, OLD).await;
                writer.invalidate(&key).await;
                assert_eq!(load.end().await, OLD);
            });
        }
        while let Some(round) = rounds.join_next().await {
            round.unwrap();
        }
    }
    heard(&b, &[&a, &b]).await;
    for key in &keys {
        assert_eq!((near(&a, key).await, near(&b, key).await), (None, None), "{key}");
    }
    assert_eq!(redis.cli(&["KEYS", "cache:*"]), "");
}
