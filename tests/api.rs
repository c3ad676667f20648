//! Programs outside this repository are built against these names and shapes: each is used here as they use it. A change that
//! breaks this file breaks them.
#![cfg(all(feature = "local", feature = "redis", feature = "macros", feature = "json"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cache_aside::{
    BusStatus, CacheTier, CachingService, CachingServiceBuilder, Codec, Delivery, Entry, EntryBuilder, Error, Event,
    Json, Key, KeyspaceBuilder, LoadError, LocalTier, Pattern, Policy, Receipt, RedisTier, Stats, Status,
    cache_invalidate, cache_put, cached,
};

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the source is down")]
struct Down;

const MINUTE: Duration = Duration::from_secs(60);

async fn local() -> CachingService {
    CachingService::builder().local(LocalTier::new(100)).build().await.unwrap()
}

#[tokio::test]
async fn reads_and_writes() {
    let cache: CachingService = local().await.clone();
    let receipt: Receipt = cache.set("a", 1_u32).await;
    assert_eq!((receipt.delivery, receipt.removed), (Delivery::Local, 0));
    let value: Option<Arc<u32>> = cache.get::<u32>("a").await;
    assert_eq!(value.as_deref(), Some(&1));
    let values: Vec<Option<Arc<u32>>> = cache.get_many::<u32>(&["a", "b"]).await;
    assert_eq!(values.len(), 2);
    let loaded: Result<Arc<u32>, LoadError<Down>> = cache.get_or_load("b", || async { Ok(2) }).await;
    assert_eq!(*loaded.unwrap(), 2);
    let load = |missing: Vec<String>| async move {
        Ok::<HashMap<String, u32>, Down>(missing.into_iter().map(|key| (key, 3)).collect())
    };
    let loaded: Result<Vec<Option<Arc<u32>>>, LoadError<Down>> = cache.get_or_load_many(&["a", "c"], load).await;
    assert_eq!(loaded.unwrap()[1].as_deref(), Some(&3));
    assert_eq!(*cache.get_or_load::<u32, Down, _, _>("d", || async { Ok(4) }).await.unwrap(), 4);
}

#[tokio::test]
async fn invalidations() {
    let cache = local().await;
    let names = vec!["a".to_owned(), "b".to_owned()];
    cache.set(&names[0], 1_u32).await;
    let receipt: Receipt = cache.invalidate("a").await;
    assert_eq!(receipt.removed, 1);
    let _: Receipt = cache.invalidate_many(&names).await;
    let matched: Result<Receipt, Error> = cache.invalidate_pattern("user:*").await;
    assert_eq!(matched.unwrap().removed, 0);
    assert!(cache.invalidate_pattern("user:[").await.is_err());
    let _: Receipt = cache.invalidate_tags(["a", "b"]).await;
    let _: Receipt = cache.invalidate_tags(names.iter()).await;
    let _: Receipt = cache.clear().await;
    let written: Result<&str, Down> = cache.write_around(&["a"], || async { Ok("written") }).await;
    assert_eq!(written, Ok("written"));
}

#[tokio::test]
async fn one_entry() {
    let cache = local().await;
    let policy = Policy::new(MINUTE)
        .local_ttl(MINUTE)
        .stale_while_revalidate(MINUTE)
        .stale_if_error(MINUTE)
        .refresh_ahead(1.0)
        .jitter(0.1)
        .negative_ttl(MINUTE)
        .soft_timeout(Duration::from_secs(1))
        .load_timeout(Duration::from_secs(5))
        .tags(["a"])
        .schema(1);
    let entry =
        || -> EntryBuilder<'_> { cache.entry("k").policy(policy.clone()).ttl(MINUTE).tags(["org:1"]).local_only() };
    let _: Receipt = entry().set(1_u32).await;
    assert_eq!(entry().get::<u32>().await.as_deref(), Some(&1));
    let loaded: Result<Arc<u32>, LoadError<Down>> = entry().get_or_load(|| async { Ok(2) }).await;
    assert_eq!(*loaded.unwrap(), 1);
    let loaded: Result<Arc<u32>, LoadError<Down>> =
        cache.entry("l").load_with(|_old| async { Ok(cache_aside::Answer::value(3)) }).await;
    assert_eq!(*loaded.unwrap(), 3);
    let loaded: Result<Option<Arc<u32>>, LoadError<Down>> =
        cache.entry("m").get_or_load_optional(|| async { Ok(None) }).await;
    assert_eq!(loaded.unwrap(), None);
    let keyspace: KeyspaceBuilder<u64, u32> = cache.keyspace::<u64, u32>("user");
    drop(keyspace);
}

#[tokio::test]
async fn what_a_load_can_fail_with() {
    fn is_error<E: std::error::Error + Clone + Send + Sync + 'static>(_: &E) {}
    let cache = local().await;
    let failed = cache.get_or_load::<u32, Down, _, _>("k", || async { Err(Down) }).await.unwrap_err();
    is_error(&failed);
    assert_eq!(failed.to_string(), "the source is down");
    match failed {
        LoadError::Source(error) => assert_eq!(*error, Down),
        LoadError::TimedOut | LoadError::Panicked => unreachable!("it failed by itself"),
        other => panic!("{other}"),
    }
    let in_anyhow: anyhow::Result<u32> =
        async { Ok(*cache.get_or_load::<u32, Down, _, _>("k", || async { Err(Down) }).await?) }.await;
    assert!(in_anyhow.unwrap_err().downcast_ref::<LoadError<Down>>().is_some());
}

#[tokio::test]
async fn services() {
    let builder: CachingServiceBuilder = CachingService::builder()
        .namespace("shop")
        .local(LocalTier::builder().max_entries(10).max_bytes(1_000).build())
        .default_policy(Policy::new(MINUTE))
        .codec(Json)
        .isolated_ttl(MINUTE)
        .on_event(|event: &Event| drop(format!("{event:?}")));
    let cache: CachingService = builder.build().await.unwrap();
    let status: Status = cache.status().await;
    assert_eq!((status.tiers.len(), status.bus, status.queued_invalidations), (1, BusStatus::Absent, 0));
    let stats: Stats = cache.stats();
    assert_eq!(stats.tiers.len(), 1);
    let scoped: u32 = cache.clone().scope(async { CachingService::global().stats().tiers.len() as u32 }).await;
    assert_eq!(scoped, 1);
    let _ = CachingService::from_env;
    let installed: Result<(), Error> = cache.clone().install_global();
    installed.unwrap();
    cache.shutdown().await;
    let nothing: Error = CachingService::builder().build().await.unwrap_err();
    assert!(nothing.is_configuration());
}

#[test]
fn tiers() {
    assert!(RedisTier::new("redis://localhost").is_ok());
    assert!(RedisTier::new("http://localhost").is_err());
    drop(RedisTier::builder("redis://localhost"));
    #[cfg(feature = "cluster")]
    drop(RedisTier::cluster(["redis://localhost"]));
    assert!(Key::new("k").is_ok() && Pattern::new("k*").is_ok());
    fn is_tier<T: CacheTier>(_: &T) {}
    is_tier(&LocalTier::new(1));
    fn is_codec<T: Codec>(_: &T) {}
    is_codec(&Json);
    fn shows<T: Debug + Clone>(_: Option<T>) {}
    shows::<Entry>(None);
    shows::<Delivery>(None);
}

#[cached(key = "user:{id}", ttl = "5m", tags = ["users"])]
async fn find_user(id: u64) -> Result<String, Down> {
    Ok(format!("user {id}"))
}

#[cache_put(key = "user:{id}", value = |ret| ret.clone())]
async fn rename_user(id: u64, name: &str) -> Result<String, Down> {
    Ok(format!("{name} {id}"))
}

#[cache_invalidate(key = "user:{id}")]
async fn delete_user(id: u64) -> Result<(), Down> {
    if id == 0 { Err(Down) } else { Ok(()) }
}

fn is_send<F: Future + Send>(future: F) -> F {
    future
}

#[tokio::test]
async fn annotations() {
    local()
        .await
        .scope(async {
            assert_eq!(is_send(find_user(7)).await.unwrap(), "user 7");
            assert_eq!(is_send(rename_user(7, "Ada")).await.unwrap(), "Ada 7");
            assert_eq!(find_user(7).await.unwrap(), "Ada 7");
            is_send(delete_user(7)).await.unwrap();
            assert_eq!(find_user(7).await.unwrap(), "user 7");
        })
        .await;
}
