//! What is published to the `metrics` facade.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use cache_aside::CachingService;
use cache_aside::clock::ManualClock;
use cache_testing::RedisServer;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use super::support::{eventually, hears_invalidations, node_builder};

/// Every metric, as `name{label=value,..}`.
fn published(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let metrics = snapshotter.snapshot().into_vec().into_iter();
    let shown = metrics.map(|(key, _, _, value)| {
        let labels = key.key().labels().map(|label| format!("{}={}", label.key(), label.value()));
        let labels = labels.collect::<Vec<_>>().join(",");
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(level) => level.into_inner(),
            DebugValue::Histogram(values) => values.len() as f64,
        };
        (format!("{}{{{labels}}}", key.key().name()), value)
    });
    shown.collect()
}

async fn work(cache: &CachingService) {
    let load = || async { cache.get_or_load("k", || async { Ok::<_, Infallible>(1_u32) }).await };
    load().await.unwrap();
    load().await.unwrap();
    let users = cache.keyspace::<u32, u32>("user").loader(|id| async move { Ok::<_, Infallible>(id) }).build().unwrap();
    users.get_many(&[1, 2]).await.unwrap();
    users.get(&1).await.unwrap();
    cache.get_or_load("f", || async { Err::<u32, _>(std::io::Error::other("no")) }).await.unwrap_err();
}

#[tokio::test]
async fn counters_gauges_and_load_times_are_published() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let redis = RedisServer::start();
    let cache = node_builder(&redis.url()).namespace("shop").build().await.unwrap();
    hears_invalidations(&cache).await;
    work(&cache).await;
    let prices = cache.keyspace::<u32, u32>("price").build().unwrap();
    prices.write_behind().build().unwrap().put(&3, 3).await.unwrap();
    cache.publish_metrics();
    let up = published(&snapshotter);
    for (name, expected) in [
        ("cache_aside_tier_hits_total{namespace=shop,tier=local}", 2.0),
        ("cache_aside_tier_misses_total{namespace=shop,tier=local}", 4.0),
        ("cache_aside_tier_misses_total{namespace=shop,tier=redis}", 4.0),
        ("cache_aside_keyspace_hits_total{namespace=shop,keyspace=user,tier=local}", 1.0),
        ("cache_aside_keyspace_misses_total{namespace=shop,keyspace=user,tier=local}", 2.0),
        ("cache_aside_keyspace_hits_total{namespace=shop,keyspace=user,tier=redis}", 0.0),
        ("cache_aside_keyspace_misses_total{namespace=shop,keyspace=user,tier=redis}", 2.0),
        ("cache_aside_tier_entries{namespace=shop,tier=local}", 4.0),
        ("cache_aside_write_behind_accepted_total{namespace=shop,keyspace=price}", 1.0),
        ("cache_aside_write_behind_dead_total{namespace=shop,keyspace=price}", 0.0),
        ("cache_aside_loads_total{namespace=shop}", 3.0),
        ("cache_aside_load_failures_total{namespace=shop}", 1.0),
        ("cache_aside_fenced_fills_total{namespace=shop}", 0.0),
        ("cache_aside_load_seconds{namespace=shop,outcome=ok}", 2.0),
        ("cache_aside_load_seconds{namespace=shop,outcome=error}", 1.0),
        ("cache_aside_bus_healthy{namespace=shop}", 1.0),
        ("cache_aside_breaker_open{namespace=shop,tier=redis}", 0.0),
        ("cache_aside_queued_invalidations{namespace=shop,tier=redis}", 0.0),
    ] {
        assert_eq!(up.get(name), Some(&expected), "{name} in {up:#?}");
    }
    let documented = include_str!("../../docs/observability.md");
    for name in up.keys().map(|name| name.split('{').next().unwrap()) {
        let field = name.trim_start_matches("cache_aside_").trim_end_matches("_total");
        let named = [name, field].iter().any(|name| documented.contains(&format!("`{name}`")));
        assert!(named, "{name} is not documented");
    }

    redis.kill();
    eventually("the breaker is open and the bus is gone", || async {
        cache.invalidate("k").await;
        cache.publish_metrics();
        let down = published(&snapshotter);
        down["cache_aside_breaker_open{namespace=shop,tier=redis}"] == 1.0
            && down["cache_aside_queued_invalidations{namespace=shop,tier=redis}"] == 1.0
            && down["cache_aside_bus_healthy{namespace=shop}"] == 0.0
    })
    .await;
}

#[tokio::test]
async fn they_are_published_at_every_interval_without_being_asked() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let clock = ManualClock::new();
    let builder = CachingService::builder().local(cache_aside::LocalTier::new(10)).clock(clock.clone());
    let cache = builder.metrics_interval(Duration::from_secs(10)).build().await.unwrap();
    work(&cache).await;
    let hits = "cache_aside_tier_hits_total{namespace=cache,tier=local}";
    eventually("the time is up", || async {
        clock.advance(Duration::from_secs(10));
        tokio::task::yield_now().await;
        published(&snapshotter).get(hits) == Some(&2.0)
    })
    .await;
    cache.get::<u32>("k").await;
    cache.shutdown().await;
    assert_eq!(published(&snapshotter).get(hits), Some(&3.0), "the last figures are not lost");
}
