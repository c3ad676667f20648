//! The delivery of records.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use cache_core::coherence::{BusConnection, BusMessage, Position, Record};
use cache_core::{CacheTier, Key, PutOutcome};
use tokio::task::JoinSet;

use super::support::{
    HOUR, assert_acquired, assert_held, connect, entry, key, keys, next, put, record_of_keys, shared, token,
};

async fn append(tier: &dyn CacheTier, n: usize) -> (Position, Position, Record) {
    let keys = [key(format!("k{n}"))];
    let record = record_of_keys(&keys);
    let appended = match n % 2 {
        0 => shared(tier).invalidate(&keys, &record, None).await.expect("invalidate"),
        _ => match shared(tier).put(&keys[0], put(entry("v"), HOUR), &record).await.expect("put") {
            // One that is overtaken by another call has its record all the same.
            PutOutcome::Stored(appended) | PutOutcome::Fenced(appended) => appended,
            other => panic!("the value was to be recorded, and {other:?}"),
        },
    };
    (appended.previous, appended.position, record)
}

fn record_in(message: BusMessage) -> (Position, Position, Record) {
    match message {
        BusMessage::Appended { previous, position, record, .. } => (previous, position, record),
        other => panic!("a record was appended, and {other:?} arrived"),
    }
}

/// With the positions that whoever appended them was told.
pub async fn records_arrive_in_order(tier: Arc<dyn CacheTier>) {
    append(&*tier, 0).await;
    let mut connection = connect(&*tier).await;
    for n in 0..20 {
        let appended = append(&*tier, n).await;
        assert_eq!(record_in(next(&mut *connection).await), appended);
    }
    assert!(connection.try_next().is_none());
}

/// The node that appended it included.
pub async fn every_connection_hears_every_record(tier: Arc<dyn CacheTier>) {
    let mut connections = [connect(&*tier).await, connect(&*tier).await, connect(&*tier).await];
    let appended = [append(&*tier, 0).await, append(&*tier, 1).await];
    for connection in &mut connections {
        for expected in &appended {
            assert_eq!(&record_in(next(&mut **connection).await), expected);
        }
    }
}

/// An answer that is newer than the messages would be taken for a gap.
pub async fn what_was_announced_before_an_answer_is_ready(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    for _ in 0..50 {
        let appended = [append(&*tier, 0).await, append(&*tier, 1).await];
        assert_eq!(connection.last_position().await.expect("last_position"), appended[1].1);
        for expected in appended {
            let message = connection.try_next().expect("it was announced before the answer");
            assert_eq!(record_in(message), expected);
        }
        assert!(connection.try_next().is_none());
    }
}

/// A listener waits for messages and for the heartbeat at once, and drops the wait that did not end.
pub async fn a_dropped_wait_loses_no_message(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    for n in 0..50 {
        let ready = poll_once(&mut *connection);
        assert!(ready.is_none(), "{ready:?} arrived before it was appended");
        let appended = append(&*tier, n).await;
        let message = match poll_once(&mut *connection) {
            Some(early) => early,
            None => next(&mut *connection).await,
        };
        assert_eq!(record_in(message), appended);
    }
}

fn poll_once(connection: &mut dyn BusConnection) -> Option<BusMessage> {
    match pin!(connection.next()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(message) => Some(message.expect("the connection stands")),
        Poll::Pending => None,
    }
}

/// Whoever appends, and however many at once.
pub async fn concurrent_records_form_one_chain(tier: Arc<dyn CacheTier>) {
    const RECORDS: usize = 64 * 10;
    let mut connection = connect(&*tier).await;
    let mut last = connection.last_position().await.expect("last_position");
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let tier = Arc::clone(&tier);
        tasks.spawn(async move {
            for n in 0..10 {
                append(&*tier, task + n).await;
            }
        });
    }
    for _ in 0..RECORDS {
        let (previous, position, _) = record_in(next(&mut *connection).await);
        assert_eq!(previous, last);
        last = position;
    }
    tasks.join_all().await;
    assert_eq!(connection.last_position().await.expect("last_position"), last);
}

async fn assert_announced(connection: &mut dyn BusConnection, expected: &Key) {
    match next(connection).await {
        BusMessage::LeaseEnded(key) => assert_eq!(&key, expected),
        other => panic!("{other:?}"),
    }
}

/// A fill that nobody waits for costs no message.
pub async fn the_end_of_a_lease_is_announced_if_someone_waited(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let keys = keys(["alone", "waited for", "a b:{c}é"]);
    for key in &keys {
        assert_acquired(&*tier, key, token(1)).await;
    }
    for key in &keys[1..] {
        assert_held(&*tier, key).await;
    }
    for key in &keys {
        assert!(shared(&*tier).fill(key, token(1), entry("v"), HOUR).await.expect("fill"));
    }
    for key in &keys[1..] {
        assert_announced(&mut *connection, key).await;
    }
    connection.last_position().await.expect("last_position");
    assert!(connection.try_next().is_none());
}

/// Neither does a release, and one that releases nothing announces nothing.
pub async fn a_release_is_announced_if_someone_waited(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let keys = keys(["alone", "foreign", "waited for"]);
    for key in &keys {
        assert_acquired(&*tier, key, token(1)).await;
    }
    for key in &keys[1..] {
        assert_held(&*tier, key).await;
    }
    for (key, holder) in keys.iter().zip([1, 2, 1]) {
        shared(&*tier).release(key, token(holder)).await.expect("release");
    }
    assert_announced(&mut *connection, &keys[2]).await;
    connection.last_position().await.expect("last_position");
    assert!(connection.try_next().is_none());
}
