//! The tier as a store of entries, on a real server.

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache_core::clock::Timestamp;
use cache_core::{Acquire, CacheTier, Entry, Namespace, SharedTier, Value, frame};
use cache_redis::{RedisTier, Wire};
use cache_testing::proxy::{Direction, Flow};
use cache_testing::{FaultProxy, RedisServer};
use support::{TTL, entry, key, keys, payload, raw, start, store, subscribe, time_to_live, token};

#[tokio::test]
async fn an_entry_is_stored_for_its_time_to_live_and_comes_back_whole() {
    let (server, tier) = start();
    let written = entry("value");
    tier.set(&key("k"), written.clone(), TTL).await.unwrap();

    let read = tier.get(&key("k")).await.unwrap().unwrap();

    assert_eq!(format!("{read:?}"), format!("{written:?}"));
    assert_eq!(payload(Some(&read)), Some("value"));
    assert!((50_000..=60_000).contains(&time_to_live(&server, "test:k")));
    assert!(tier.get(&key("absent")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_negative_entry_comes_back() {
    let (_server, tier) = start();
    let absent = Entry::new(Value::Absent, Timestamp::ZERO, Timestamp::MAX);
    tier.set(&key("k"), absent, TTL).await.unwrap();
    assert!(matches!(tier.get(&key("k")).await.unwrap().unwrap().value, Value::Absent));
}

#[tokio::test]
async fn any_time_to_live_is_accepted() {
    let (server, tier) = start();
    tier.set(&key("zero"), entry("a"), Duration::ZERO).await.unwrap();
    tier.set(&key("long"), entry("a"), Duration::MAX).await.unwrap();
    assert!(time_to_live(&server, "test:long") > 1 << 49);
    assert!(time_to_live(&server, "test:zero") <= 1);
}

#[tokio::test]
async fn a_typed_value_is_refused() {
    let (_server, tier) = start();
    let typed = Entry::new(Value::Typed(Arc::new(1)), Timestamp::ZERO, Timestamp::MAX);
    let error = tier.set(&key("k"), typed, TTL).await.unwrap_err();
    assert!(!error.is_outage());
    assert!(error.to_string().contains("encode it with a codec first"), "{error}");
}

#[tokio::test]
async fn a_lease_is_no_entry() {
    let (_server, tier) = start();
    tier.acquire(&key("k"), token(1), None, TTL).await.unwrap();
    assert!(tier.get(&key("k")).await.unwrap().is_none());
    assert!(tier.get_many(&keys(["k"])).await.unwrap()[0].is_none());
    assert_eq!(tier.counters().undecodable + tier.counters().foreign, 0);
}

#[tokio::test]
async fn foreign_and_damaged_bytes_are_counted_misses() {
    let (server, tier) = start();
    store(&server, "test:json", b"{\"a\":1}");
    store(&server, "test:version", b"\xca\xc3\x09V");
    store(&server, "test:short", b"\xca\xc3\x01V0123456789012345");
    for name in ["json", "version", "short"] {
        assert!(tier.get(&key(name)).await.unwrap().is_none(), "{name}");
    }
    let counters = tier.counters();
    assert_eq!((counters.foreign, counters.undecodable), (1, 2));
}

#[tokio::test]
async fn a_key_of_another_type_is_refused_and_harms_nobody() {
    let (server, tier) = start();
    server.cli(&["LPUSH", "test:list", "x"]);
    let error = tier.get(&key("list")).await.unwrap_err();
    assert!(!error.is_outage(), "{error}");
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
    tier.ping().await.unwrap();
    assert_eq!(tier.counters().connections, 1);
}

#[tokio::test]
async fn many_are_read_and_written_in_order() {
    let (_server, tier) = start();
    // More than fit into one command.
    let all: Vec<_> = (0..2_500).map(|number| key(&format!("k{number}"))).collect();
    let even = all.iter().step_by(2).map(|key| (key.clone(), entry("v"), TTL)).collect();
    tier.set_many(even).await.unwrap();

    let read = tier.get_many(&all).await.unwrap();

    assert_eq!(read.len(), all.len());
    assert!(read.iter().enumerate().all(|(at, entry)| entry.is_some() == (at % 2 == 0)));
    assert!(tier.get_many(&[]).await.unwrap().is_empty());
    tier.set_many(Vec::new()).await.unwrap();
}

#[tokio::test]
async fn delete_counts_entries_and_leases() {
    let (server, tier) = start();
    tier.set(&key("entry"), entry("v"), TTL).await.unwrap();
    tier.acquire(&key("lease"), token(1), None, TTL).await.unwrap();
    assert_eq!(tier.delete(&keys(["entry", "lease", "absent"])).await.unwrap(), 2);
    assert_eq!(tier.delete(&[]).await.unwrap(), 0);
    assert_eq!(raw(&server, "test:entry"), None);

    let many: Vec<_> = (0..2_500).map(|number| key(&format!("k{number}"))).collect();
    tier.set_many(many.iter().map(|key| (key.clone(), entry("v"), TTL)).collect()).await.unwrap();
    assert_eq!(tier.delete(&many).await.unwrap(), 2_500);
}

#[tokio::test]
async fn a_tier_is_bound_to_one_namespace() {
    let (server, _) = start();
    let tier = RedisTier::new(server.url()).unwrap();
    let (shop, blog) = (Namespace::new("shop").unwrap(), Namespace::new("blog").unwrap());
    tier.bind(&shop).unwrap();
    tier.bind(&shop).unwrap();
    let error = tier.bind(&blog).unwrap_err().to_string();
    assert!(error.contains("shop") && error.contains("blog"), "{error}");
    tier.set(&key("k"), entry("v"), TTL).await.unwrap();
    assert!(raw(&server, "shop:k").is_some());

    let unbound = RedisTier::new(server.url()).unwrap();
    unbound.set(&key("k"), entry("v"), TTL).await.unwrap();
    assert!(raw(&server, "cache:k").is_some());
}

#[tokio::test]
async fn the_database_comes_from_the_url() {
    let (server, _) = start();
    let tier = RedisTier::new(format!("{}/3", server.url())).unwrap();
    tier.set(&key("k"), entry("v"), TTL).await.unwrap();
    assert_eq!(raw(&server, "cache:k"), None);
    assert!(tier.get(&key("k")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let folder = std::env::temp_dir().join(format!("cache-redis-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let socket = folder.join("redis.sock").display().to_string();
    let server = RedisServer::builder().directive("unixsocket", &socket).start();
    let tier = RedisTier::new(format!("unix://{socket}?db=2")).unwrap();
    tier.set(&key("k"), entry("v"), TTL).await.unwrap();
    assert!(tier.get(&key("k")).await.unwrap().is_some());
    assert_eq!(tier.clear().await.unwrap(), 1);
    subscribe(&tier).await;
    drop(server);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn what_is_stored_is_the_frame() {
    let (server, tier) = start();
    tier.set(&key("k"), entry("value"), TTL).await.unwrap();
    assert_eq!(raw(&server, "test:k").unwrap(), frame::encode(&entry("value")).unwrap());
}

/// What the server says is left counts from when it said so, and the answer may be long on its way.
#[tokio::test]
async fn a_plain_value_is_not_taken_to_live_longer_than_the_server_keeps_it() {
    let server = RedisServer::start();
    let link = FaultProxy::start(server.address());
    let tier = RedisTier::builder(server.url_at(link.port())).wire(Wire::Plain).response_timeout(TTL).build().unwrap();
    tier.bind(&Namespace::new("test").unwrap()).unwrap();
    tier.ping().await.unwrap();
    link.set(Direction::ToClient, Flow::Delay(Duration::from_millis(100)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let end = now.as_millis() as u64 + 60_000;
    server.cli(&["SET", "test:k", "\"value\"", "PXAT", &end.to_string()]);

    let one = tier.get(&key("k")).await.unwrap().unwrap();
    let many = tier.get_many(&[key("k")]).await.unwrap().remove(0).unwrap();
    let acquired = tier.shared().unwrap().acquire(&key("k"), token(1), None, TTL).await.unwrap();
    let Acquire::Found(found) = acquired else { panic!("{acquired:?}") };

    for entry in [one, many, found] {
        // The clocks of this process and of the server are one, read at different instants.
        let over = entry.expires.since(Timestamp::from_millis(end));
        assert!(over < Duration::from_millis(50), "{over:?} longer");
    }
}
