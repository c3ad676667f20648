//! Plain values: read and written by other programs, and what is promised of them.

use std::convert::Infallible;
use std::time::Duration;

use cache_aside::{BusStatus, CachingService, Delivery, LocalTier, Policy, RedisTier, Wire};
use cache_testing::{FaultProxy, RedisServer};

use super::support::{Gate, GatedLoad, MINUTE, eventually, heard, hears_invalidations, near};

async fn plain_node(redis: &RedisServer) -> CachingService {
    plain_node_at(redis.url()).await
}

async fn plain_node_at(url: String) -> CachingService {
    let patience = Duration::from_secs(10);
    let remote = RedisTier::builder(url).connect_timeout(patience).response_timeout(patience);
    let builder = CachingService::builder().local(LocalTier::new(1_000)).tier_timeout(patience);
    let builder = builder.remote(remote.wire(Wire::Plain).build().unwrap()).default_policy(Policy::new(MINUTE));
    let node = builder.build().await.unwrap();
    hears_invalidations(&node).await;
    node
}

async fn load(cache: &CachingService, key: &str, value: &'static str) -> String {
    let loaded = cache.get_or_load(key, move || async move { Ok::<_, Infallible>(value.to_owned()) }).await;
    String::clone(&loaded.unwrap())
}

async fn get(cache: &CachingService, key: &str) -> Option<String> {
    cache.get::<String>(key).await.map(|value| String::clone(&value))
}

#[tokio::test]
async fn other_programs_read_what_is_stored_and_what_they_write_is_read() {
    let redis = RedisServer::start();
    let (a, b) = (plain_node(&redis).await, plain_node(&redis).await);
    assert_eq!(load(&a, "loaded", "value").await, "value");
    assert_eq!(redis.cli(&["GET", "cache:loaded"]), "\"value\"");
    assert_eq!(load(&b, "loaded", "not run").await, "value");
    a.set("set", 7_u32).await;
    assert_eq!(redis.cli(&["GET", "cache:set"]), "7");
    assert_eq!(b.get_many::<u32>(&["set", "none"]).await, [Some(7.into()), None]);
    let left: i64 = redis.cli(&["PTTL", "cache:set"]).parse().unwrap();
    assert!((50_000..=66_000).contains(&left), "{left}");

    redis.cli(&["SETEX", "cache:theirs", "60", "\"json\""]);
    assert_eq!(load(&a, "theirs", "not run").await, "json");
    redis.cli(&["SET", "cache:for-ever", "\"json\""]);
    assert_eq!(get(&b, "for-ever").await.as_deref(), Some("json"));
    redis.cli(&["SETEX", "cache:broken", "60", "{no json"]);
    assert_eq!(load(&a, "broken", "loaded").await, "loaded", "what cannot be read is a miss, and replaced");
    assert_eq!(redis.cli(&["GET", "cache:broken"]), "\"loaded\"");
    redis.cli(&["PSETEX", "cache:short", "50", "\"short\""]);
    get(&a, "short").await;
    eventually("the near tier does not outlive it", || async { near(&a, "short").await.is_none() }).await;
}

/// The end of a scan is told once.
#[tokio::test]
async fn a_node_that_missed_the_end_of_a_scan_reads_again_what_it_was_for() {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address());
    let (a, b) = (plain_node(&redis).await, plain_node_at(redis.url_at(proxy.port())).await);
    let isolated = || async { matches!(b.status().await.bus, BusStatus::Isolated { .. }) };
    proxy.cut().await;
    eventually("it hears nothing", isolated).await;
    a.clear().await;
    a.set("k", 7_u32).await;
    proxy.pass().await;
    hears_invalidations(&b).await;
    eventually("it reads what is there", || async { b.get::<u32>("k").await.is_some() }).await;
}

#[tokio::test]
async fn a_key_that_holds_no_string_costs_no_other() {
    let redis = RedisServer::start();
    let a = plain_node(&redis).await;
    redis.cli(&["SETEX", "cache:value", "60", "7"]);
    redis.cli(&["RPUSH", "cache:list", "8"]);
    assert_eq!(a.get_many::<u32>(&["list", "value"]).await, [None, Some(7.into())]);
}

#[tokio::test]
async fn a_load_that_is_overtaken_by_an_invalidation_or_a_write_of_others_is_not_stored() {
    let redis = RedisServer::start();
    let (a, b) = (plain_node(&redis).await, plain_node(&redis).await);
    let overtaken = GatedLoad::start(&a, "k", "old").await;
    b.invalidate("k").await;
    heard(&b, &[&a]).await;
    assert_eq!(overtaken.end().await, "old");
    assert_eq!((redis.cli(&["EXISTS", "cache:k"]), near(&a, "k").await), ("0".to_owned(), None));

    let overtaken = GatedLoad::start(&a, "k", "old").await;
    redis.cli(&["SETEX", "cache:k", "60", "\"theirs\""]);
    assert_eq!(overtaken.end().await, "old");
    assert_eq!((near(&a, "k").await, get(&a, "k").await.as_deref()), (None, Some("theirs")));
}

#[tokio::test]
async fn changes_through_this_crate_void_plain_values_on_every_node() {
    let redis = RedisServer::start();
    let (a, b) = (plain_node(&redis).await, plain_node(&redis).await);
    for key in ["user:1", "user:2", "order:1"] {
        a.set(key, "old".to_owned()).await;
        assert_eq!(get(&b, key).await.as_deref(), Some("old"));
    }
    a.set("user:1", "new".to_owned()).await;
    heard(&a, &[&a, &b]).await;
    assert_eq!(near(&a, "user:1").await.as_deref(), Some("new"), "its own record does not void it");
    assert_eq!(get(&b, "user:1").await.as_deref(), Some("new"));
    assert_eq!(b.invalidate("user:1").await.removed, 1);
    assert_eq!(get(&b, "user:1").await, None);
    heard(&b, &[&a]).await;
    assert_eq!(get(&a, "user:1").await, None);

    a.invalidate_pattern("user:*").await.unwrap();
    heard(&a, &[&b]).await;
    assert_eq!((get(&a, "user:2").await, get(&b, "user:2").await), (None, None));
    assert_eq!(get(&b, "order:1").await.as_deref(), Some("old"));
    // Values do not say their tags, and not whether they are older than a clear: so every one goes.
    for void_all in [true, false] {
        assert_eq!(load(&a, "order:1", "old").await, "old");
        get(&b, "order:1").await;
        let receipt = if void_all { b.clear().await } else { b.invalidate_tags(["any"]).await };
        assert_eq!(receipt.delivery, Delivery::Done);
        heard(&b, &[&a]).await;
        assert_eq!((get(&b, "order:1").await, get(&a, "order:1").await), (None, None));
    }
    assert_eq!(load(&a, "order:1", "new").await, "new");
    assert_eq!(get(&b, "order:1").await.as_deref(), Some("new"), "what comes after is kept");
}

#[tokio::test]
async fn leases_and_fences_hold() {
    let redis = RedisServer::start();
    let (a, b) = (plain_node(&redis).await, plain_node(&redis).await);
    let first = GatedLoad::start(&a, "k", "once").await;
    assert_eq!(redis.cli(&["STRLEN", "cache:k"]), "21", "other programs find the lease");
    assert_eq!(get(&b, "k").await, None);
    let second = {
        let b = b.clone();
        tokio::spawn(async move { load(&b, "k", "twice").await })
    };
    assert_eq!(first.end().await, "once");
    assert_eq!(second.await.unwrap(), "once");

    let (gate, writer) = (Gate::default(), a.clone());
    let passed = gate.clone();
    let write = async move {
        writer
            .write_around(&["k"], || async {
                passed.pass().await;
                Ok::<_, Infallible>(())
            })
            .await
    };
    let write = tokio::spawn(write);
    gate.reached().await;
    eventually("b has heard of the fence", || async { near(&b, "k").await.is_none() }).await;
    assert_eq!(load(&b, "k", "before").await, "before");
    assert_eq!(redis.cli(&["EXISTS", "cache:k"]), "0", "nothing is stored while the source changes");
    gate.open();
    write.await.unwrap().unwrap();
    heard(&a, &[&b]).await;
    assert_eq!(load(&b, "k", "after").await, "after");
    assert_eq!(redis.cli(&["GET", "cache:k"]), "\"after\"");
}

#[tokio::test]
async fn absences_stay_near_and_versions_are_refused() {
    let redis = RedisServer::start();
    let cache = plain_node(&redis).await;
    let absent = || async { Ok::<Option<String>, Infallible>(None) };
    assert_eq!(cache.entry("k").negative_ttl(MINUTE).get_or_load_optional(absent).await.unwrap(), None);
    assert_eq!(redis.cli(&["EXISTS", "cache:k"]), "0");
    assert_eq!(cache.entry("k").negative_ttl(MINUTE).get_or_load_optional(absent).await.unwrap(), None);
    assert_eq!(cache.stats().loads, 1, "the near tier has it");

    cache.set("v", "unversioned".to_owned()).await;
    let receipt = cache.entry("v").version(1).set("versioned".to_owned()).await;
    assert_eq!((receipt.delivery, receipt.stored), (Delivery::Done, false));
    assert_eq!((redis.cli(&["EXISTS", "cache:v"]), near(&cache, "v").await), ("0".to_owned(), None));
}
