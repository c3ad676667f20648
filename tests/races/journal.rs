//! Records that a node missed: read from the journal, or, where the journal does not tell, everything is given up.

use std::convert::Infallible;

use cache_aside::{CachingService, Delivery, RedisTier, TierState};
use cache_testing::RedisServer;

use crate::gated::Point;
use crate::setting::{NEW, OLD, Setting};
use crate::support::{GatedLoad, eventually, heard, near, node};

/// How often the subscriptions are killed.
const KILLS: usize = 20;

#[tokio::test]
async fn a_node_whose_subscription_is_killed_again_and_again_misses_nothing() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let keys: Vec<String> = (0..KILLS).map(|number| format!("k{number}")).collect();
    for key in &keys {
        b.set(key, OLD.to_owned()).await;
        a.get::<String>(key).await.unwrap();
    }
    for key in &keys {
        // As soon as they are subscribed, so that some die before they have caught up with what they missed before.
        let subscribed = || async { redis.cli(&["PUBSUB", "NUMSUB", "{cache}!bus"]).ends_with("\n2") };
        eventually("both nodes are subscribed", subscribed).await;
        redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        b.invalidate(key).await;
    }
    heard(&b, &[&a]).await;
    for key in &keys {
        assert_eq!((near(&a, key).await, a.get::<String>(key).await), (None, None), "{key}");
    }
    assert!(a.stats().replays > 0);
    assert_eq!(a.stats().resets, 0, "the journal told everything");
}

#[tokio::test]
async fn a_journal_that_was_trimmed_during_an_outage_costs_the_near_tier() {
    let setting = Setting::new().await;
    let short = RedisTier::builder(setting.redis.url()).journal_max_records(10).build().unwrap();
    let writer = CachingService::builder().remote(short).clock(setting.clock.clone()).build().await.unwrap();
    writer.set("k", OLD.to_owned()).await;
    setting.a.get::<String>("k").await.unwrap();
    setting.bus.cut().await;
    writer.invalidate("k").await;
    // Redis trims whole blocks of a hundred records.
    for number in 0..300 {
        writer.invalidate(format!("other{number}")).await;
    }
    setting.bus.pass().await;
    setting.a_has_started_anew().await;
    assert_eq!((near(&setting.a, "k").await, setting.a.get::<String>("k").await), (None, None));
}

/// How a journal is lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Flushed,
    Restarted,
}

/// Records that a node has missed are lost with the journal, while a load and a read of the node are under way.
async fn lost(loss: Loss) {
    let setting = Setting::new().await;
    let (a, b) = (&setting.a, &setting.b);
    b.set("k", OLD.to_owned()).await;
    b.set("reading", OLD.to_owned()).await;
    a.get::<String>("k").await.unwrap();
    let load = GatedLoad::start(a, "loading", OLD).await;
    let answered = setting.gates.close(Point::GetAnswered);
    let reader = tokio::spawn({
        let a = a.clone();
        async move { a.get::<String>("reading").await }
    });
    answered.reached().await;
    setting.bus.cut().await;
    b.invalidate("k").await;
    b.invalidate_many(&["loading", "reading"]).await;
    match loss {
        Loss::Flushed => drop(setting.redis.cli(&["FLUSHALL"])),
        Loss::Restarted => setting.redis.restart(),
    }
    assert_eq!(near(a, "k").await.as_deref(), Some(OLD), "it cannot know yet");
    setting.bus.pass().await;
    setting.a_has_started_anew().await;
    answered.open();
    assert_eq!(reader.await.unwrap(), None, "nobody knows any more whether it is void");
    assert_eq!(load.end().await, OLD);
    for key in ["k", "loading", "reading"] {
        assert_eq!((near(a, key).await, a.get::<String>(key).await), (None, None), "{key}");
    }
    let load = || async { Ok::<_, Infallible>(NEW.to_owned()) };
    assert_eq!(*a.get_or_load("loading", load).await.unwrap(), NEW);
}

#[tokio::test]
async fn records_lost_in_a_flush_cost_the_near_tier_and_what_is_under_way() {
    lost(Loss::Flushed).await;
}

#[tokio::test]
async fn records_lost_in_a_restart_cost_the_near_tier_and_what_is_under_way() {
    lost(Loss::Restarted).await;
}

#[tokio::test]
async fn a_redis_restarted_empty_is_taken_up_by_every_node() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    a.set("k", OLD.to_owned()).await;
    b.get::<String>("k").await.unwrap();
    redis.restart();
    for node in [&a, &b] {
        let anew = || async {
            let is_up = node.status().await.tiers[1].state == TierState::Up;
            is_up && node.stats().resets > 0 && near(node, "k").await.is_none()
        };
        eventually("it starts anew", anew).await;
    }
    assert_eq!(b.set("k", NEW.to_owned()).await.delivery, Delivery::Done);
    heard(&b, &[&a]).await;
    assert_eq!(*a.get::<String>("k").await.unwrap(), NEW);
}
