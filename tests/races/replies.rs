//! A reply of Redis that comes late: what it says has been voided meanwhile.

use std::sync::Arc;

use cache_aside::{CachingService, Delivery, Event};
use tokio::task::JoinHandle;

use crate::gated::Point;
use crate::setting::{OLD, Setting, changes_of_nodes};
use crate::support::{near, until};

/// Reads `key` in a task of its own.
fn read(node: &CachingService, key: &str) -> JoinHandle<Option<Arc<String>>> {
    let (node, key) = (node.clone(), key.to_owned());
    tokio::spawn(async move { node.get(key).await })
}

async fn set_old(node: &CachingService, key: &str) {
    node.entry(key).tags([key]).set(OLD.to_owned()).await;
}

#[tokio::test]
async fn a_reply_from_before_a_change_is_not_kept_also_on_the_node_that_makes_it() {
    let setting = Setting::new().await;
    for (change, writer) in changes_of_nodes() {
        let key = format!("{change:?}{writer:?}");
        set_old(&setting.b, &key).await;
        setting.a_has_heard().await;
        let answered = setting.gates.close(Point::GetAnswered);
        let reader = read(&setting.a, &key);
        answered.reached().await;
        setting.change(change, writer, &key).await;
        setting.a_has_heard().await;
        answered.open();
        reader.await.unwrap();
        setting.assert_void(change, writer, &key).await;
    }
}

#[tokio::test]
async fn a_reply_that_the_link_holds_until_the_invalidation_was_acknowledged_is_not_kept() {
    let setting = Setting::new().await;
    set_old(&setting.b, "k").await;
    let held = setting.commands.hold_replies();
    let reader = read(&setting.a, "k");
    held.wait_until_holding("\"old\"").await;
    assert_eq!(setting.b.invalidate("k").await.delivery, Delivery::Done);
    setting.a_has_heard().await;
    held.release();
    assert_eq!(reader.await.unwrap().as_deref().map(String::as_str), Some(OLD), "it was asked before");
    assert_eq!((near(&setting.a, "k").await, setting.a.get::<String>("k").await), (None, None));
}

#[tokio::test]
async fn a_reply_that_comes_before_the_record_is_given_up_when_the_record_comes() {
    let setting = Setting::new().await;
    set_old(&setting.b, "k").await;
    setting.a_has_heard().await;
    let answered = setting.gates.close(Point::GetAnswered);
    let reader = read(&setting.a, "k");
    answered.reached().await;
    let held = setting.bus.hold_replies();
    setting.b.invalidate("k").await;
    answered.open();
    reader.await.unwrap();
    assert_eq!(near(&setting.a, "k").await.as_deref(), Some(OLD), "it cannot know yet");
    held.release();
    setting.a_has_heard().await;
    assert_eq!((near(&setting.a, "k").await, setting.a.get::<String>("k").await), (None, None));
}

/// A read of the invalidating node that begins when the entry is void here and still there in Redis.
#[tokio::test]
async fn what_a_node_reads_during_its_own_invalidation_is_gone_when_the_invalidation_returns() {
    let setting = Setting::new().await;
    set_old(&setting.b, "k").await;
    setting.a_has_heard().await;
    // Only the acknowledgement can tell the node.
    let _deaf = setting.bus.hold_replies();
    let sent = setting.gates.close(Point::InvalidateSent);
    let invalidation = tokio::spawn({
        let a = setting.a.clone();
        async move { a.invalidate("k").await }
    });
    sent.reached().await;
    assert_eq!(read(&setting.a, "k").await.unwrap().as_deref().map(String::as_str), Some(OLD));
    sent.open();
    assert_eq!(invalidation.await.unwrap().delivery, Delivery::Done);
    assert_eq!((near(&setting.a, "k").await, setting.a.get::<String>("k").await), (None, None));
}

/// As above, and the reply comes when the invalidation has been acknowledged.
#[tokio::test]
async fn a_reply_that_outlives_the_nodes_own_invalidation_is_not_kept() {
    let setting = Setting::new().await;
    set_old(&setting.b, "k").await;
    setting.a_has_heard().await;
    let _deaf = setting.bus.hold_replies();
    let (sent, answered) = (setting.gates.close(Point::InvalidateSent), setting.gates.close(Point::GetAnswered));
    let invalidation = tokio::spawn({
        let a = setting.a.clone();
        async move { a.invalidate("k").await }
    });
    sent.reached().await;
    let reader = read(&setting.a, "k");
    answered.reached().await;
    sent.open();
    invalidation.await.unwrap();
    answered.open();
    assert_eq!(reader.await.unwrap().as_deref().map(String::as_str), Some(OLD), "it was asked before");
    assert_eq!((near(&setting.a, "k").await, setting.a.get::<String>("k").await), (None, None));
}

/// The reply was asked for before the invalidation, and comes while the acknowledgement of the invalidation is held.
#[tokio::test]
async fn a_reply_that_comes_before_the_acknowledgement_is_not_kept() {
    let setting = Setting::new().await;
    set_old(&setting.b, "k").await;
    setting.a_has_heard().await;
    let _deaf = setting.bus.hold_replies();
    let answered = setting.gates.close(Point::GetAnswered);
    let acknowledged = setting.gates.close(Point::InvalidateAnswered);
    let reader = read(&setting.a, "k");
    answered.reached().await;
    let invalidation = tokio::spawn({
        let a = setting.a.clone();
        async move { a.invalidate("k").await }
    });
    acknowledged.reached().await;
    answered.open();
    reader.await.unwrap();
    assert_eq!(near(&setting.a, "k").await, None, "void since the invalidation was called");
    acknowledged.open();
    invalidation.await.unwrap();
    assert_eq!((near(&setting.a, "k").await, setting.a.get::<String>("k").await), (None, None));
}

#[tokio::test]
async fn a_reply_from_before_the_bus_was_lost_is_not_believed_when_it_is_back() {
    let setting = Setting::new().await;
    set_old(&setting.b, "k").await;
    setting.a_has_heard().await;
    let (answered, mut events) = (setting.gates.close(Point::GetAnswered), setting.events());
    let reader = read(&setting.a, "k");
    answered.reached().await;
    setting.bus.sever().await;
    tokio::select! {
        () = until(&mut events, "the bus is back", |event| matches!(event, Event::BusConnected)) => {}
        () = setting.time_passes() => {}
    }
    answered.open();
    assert_eq!(reader.await.unwrap(), None, "it may be of a server that another has taken over from");
    assert_eq!(setting.a.get::<String>("k").await.as_deref().map(String::as_str), Some(OLD));
}
