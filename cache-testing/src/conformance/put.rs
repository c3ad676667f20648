//! What a `set` stores, and what it sends along.

use std::sync::Arc;
use std::time::Duration;

use cache_core::coherence::{BusConnection, BusMessage, Replica};
use cache_core::{CacheTier, Entry, PutOutcome};

use super::support::{
    HOUR, assert_holds, connect, entry, key, keys, next, payload, put, record_of_keys, shared, stored,
};

fn versioned(payload: &'static str, version: Option<u64>) -> Entry {
    let mut entry = entry(payload);
    entry.version = version;
    entry
}

async fn put_version(tier: &dyn CacheTier, payload: &'static str, version: Option<u64>) -> PutOutcome {
    let record = record_of_keys(&keys(["k"]));
    shared(tier).put(&key("k"), put(versioned(payload, version), HOUR), &record).await.expect("put")
}

/// In whatever order they arrive.
pub async fn an_older_version_does_not_replace_a_newer_one(tier: Arc<dyn CacheTier>) {
    for (older, newer) in [(0, 1), (255, 256), (1 << 53, (1 << 53) + 1), (7, u64::MAX - 1)] {
        tier.delete(&keys(["k"])).await.expect("delete");
        stored(put_version(&*tier, "newer", Some(newer)).await);
        let last = connect(&*tier).await.last_position().await.expect("last_position");
        assert_eq!(put_version(&*tier, "older", Some(older)).await, PutOutcome::Superseded);
        assert_holds(&*tier, &key("k"), "newer").await;
        assert_eq!(connect(&*tier).await.last_position().await.expect("last_position"), last, "nothing has changed");
        stored(put_version(&*tier, "the same", Some(newer)).await);
        assert_holds(&*tier, &key("k"), "the same").await;
    }
}

/// Versions are compared only with versions.
pub async fn without_a_version_the_last_one_stays(tier: Arc<dyn CacheTier>) {
    stored(put_version(&*tier, "versioned", Some(5)).await);
    stored(put_version(&*tier, "without", None).await);
    assert_holds(&*tier, &key("k"), "without").await;
    stored(put_version(&*tier, "versioned", Some(1)).await);
    assert_holds(&*tier, &key("k"), "versioned").await;
}

async fn replica(connection: &mut dyn BusConnection) -> Option<Box<Replica>> {
    match next(connection).await {
        BusMessage::Appended { replica, .. } => replica,
        other => panic!("a record was appended, and {other:?} arrived"),
    }
}

/// Only where it was asked for.
pub async fn a_value_is_sent_with_its_record(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let (k, record) = (key("k"), record_of_keys(&keys(["k"])));
    shared(&*tier).put(&k, put(entry("alone"), HOUR), &record).await.expect("put");
    assert!(replica(&mut *connection).await.is_none());

    let binary: &[u8] = b"\x00 1:\xff\r\n";
    let mut sent = put(entry(binary), HOUR);
    sent.replicate = Some(Duration::from_secs(9));
    for version in [None, Some(3)] {
        sent.entry.version = version;
        let appended = stored(shared(&*tier).put(&k, sent.clone(), &record).await.expect("put"));
        // One with a version need not be sent.
        let received = replica(&mut *connection).await;
        assert!(received.is_some() || version.is_some());
        if let Some(received) = received {
            assert_eq!(received.ttl, Duration::from_secs(9));
            assert_eq!((received.entry.birth, received.entry.version), (appended.position, version));
            assert_eq!(payload(Some(&received.entry)), Some(binary));
        }
        assert_holds(&*tier, &k, binary).await;
    }
}
