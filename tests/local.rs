//! The service with the near tier alone.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "local/refreshing.rs"]
mod refreshing;
mod support;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache_aside::clock::ManualClock;
use cache_aside::{CachingService, Delivery, LoadError, LocalTier, Policy};
use futures_util::FutureExt;
use support::{Gate, MINUTE, eventually, local_only};

async fn timed(clock: &ManualClock, policy: Policy) -> CachingService {
    let builder = CachingService::builder().local(LocalTier::new(100)).clock(clock.clone()).default_policy(policy);
    builder.build().await.unwrap()
}

#[tokio::test]
async fn what_is_set_is_read_until_it_is_invalidated() {
    let cache = local_only().await;
    assert_eq!(cache.get::<String>("k").await, None);
    let receipt = cache.set("k", "value".to_owned()).await;
    assert_eq!((receipt.removed, receipt.delivery), (0, Delivery::Local));
    assert_eq!(cache.get::<String>("k").await.as_deref().map(String::as_str), Some("value"));
    assert_eq!(cache.get::<u32>("k").await, None, "not a number");
    assert_eq!(cache.invalidate("k").await.removed, 1);
    assert_eq!(cache.invalidate("k").await.removed, 0);
    assert_eq!(cache.get::<String>("k").await, None);
}

#[tokio::test]
async fn values_expire_by_the_clock() {
    let clock = ManualClock::new();
    let cache = timed(&clock, Policy::new(MINUTE).jitter(0.0)).await;
    cache.set("a", 1_u32).await;
    cache.entry("b").ttl(MINUTE * 2).set(2_u32).await;
    cache.entry("c").local_ttl(MINUTE / 2).set(3_u32).await;
    clock.advance(MINUTE / 2);
    assert_eq!(cache.get_many::<u32>(&["a", "b", "c"]).await, [Some(Arc::new(1)), Some(Arc::new(2)), None]);
    clock.advance(MINUTE / 2);
    assert_eq!(cache.get_many::<u32>(&["a", "b", "c"]).await, [None, Some(Arc::new(2)), None]);
}

#[tokio::test]
async fn callers_of_a_cold_key_share_one_load() {
    let cache = local_only().await;
    let gate = Gate::default();
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (cache, gate) = (cache.clone(), gate.clone());
            tokio::spawn(async move {
                cache
                    .get_or_load("k", move || async move {
                        gate.pass().await;
                        Ok::<_, Infallible>(7_u32)
                    })
                    .await
            })
        })
        .collect();
    gate.reached().await;
    eventually("all callers wait", || async { cache.stats().tiers[0].misses == 100 }).await;
    gate.open();
    for caller in callers {
        assert_eq!(*caller.await.unwrap().unwrap(), 7);
    }
    let stats = cache.stats();
    assert_eq!((gate.runs(), stats.loads, stats.coalesced), (1, 1, 99));
}

#[tokio::test]
async fn an_error_reaches_every_coalesced_caller_and_frees_the_key() {
    let cache = local_only().await;
    let gate = Gate::default();
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let (cache, gate) = (cache.clone(), gate.clone());
            tokio::spawn(async move {
                let load = move || async move {
                    gate.pass().await;
                    Err::<u32, _>(std::io::Error::other("the source is down"))
                };
                cache.get_or_load("k", load).await
            })
        })
        .collect();
    gate.reached().await;
    eventually("all callers wait", || async { cache.stats().tiers[0].misses == 10 }).await;
    gate.open();
    for caller in callers {
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the source is down");
        assert!(matches!(error, LoadError::Source(_)));
    }
    assert_eq!(gate.runs(), 1);
    assert_eq!(*cache.get_or_load("k", || async { Ok::<_, Infallible>(1_u32) }).await.unwrap(), 1);
}

#[tokio::test]
async fn a_panic_reaches_every_coalesced_caller_and_frees_the_key() {
    let cache = local_only().await;
    let gate = Gate::default();
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let (cache, gate) = (cache.clone(), gate.clone());
            tokio::spawn(async move {
                let load = move || async move {
                    gate.pass().await;
                    if gate.runs() > 0 {
                        panic!("a bug in the loader");
                    }
                    Ok::<_, Infallible>(1_u32)
                };
                cache.get_or_load("k", load).await
            })
        })
        .collect();
    gate.reached().await;
    eventually("all callers wait", || async { cache.stats().tiers[0].misses == 10 }).await;
    gate.open();
    for caller in callers {
        assert!(matches!(caller.await.unwrap(), Err(LoadError::Panicked)));
    }
    assert_eq!(*cache.get_or_load("k", || async { Ok::<_, Infallible>(1_u32) }).await.unwrap(), 1);
    assert_eq!(cache.stats().load_failures, 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_nothing() {
    let cache = local_only().await;
    let gate = Gate::default();
    let first = {
        let (cache, gate) = (cache.clone(), gate.clone());
        tokio::spawn(async move {
            cache
                .get_or_load("k", move || async move {
                    gate.pass().await;
                    Ok::<_, Infallible>(7_u32)
                })
                .await
        })
    };
    gate.reached().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.open();
    eventually("the load has filled the key", || async { cache.get::<u32>("k").await.is_some() }).await;
    assert_eq!(gate.runs(), 1);
}

#[tokio::test]
async fn when_the_caller_of_a_borrowing_load_goes_away_another_takes_over() {
    let cache = local_only().await;
    let gate = Gate::default();
    let borrowed = String::from("borrowed");
    let (first_runs, second_runs) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut first = Box::pin(cache.entry("k").get_or_load_inline(|| async {
        first_runs.fetch_add(1, Ordering::SeqCst);
        gate.pass().await;
        Ok::<_, Infallible>(borrowed.clone())
    }));
    let mut second = Box::pin(cache.entry("k").get_or_load_inline(|| async {
        second_runs.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Infallible>(borrowed.clone())
    }));
    assert!(futures_util::poll!(&mut first).is_pending(), "it stands at the gate");
    assert!(futures_util::poll!(&mut second).is_pending(), "it waits for the first");
    drop(first);
    assert_eq!(*second.await.unwrap(), "borrowed");
    assert_eq!((first_runs.load(Ordering::SeqCst), second_runs.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn a_caller_that_is_not_polled_keeps_nobody_waiting() {
    let clock = ManualClock::new();
    let cache = timed(&clock, Policy::new(MINUTE)).await;
    let gate = Gate::default();
    let mut first = Box::pin(cache.entry("k").get_or_load_inline(|| async {
        gate.pass().await;
        Ok::<_, Infallible>("first".to_owned())
    }));
    assert!(futures_util::poll!(&mut first).is_pending(), "it stands at the gate");
    // As in a `select!` one of whose branches asks for the same key.
    let mut second =
        Box::pin(cache.entry("k").get_or_load_inline(|| async { Ok::<_, Infallible>("second".to_owned()) }));
    assert!(futures_util::poll!(&mut second).is_pending(), "it waits for the first");
    clock.advance(Duration::from_millis(500));
    gate.open();
    clock.advance(Duration::from_millis(500));
    assert!(futures_util::poll!(&mut second).is_pending(), "the first was woken a moment ago");
    clock.advance(Duration::from_secs(1));
    assert_eq!(*second.await.unwrap(), "second");
    assert_eq!(*first.await.unwrap(), "first");
}

#[tokio::test]
async fn a_loader_that_hangs_frees_its_key_after_the_load_timeout() {
    let clock = ManualClock::new();
    let cache = timed(&clock, Policy::new(MINUTE).load_timeout(Duration::from_secs(5))).await;
    let gate = Gate::default();
    let hung = {
        let (cache, gate) = (cache.clone(), gate.clone());
        tokio::spawn(async move {
            cache
                .get_or_load("k", move || async move {
                    gate.pass().await;
                    Ok::<_, Infallible>(1_u32)
                })
                .await
        })
    };
    gate.reached().await;
    eventually("the timeout is armed", || async { clock.sleepers() > 0 }).await;
    clock.advance(Duration::from_secs(5));
    assert!(matches!(hung.await.unwrap(), Err(LoadError::TimedOut)));
    assert_eq!(*cache.get_or_load("k", || async { Ok::<_, Infallible>(2_u32) }).await.unwrap(), 2);
}

#[tokio::test]
async fn a_load_that_an_invalidation_overtakes_is_not_stored_and_not_joined() {
    let cache = local_only().await;
    let gate = Gate::default();
    let old = {
        let (cache, gate) = (cache.clone(), gate.clone());
        tokio::spawn(async move {
            cache
                .get_or_load("k", move || async move {
                    gate.pass().await;
                    Ok::<_, Infallible>("old".to_owned())
                })
                .await
        })
    };
    gate.reached().await;
    cache.invalidate("k").await;
    let new = cache.get_or_load("k", || async { Ok::<_, Infallible>("new".to_owned()) }).await;
    assert_eq!(*new.unwrap(), "new", "a late caller does not join an old load");
    gate.open();
    assert_eq!(*old.await.unwrap().unwrap(), "old");
    assert_eq!(*cache.get::<String>("k").await.unwrap(), "new");
    assert_eq!(cache.stats().fenced_fills, 1);
}

#[tokio::test]
async fn patterns_and_clear_overtake_loads_as_well() {
    for clear in [false, true] {
        let cache = local_only().await;
        let gate = Gate::default();
        let old = {
            let (cache, gate) = (cache.clone(), gate.clone());
            tokio::spawn(async move {
                cache
                    .get_or_load("user:1", move || async move {
                        gate.pass().await;
                        Ok::<_, Infallible>(1_u32)
                    })
                    .await
            })
        };
        gate.reached().await;
        if clear {
            cache.clear().await;
        } else {
            cache.invalidate_pattern("user:*").await.unwrap();
        }
        gate.open();
        assert_eq!(*old.await.unwrap().unwrap(), 1);
        assert_eq!(cache.get::<u32>("user:1").await, None);
    }
}

#[tokio::test]
async fn a_pattern_removes_what_it_matches_and_nothing_else() {
    let cache = local_only().await;
    for n in 0..20 {
        cache.set(format!("user:{n}"), n).await;
    }
    cache.set("order:1", 1).await;
    assert_eq!(cache.invalidate_pattern("user:1?").await.unwrap().removed, 10);
    assert!(cache.get::<i32>("user:1").await.is_some() && cache.get::<i32>("user:10").await.is_none());
    let error = cache.invalidate_pattern("user:[").await.unwrap_err();
    assert!(error.is_invalid_pattern());
    assert_eq!(error.to_string(), "invalid pattern \"user:[\": a [ is not closed; write \\[ for a bracket");
    assert_eq!(cache.clear().await.removed, 11);
    assert!(cache.get::<i32>("order:1").await.is_none());
}

#[tokio::test]
async fn an_absence_is_remembered_only_with_a_negative_ttl() {
    let cache = local_only().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let load = || {
        let runs = Arc::clone(&runs);
        move || async move {
            runs.fetch_add(1, Ordering::SeqCst);
            Ok::<Option<u32>, Infallible>(None)
        }
    };
    for _ in 0..2 {
        assert_eq!(cache.entry("k").get_or_load_optional(load()).await.unwrap(), None);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    for _ in 0..3 {
        assert_eq!(cache.entry("k").negative_ttl(MINUTE).get_or_load_optional(load()).await.unwrap(), None);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert_eq!(cache.get::<u32>("k").await, None);
    assert_eq!(*cache.get_or_load("k", || async { Ok::<_, Infallible>(5_u32) }).await.unwrap(), 5);
}

#[tokio::test]
async fn another_schema_is_a_miss() {
    let cache = local_only().await;
    cache.set("k", 1_u32).await;
    assert_eq!(cache.entry("k").schema(2).get::<u32>().await, None);
    let value = cache.entry("k").schema(2).get_or_load(|| async { Ok::<_, Infallible>(2_u32) }).await.unwrap();
    assert_eq!(*value, 2);
    assert_eq!(*cache.entry("k").schema(2).get::<u32>().await.unwrap(), 2);
}

#[tokio::test]
async fn an_invalid_key_bypasses_the_cache_and_is_counted() {
    let cache = local_only().await;
    let long = "k".repeat(1_025);
    for key in ["", "a\nb", &long] {
        assert_eq!(cache.set(key, 1_u32).await.removed, 0);
        assert_eq!(cache.get::<u32>(key).await, None);
        assert_eq!(*cache.get_or_load(key, || async { Ok::<_, Infallible>(2_u32) }).await.unwrap(), 2);
        assert_eq!(cache.invalidate(key).await.removed, 0);
        let keys = [key];
        let batch = cache.get_or_load_many(&keys, |keys| async move {
            Ok::<_, Infallible>(keys.into_iter().map(|key| (key, 3_u32)).collect())
        });
        assert_eq!(batch.await.unwrap(), [Some(Arc::new(3))]);
    }
    assert_eq!(cache.stats().invalid_keys, 15);
    assert_eq!(cache.stats().tiers[0].entries, Some(0));
}

#[tokio::test]
async fn a_batch_loads_only_what_is_missing_each_key_once() {
    let cache = local_only().await;
    cache.set("a", 1_u32).await;
    let values = cache
        .get_or_load_many(&["a", "b", "b", "none", "a"], |keys: Vec<String>| async move {
            assert_eq!(keys, ["b", "none"]);
            Ok::<_, Infallible>(HashMap::from([("b".to_owned(), 2_u32), ("unasked".to_owned(), 9)]))
        })
        .await
        .unwrap();
    let values: Vec<Option<u32>> = values.into_iter().map(|value| value.map(|value| *value)).collect();
    assert_eq!(values, [Some(1), Some(2), Some(2), None, Some(1)]);
    assert_eq!(*cache.get::<u32>("b").await.unwrap(), 2);
    assert_eq!(cache.get::<u32>("unasked").await, None);
    let failed = cache.get_or_load_many::<u32, _, _, _>(&["z"], |_| async { Err("source down") }).await;
    assert_eq!(failed.unwrap_err().to_string(), "source down");
}

#[tokio::test]
async fn refresh_loads_anew() {
    let cache = local_only().await;
    cache.set("k", 1_u32).await;
    let value = cache.entry("k").refresh(|| async { Ok::<_, Infallible>(2_u32) }).await.unwrap();
    assert_eq!((*value, *cache.get::<u32>("k").await.unwrap()), (2, 2));
}

#[tokio::test]
async fn the_scope_takes_the_place_of_the_global_service_also_within_loads() {
    let cache = local_only().await;
    let seen = cache
        .clone()
        .scope(async {
            let load = || async {
                CachingService::global().set("inner", 1_u32).await;
                Ok::<_, Infallible>(2_u32)
            };
            *CachingService::global().get_or_load("outer", load).await.unwrap()
        })
        .await;
    assert_eq!(seen, 2);
    assert_eq!(*cache.get::<u32>("inner").await.unwrap(), 1);
    assert_eq!(*cache.get::<u32>("outer").await.unwrap(), 2);
}

#[tokio::test]
async fn a_service_without_tiers_or_with_a_bad_setting_is_not_built() {
    let error = CachingService::builder().build().await.unwrap_err();
    assert!(error.is_configuration() && error.to_string().starts_with("no tier: give the builder at least one"));
    let local = || CachingService::builder().local(LocalTier::new(1));
    for (builder, setting) in [
        (local().namespace("a b"), "namespace"),
        (local().default_policy(Policy::new(Duration::ZERO)), "ttl"),
        (local().default_policy(Policy::new(MINUTE).local_ttl(MINUTE * 2)), "local_ttl"),
        (local().lease_ttl(Duration::ZERO), "lease_ttl"),
        (local().heartbeat_timeout(Duration::from_millis(1)), "heartbeat_timeout"),
        (local().heartbeat_timeout(Duration::MAX), "heartbeat_timeout"),
        (local().tier_timeout(Duration::MAX), "tier_timeout"),
        (local().breaker_threshold(0), "breaker_threshold"),
        (local().queue_capacity(0), "queue_capacity"),
        (local().tier(LocalTier::new(1)), "two tiers are named \"local\""),
    ] {
        let error = builder.build().await.unwrap_err();
        assert!(error.is_configuration() && error.to_string().contains(setting), "{error}");
    }
}

#[tokio::test]
async fn status_and_stats_name_the_tier() {
    let cache = local_only().await;
    cache.set("k", 1_u32).await;
    cache.get::<u32>("k").await;
    cache.get::<u32>("other").await;
    let status = cache.status().await;
    assert_eq!((status.tiers.len(), status.tiers[0].name, status.queued_invalidations), (1, "local", 0));
    assert_eq!(status.bus, cache_aside::BusStatus::Absent);
    let stats = cache.stats();
    assert_eq!((stats.tiers[0].hits, stats.tiers[0].misses, stats.tiers[0].entries), (1, 1, Some(1)));
}

#[tokio::test]
async fn a_service_that_was_shut_down_still_answers_its_clones() {
    let cache = local_only().await;
    let clone = cache.clone();
    cache.shutdown().await;
    assert_eq!(*clone.get_or_load("k", || async { Ok::<_, Infallible>(1_u32) }).await.unwrap(), 1);
}

/// As far as nothing is loaded: a load runs in a task.
#[test]
fn it_works_without_a_runtime() {
    let build = CachingService::builder().local(LocalTier::new(10)).build();
    let cache = build.now_or_never().expect("nothing is waited for").unwrap();
    cache.set("k", 1_u32).now_or_never().unwrap();
    assert_eq!(cache.get::<u32>("k").now_or_never().unwrap().as_deref(), Some(&1));
    assert_eq!(cache.clear().now_or_never().unwrap().removed, 1);
    assert_eq!(cache.get::<u32>("k").now_or_never().unwrap(), None);
}

#[tokio::test]
async fn an_absence_is_no_hit_of_a_caller_that_takes_none() {
    let cache = local_only().await;
    let policy = || Policy::new(MINUTE).negative_ttl(MINUTE);
    let none = || async { Ok::<Option<u32>, Infallible>(None) };
    let counts = || cache.stats().tiers.first().map(|near| (near.hits, near.misses)).unwrap();
    for hits in 0..2 {
        assert_eq!(cache.entry("k").policy(policy()).get_or_load_optional(none).await.unwrap(), None);
        assert_eq!(counts(), (hits, 1));
    }
    assert_eq!(*cache.get_or_load("k", || async { Ok::<_, Infallible>(1_u32) }).await.unwrap(), 1);
    assert_eq!(counts(), (1, 2));
}
