//! Which tiers a call reads and writes, and what is too large for them.

use std::convert::Infallible;
use std::sync::Arc;

use cache_aside::{Delivery, EntryBuilder, Policy};
use cache_testing::RedisServer;

use super::support::{MINUTE, eventually, heard, near, node, node_builder};

async fn load(entry: EntryBuilder<'_>, value: &'static str) -> String {
    let loaded = entry.get_or_load(move || async move { Ok::<_, Infallible>(value.to_owned()) }).await;
    String::clone(&loaded.unwrap())
}

async fn get(entry: EntryBuilder<'_>) -> Option<String> {
    entry.get::<String>().await.map(|value| String::clone(&value))
}

fn in_redis(redis: &RedisServer) -> bool {
    redis.cli(&["EXISTS", "cache:k"]) == "1"
}

#[tokio::test]
async fn a_remote_only_call_neither_reads_nor_fills_the_near_tier() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    assert_eq!(load(a.entry("k").remote_only(), "loaded").await, "loaded");
    assert_eq!(near(&a, "k").await, None);
    assert_eq!(load(b.entry("k"), "not run").await, "loaded", "the shared tier has it");
    redis.cli(&["DEL", "cache:k"]);
    assert_eq!(get(b.entry("k")).await.as_deref(), Some("loaded"));
    assert_eq!(get(b.entry("k").remote_only()).await, None);

    // A set leaves nothing older behind in the tier that it skips.
    b.entry("k").remote_only().set("set".to_owned()).await;
    assert_eq!(near(&b, "k").await, None);
    assert_eq!(get(a.entry("k")).await.as_deref(), Some("set"));
}

#[tokio::test]
async fn a_load_that_is_not_written_to_the_shared_tier_is_voided_like_any_other() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    assert_eq!(load(a.entry("k").skip_write("redis"), "a").await, "a");
    assert_eq!(near(&a, "k").await.as_deref(), Some("a"));
    assert!(!in_redis(&redis));
    assert_eq!(load(b.entry("k").skip_write("redis"), "b").await, "b", "each node loads for itself");
    b.invalidate("k").await;
    heard(&b, &[&a]).await;
    assert_eq!(near(&a, "k").await, None);
}

#[tokio::test]
async fn a_set_that_skips_the_shared_tier_still_voids_what_all_others_have() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    assert_eq!(load(a.entry("k"), "old").await, "old");
    assert_eq!(load(b.entry("k"), "not run").await, "old");
    let receipt = a.entry("k").skip_write("redis").set("new".to_owned()).await;
    assert_eq!((receipt.delivery, receipt.stored), (Delivery::Done, true));
    assert!(!in_redis(&redis));
    heard(&a, &[&a, &b]).await;
    assert_eq!(near(&a, "k").await.as_deref(), Some("new"), "its own record does not void it");
    assert_eq!(get(b.entry("k")).await, None);

    // Whether a newer version was there is known to nobody, so an older one is not kept either.
    let receipt = a.entry("k").skip_write("redis").version(1).set("versioned".to_owned()).await;
    assert!(!receipt.stored);
    assert_eq!(get(a.entry("k")).await, None);
}

#[tokio::test]
async fn a_load_that_does_not_read_the_tiers_replaces_what_they_hold() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    assert_eq!(load(a.entry("k"), "old").await, "old");
    assert_eq!(load(a.entry("k").skip_read("redis"), "not run").await, "old", "the near tier is read");
    assert_eq!(load(a.entry("k").skip_read("local"), "not run").await, "old", "the shared tier is read");
    assert_eq!(load(a.entry("k").skip_read("local").skip_read("redis"), "new").await, "new");
    assert_eq!(near(&a, "k").await.as_deref(), Some("new"));
    assert_eq!(load(b.entry("k"), "not run").await, "new");
    assert_eq!(a.stats().fenced_fills, 0);
}

#[tokio::test]
async fn a_batch_that_does_not_read_the_tiers_replaces_what_they_hold() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    assert_eq!(load(a.entry("k"), "old").await, "old");
    let unread = Policy::new(MINUTE).skip_read("local").skip_read("redis");
    let load_new = |keys: Vec<String>| async move {
        Ok::<_, Infallible>(keys.into_iter().map(|key| (key, "new".to_owned())).collect())
    };
    let loaded = a.batch().policy(unread).get_or_load(&["k"], load_new).await.unwrap();
    assert_eq!(loaded, [Some(Arc::new("new".to_owned()))]);
    assert_eq!(near(&a, "k").await.as_deref(), Some("new"));
    assert_eq!(load(b.entry("k"), "not run").await, "new");
    assert_eq!(a.stats().fenced_fills, 0);
}

#[tokio::test]
async fn a_policy_chooses_tiers_as_a_call_does() {
    let redis = RedisServer::start();
    let remote_only =
        node_builder(&redis.url()).default_policy(Policy::new(MINUTE).remote_only()).build().await.unwrap();
    assert_eq!(load(remote_only.entry("k"), "loaded").await, "loaded");
    assert_eq!(near(&remote_only, "k").await, None);
    redis.cli(&["DEL", "cache:k"]);
    assert_eq!(remote_only.get::<String>("k").await, None);
    assert_eq!(remote_only.get_many::<String>(&["k"]).await, [None]);

    let cache = node(&redis.url()).await;
    let policy = Policy::new(MINUTE).local_only();
    assert_eq!(load(cache.entry("k").policy(policy.clone()), "near").await, "near");
    assert!(!in_redis(&redis));
    let receipt = cache.entry("k").policy(policy).set("near".to_owned()).await;
    assert_eq!(receipt.delivery, Delivery::Local);

    let misnamed = Policy::new(MINUTE).skip_read("lokal");
    let error = node_builder(&redis.url()).default_policy(misnamed).build().await.unwrap_err();
    assert!(error.to_string().contains("skip_read names the tier \"lokal\""), "{error}");
}

#[tokio::test]
async fn a_value_that_is_too_large_is_given_to_its_callers_and_stored_nowhere() {
    let redis = RedisServer::start();
    let cache = node(&redis.url()).await;
    // Two quotes beside, as JSON.
    assert_eq!(load(cache.entry("k").max_value_bytes(7), "12345").await, "12345");
    assert!(in_redis(&redis) && cache.stats().too_large == 0);
    let receipt = cache.entry("k").max_value_bytes(7).set("123456".to_owned()).await;
    assert_eq!((receipt.delivery, receipt.stored), (Delivery::Done, false));
    assert!(!in_redis(&redis), "a set that is not stored leaves nothing older behind");
    assert_eq!(load(cache.entry("k").max_value_bytes(7), "123456").await, "123456");
    eventually("its lease is given back", || async { !in_redis(&redis) }).await;
    assert_eq!((near(&cache, "k").await, cache.stats().too_large), (None, 2));
    assert_eq!(load(cache.entry("k").local_only().max_value_bytes(7), "123456").await, "123456");
    assert_eq!((near(&cache, "k").await, cache.stats().too_large), (None, 3), "also where no tier needs bytes");

    let other = node(&redis.url()).await;
    other.set("k", "123456".to_owned()).await;
    heard(&other, &[&cache]).await;
    assert_eq!(get(cache.entry("k").max_value_bytes(7)).await, None, "it is not decoded");
    assert_eq!(cache.stats().too_large, 4);
    assert_eq!(get(cache.entry("k")).await.as_deref(), Some("123456"));
}

#[tokio::test]
async fn a_set_says_whether_any_tier_keeps_the_value() {
    let redis = RedisServer::start();
    let a = node(&redis.url()).await;
    assert!(a.entry("k").remote_only().set("value".to_owned()).await.stored);
    assert!(a.entry("k").local_only().set("value".to_owned()).await.stored);
    let nowhere = a.entry("k").skip_write("redis").skip_write("local");
    assert!(!nowhere.set("value".to_owned()).await.stored);
    redis.kill();
    let receipt = a.entry("k").remote_only().set("value".to_owned()).await;
    assert_eq!((receipt.delivery, receipt.stored), (Delivery::Queued, false));
    let receipt = a.set("k", "value".to_owned()).await;
    assert_eq!((receipt.delivery, receipt.stored), (Delivery::Queued, true));
    let invalid = a.entry("").local_only().set("value".to_owned()).await;
    assert_eq!((invalid.delivery, invalid.stored), (Delivery::Local, false));
}
