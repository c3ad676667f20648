//! Every branch of the lease scripts, on a real server.

mod support;

use std::time::Duration;

use cache_core::coherence::BusMessage;
use cache_core::frame::{self, Frame};
use cache_core::{Acquire, CacheTier, SharedTier, Token};
use support::{
    TTL, announced, entry, key, keys, payload, put, raw, start, store, stored_frame, subscribe, time_to_live, token,
};

#[tokio::test]
async fn an_absent_key_is_leased() {
    let (server, tier) = start();
    assert!(matches!(tier.acquire(&key("k"), token(1), None, TTL).await.unwrap(), Acquire::Acquired));
    assert_eq!(raw(&server, "test:k").unwrap(), frame::encode_lease(token(1)));
    assert!((50_000..=60_000).contains(&time_to_live(&server, "test:k")));
}

#[tokio::test]
async fn a_lease_is_held_until_it_lapses_and_a_waiter_marks_it() {
    let (server, tier) = start();
    tier.acquire(&key("k"), token(1), None, TTL).await.unwrap();
    assert!(matches!(tier.acquire(&key("k"), token(2), None, TTL).await.unwrap(), Acquire::Held));
    assert!(matches!(tier.acquire(&key("k"), token(2), Some(token(1)), TTL).await.unwrap(), Acquire::Held));
    let marked = raw(&server, "test:k").unwrap();
    assert_eq!((marked.len(), marked[frame::FLAG_AT]), (frame::LEASE_BYTES, 1));
    assert!(matches!(stored_frame(&server, "test:k"), Frame::Lease(holder) if holder == token(1)));
    assert!(time_to_live(&server, "test:k") > 50_000, "marking keeps the time to live");
}

#[tokio::test]
async fn an_entry_is_found_unless_it_may_be_replaced() {
    let (server, tier) = start();
    tier.set(&key("k"), entry("stale"), TTL).await.unwrap();
    for over in [None, Some(token(9)), Some(Token::NONE)] {
        let found = tier.acquire(&key("k"), token(1), over, TTL).await.unwrap();
        let Acquire::Found(found) = found else { panic!("{over:?}: {found:?}") };
        assert_eq!(payload(Some(&found)), Some("stale"));
    }
    let acquired = tier.acquire(&key("k"), token(1), Some(token(200)), TTL).await.unwrap();
    assert!(matches!(acquired, Acquire::Acquired));
    assert!(matches!(stored_frame(&server, "test:k"), Frame::Lease(holder) if holder == token(1)));
}

#[tokio::test]
async fn garbage_never_keeps_a_key_from_being_filled() {
    let (server, tier) = start();
    let lease = frame::encode_lease(token(9));
    let value = frame::encode(&entry("v")).unwrap();
    let mut version = value.to_vec();
    version[2] = 9;
    let mut tags = value.to_vec();
    tags[86] = 1;
    let mut kind = value.to_vec();
    kind[3] = b'?';
    let long_lease = [&lease[..], b"!"].concat();
    for garbage in [
        &b""[..],
        b"{\"a\":1}",
        b"\xca\xc3",
        &lease[..20],
        &long_lease,
        &value[..85],
        &value[..frame::ENTRY_BYTES - 1],
        &tags,
        &version,
        &kind,
    ] {
        store(&server, "test:k", garbage);
        let acquired = tier.acquire(&key("k"), token(1), None, TTL).await.unwrap();
        assert!(matches!(acquired, Acquire::Acquired), "{garbage:?}: {acquired:?}");
    }
    store(&server, "test:k", &value[..frame::ENTRY_BYTES]);
    assert!(matches!(tier.acquire(&key("k"), token(1), None, TTL).await.unwrap(), Acquire::Found(_)), "an empty value");
}

#[tokio::test]
async fn a_key_of_another_type_is_refused_by_every_script() {
    let (server, tier) = start();
    server.cli(&["LPUSH", "test:k", "x"]);
    let k = key("k");
    let errors = [
        tier.acquire(&k, token(1), None, TTL).await.unwrap_err(),
        tier.extend(&k, token(1), TTL).await.unwrap_err(),
        tier.fill(&k, token(1), entry("v"), TTL).await.unwrap_err(),
        tier.release(&k, token(1)).await.unwrap_err(),
    ];
    for error in errors {
        assert!(!error.is_outage() && error.to_string().contains("WRONGTYPE"), "{error}");
    }
    assert_eq!(server.cli(&["TYPE", "test:k"]), "list");
}

#[tokio::test]
async fn only_the_holder_extends() {
    let (server, tier) = start();
    let (k, longer) = (key("k"), Duration::from_secs(600));
    assert!(!tier.extend(&k, token(1), longer).await.unwrap(), "absent");
    tier.acquire(&k, token(1), None, TTL).await.unwrap();
    assert!(!tier.extend(&k, token(2), longer).await.unwrap(), "another's");
    assert!(time_to_live(&server, "test:k") <= 60_000);
    tier.acquire(&k, token(2), None, TTL).await.unwrap();
    assert!(tier.extend(&k, token(1), longer).await.unwrap(), "marked by a waiter");
    assert!(time_to_live(&server, "test:k") > 500_000);
    let mut value = entry("v");
    value.token = token(1);
    tier.set(&k, value, TTL).await.unwrap();
    assert!(!tier.extend(&k, token(1), longer).await.unwrap(), "an entry with the same token");
}

#[tokio::test]
async fn only_the_holder_fills_and_waiters_hear_of_it() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    let k = key("k");
    assert!(!tier.fill(&k, token(1), entry("v"), TTL).await.unwrap(), "absent");
    assert_eq!(raw(&server, "test:k"), None);

    tier.acquire(&k, token(1), None, TTL).await.unwrap();
    assert!(!tier.fill(&k, token(2), entry("v"), TTL).await.unwrap(), "another's");
    assert!(tier.fill(&k, token(1), entry("v"), TTL).await.unwrap());
    assert_eq!(raw(&server, "test:k").unwrap(), frame::encode(&entry("v")).unwrap());
    assert!((50_000..=60_000).contains(&time_to_live(&server, "test:k")));
    assert!(!tier.fill(&k, token(200), entry("w"), TTL).await.unwrap(), "over an entry");
    assert!(announced(&mut *bus).await.is_empty(), "nobody waited");

    let k = key("waited for");
    tier.acquire(&k, token(1), None, TTL).await.unwrap();
    tier.acquire(&k, token(2), None, TTL).await.unwrap();
    assert!(tier.fill(&k, token(1), entry("v"), TTL).await.unwrap());
    let heard = announced(&mut *bus).await;
    assert!(matches!(&heard[..], [BusMessage::LeaseEnded(ended)] if *ended == k), "{heard:?}");
}

#[tokio::test]
async fn an_invalidation_voids_a_fill() {
    let (_server, tier) = start();
    let k = key("k");
    tier.acquire(&k, token(1), None, TTL).await.unwrap();
    tier.invalidate(&keys(["k"]), &support::record(&keys(["k"])), None).await.unwrap();
    assert!(!tier.fill(&k, token(1), entry("v"), TTL).await.unwrap());
    assert!(tier.get(&k).await.unwrap().is_none());
}

#[tokio::test]
async fn only_the_holder_releases_and_waiters_hear_of_it() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    let k = key("k");
    tier.release(&k, token(1)).await.unwrap();
    tier.acquire(&k, token(1), None, TTL).await.unwrap();
    tier.release(&k, token(2)).await.unwrap();
    assert!(raw(&server, "test:k").is_some(), "another's");
    tier.release(&k, token(1)).await.unwrap();
    assert_eq!(raw(&server, "test:k"), None);
    assert!(announced(&mut *bus).await.is_empty(), "nobody waited");

    tier.acquire(&k, token(1), None, TTL).await.unwrap();
    tier.acquire(&k, token(2), None, TTL).await.unwrap();
    tier.release(&k, token(1)).await.unwrap();
    let heard = announced(&mut *bus).await;
    assert!(matches!(&heard[..], [BusMessage::LeaseEnded(ended)] if *ended == k), "{heard:?}");

    tier.set(&k, entry("v"), TTL).await.unwrap();
    tier.release(&k, token(200)).await.unwrap();
    assert!(raw(&server, "test:k").is_some(), "an entry with the same token");
}

#[tokio::test]
async fn scripts_are_sent_again_to_a_server_that_forgot_them() {
    let (server, tier) = start();
    for _ in 0..2 {
        server.cli(&["SCRIPT", "FLUSH"]);
        tier.acquire(&key("k"), token(1), None, TTL).await.unwrap();
        tier.extend(&key("k"), token(1), TTL).await.unwrap();
        assert!(tier.fill(&key("k"), token(1), entry("v"), TTL).await.unwrap());
        tier.release(&key("k"), token(1)).await.unwrap();
        tier.put(&key("k"), put(entry("v"), TTL), &support::record(&keys(["k"]))).await.unwrap();
        tier.invalidate(&keys(["k"]), &support::record(&keys(["k"])), None).await.unwrap();
    }
}
