//! Two sets of one key whose acknowledgements come in another order than Redis ran them in.

use cache_aside::{CachingService, Delivery, Receipt};
use tokio::task::JoinHandle;

use crate::gated::Point;
use crate::setting::Setting;
use crate::support::near;

fn set(node: &CachingService, value: &str) -> JoinHandle<Receipt> {
    let (node, value) = (node.clone(), value.to_owned());
    tokio::spawn(async move { node.set("k", value).await })
}

/// Checks that every node reads what Redis holds, from whichever tier.
async fn assert_all_read(setting: &Setting, value: &str) {
    for node in [&setting.a, &setting.b] {
        assert_eq!(*node.get::<String>("k").await.unwrap(), value);
        assert_eq!(near(node, "k").await.as_deref(), Some(value));
    }
}

#[tokio::test]
async fn of_two_sets_of_a_node_the_later_stays_though_the_earlier_is_acknowledged_last() {
    let setting = Setting::new().await;
    let acknowledged = setting.gates.close(Point::PutAnswered);
    let first = set(&setting.a, "first");
    acknowledged.reached().await;
    set(&setting.a, "second").await.unwrap();
    setting.a_has_heard().await;
    acknowledged.open();
    first.await.unwrap();
    assert_all_read(&setting, "second").await;
}

#[tokio::test]
async fn of_two_sets_of_a_node_the_one_that_redis_runs_last_stays() {
    let setting = Setting::new().await;
    // Only the acknowledgements can tell the node.
    let deaf = setting.bus.hold_replies();
    let sent = setting.gates.close(Point::PutSent);
    let delayed = set(&setting.a, "delayed");
    sent.reached().await;
    set(&setting.a, "overtaking").await.unwrap();
    sent.open();
    delayed.await.unwrap();
    assert_all_read(&setting, "delayed").await;
    deaf.release();
    setting.a_has_heard().await;
    assert_all_read(&setting, "delayed").await;
}

#[tokio::test]
async fn of_the_sets_of_two_nodes_the_later_stays_though_the_earlier_is_acknowledged_last() {
    let setting = Setting::new().await;
    let acknowledged = setting.gates.close(Point::PutAnswered);
    let first = set(&setting.a, "first");
    acknowledged.reached().await;
    set(&setting.b, "second").await.unwrap();
    setting.a_has_heard().await;
    acknowledged.open();
    first.await.unwrap();
    assert_all_read(&setting, "second").await;
}

#[tokio::test]
async fn of_the_sets_of_two_nodes_the_one_that_redis_runs_last_stays() {
    let setting = Setting::new().await;
    let sent = setting.gates.close(Point::PutSent);
    let delayed = set(&setting.a, "delayed");
    sent.reached().await;
    set(&setting.b, "overtaking").await.unwrap();
    setting.a_has_heard().await;
    sent.open();
    delayed.await.unwrap();
    crate::support::heard(&setting.a, &[&setting.b]).await;
    assert_all_read(&setting, "delayed").await;
}

#[tokio::test]
async fn a_set_that_keeps_nothing_near_lets_no_reader_keep_the_old_value() {
    for (point, too_large) in [(Point::PutSent, false), (Point::InvalidateSent, true)] {
        let setting = Setting::new().await;
        set(&setting.b, "old").await.unwrap();
        setting.a_has_heard().await;
        let sent = setting.gates.close(point);
        let node = setting.a.clone();
        let set = tokio::spawn(async move {
            let entry = node.entry("k");
            let entry = if too_large { entry.max_value_bytes(1) } else { entry.remote_only() };
            entry.set("new".to_owned()).await
        });
        sent.reached().await;
        assert_eq!(*setting.a.get::<String>("k").await.unwrap(), "old");
        assert_eq!(near(&setting.a, "k").await.as_deref(), Some("old"), "it is not set yet");
        setting.redis.kill();
        sent.open();
        assert_eq!(set.await.unwrap().delivery, Delivery::Queued);
        assert_eq!(near(&setting.a, "k").await, None, "{point:?}");
    }
}

/// They share the counters of their stripes, and no more.
#[tokio::test]
async fn a_set_is_stored_whatever_becomes_of_other_keys_meanwhile() {
    let setting = Setting::new().await;
    let acknowledged = setting.gates.close(Point::PutAnswered);
    let set = set(&setting.a, "value");
    acknowledged.reached().await;
    let others: Vec<String> = (0..20_000).map(|n| format!("other:{n}")).collect();
    setting.a.invalidate_many(&others).await;
    acknowledged.open();
    let receipt = set.await.unwrap();
    assert_eq!((receipt.stored, receipt.delivery), (true, Delivery::Done));
    assert_eq!(*setting.b.get::<String>("k").await.unwrap(), "value");
}
