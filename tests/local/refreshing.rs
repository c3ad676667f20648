//! Loading a value anew before its callers need it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_aside::clock::{Clock, ManualClock};
use cache_aside::{Answer, CachingService, EntryBuilder, LoadError, Policy};
use futures_util::FutureExt;

use super::support::{Gate, eventually};
use super::timed;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn policy() -> Policy {
    Policy::new(MINUTE).jitter(0.0)
}

/// Hits a key once in `every` for `cycles` of its time to live, with a loader that takes `cost`. Tells how many loads there
/// were, and how many callers had to wait.
async fn demand(beta: f64, every: Duration, cost: Duration, cycles: u32) -> (u64, u64) {
    let clock = ManualClock::new();
    let cache = timed(&clock, policy().refresh_ahead(beta)).await;
    let (loads, mut waited) = (Arc::new(AtomicU64::new(0)), 0);
    let load = || {
        let (clock, loads) = (clock.clone(), Arc::clone(&loads));
        move || async move {
            loads.fetch_add(1, Ordering::SeqCst);
            clock.sleep(cost).await;
            Ok::<_, &str>(7_u32)
        }
    };
    let began = clock.now();
    while clock.now().since(began) < MINUTE * cycles {
        let mut call = Box::pin(cache.get_or_load("k", load()).map(drop));
        if futures_util::poll!(&mut call).is_pending() {
            waited += 1;
            // Whoever waits does so for the whole load, or what is left of it.
            while futures_util::poll!(&mut call).is_pending() {
                pass(&clock, every).await;
            }
        }
        pass(&clock, every).await;
    }
    (loads.load(Ordering::SeqCst), waited)
}

/// Lets time pass, and tasks run that wait for it.
async fn pass(clock: &ManualClock, time: Duration) {
    clock.advance(time);
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}

/// With hits at a rate `r`, a load that takes `c`, and `b` for beta, a refresh comes later than `s` before the end with the
/// probability `exp(-r b c exp(-s / (b c)))`, by adding up the chance that XFetch gives each hit. So it comes, on average,
/// `b c (ln(r b c) + 0.5772)` before the end.
fn predicted_loads(beta: f64, every: Duration, cost: Duration, cycles: u32) -> f64 {
    const EULER: f64 = 0.577_215_664_9;
    let scale = beta * cost.as_secs_f64();
    let ahead = scale * ((scale / every.as_secs_f64()).ln() + EULER);
    let cycle = MINUTE.as_secs_f64() - ahead + cost.as_secs_f64();
    f64::from(cycles) * MINUTE.as_secs_f64() / cycle
}

#[tokio::test]
async fn no_caller_of_a_hot_key_waits_and_early_loads_are_as_many_as_predicted() {
    let (every, cost, cycles) = (SECOND / 20, SECOND, 40);
    for beta in [1.0, 2.0] {
        let (loads, waited) = demand(beta, every, cost, cycles).await;
        assert_eq!(waited, 1, "the first caller alone, where beta is {beta}");
        let predicted = predicted_loads(beta, every, cost, cycles);
        eprintln!(
            "beta {beta}: {loads} loads in {cycles} times to live, {predicted:.1} predicted; {waited} caller waited"
        );
        let off = (loads as f64 - predicted).abs() / predicted;
        // One load is a fortieth, and their mean is off by less than a hundredth.
        assert!(off < 0.06, "beta {beta}: {loads} loads, not about {predicted:.1}");
    }
    let (loads, waited) = demand(0.0, every, cost, 5).await;
    assert!(loads <= 5 && waited + 1 >= loads, "without it callers wait for each load: {waited} of {loads}");
}

type Value = Result<Arc<String>, LoadError<&'static str>>;

fn entry(cache: &CachingService) -> EntryBuilder<'_> {
    cache.entry("k")
}

async fn old(cache: &CachingService) {
    let answer = || async { Ok::<_, &str>(Answer::value("old".to_owned()).etag("\"1\"").tags(["t"])) };
    entry(cache).load_with(move |_| answer()).await.unwrap();
}

#[tokio::test]
async fn a_loader_is_told_of_the_value_it_replaces() {
    let clock = ManualClock::new();
    let cache = timed(&clock, policy().stale_if_error(MINUTE * 10)).await;
    let first: Value = entry(&cache)
        .load_with(|context| async move {
            assert_eq!((context.stale(), context.age(), context.etag()), (None, None, None));
            Ok(Answer::value("old".to_owned()).etag("\"1\""))
        })
        .await;
    assert_eq!(*first.unwrap(), "old");
    clock.advance(MINUTE * 2);
    let second: Value = entry(&cache)
        .load_with(|context| async move {
            assert_eq!(context.stale().as_deref().map(String::as_str), Some("old"));
            assert_eq!((context.age(), context.etag()), (Some(MINUTE * 2), Some("\"1\"")));
            Ok(Answer::value("new".to_owned()))
        })
        .await;
    assert_eq!(*second.unwrap(), "new");
    clock.advance(MINUTE * 2);
    let third: Value = entry(&cache)
        .load_with(|context| async move {
            assert_eq!(context.etag(), None, "the new value has none");
            Ok(context.stale().map(|value| Answer::value(String::clone(&value))).unwrap())
        })
        .await;
    assert_eq!(*third.unwrap(), "new");
}

#[tokio::test]
async fn a_value_that_has_not_changed_lives_on_with_its_etag_and_its_tags() {
    let clock = ManualClock::new();
    let cache = timed(&clock, policy().stale_if_error(MINUTE * 10)).await;
    old(&cache).await;
    for _ in 0..3 {
        clock.advance(MINUTE * 2);
        let kept: Value = entry(&cache)
            .load_with(|context| async move {
                assert_eq!(context.etag(), Some("\"1\""));
                Ok(context.not_modified())
            })
            .await;
        assert_eq!(*kept.unwrap(), "old");
        assert_eq!(cache.get::<String>("k").await.as_deref().map(String::as_str), Some("old"), "fresh again");
    }
    cache.invalidate_tags(["t"]).await;
    assert_eq!(cache.get::<String>("k").await, None);
    let nothing: Value = entry(&cache).load_with(|context| async move { Ok(context.not_modified()) }).await;
    assert!(matches!(nothing, Err(LoadError::Panicked)), "there is nothing that could have changed");
}

#[tokio::test]
async fn what_was_loaded_says_how_it_is_kept() {
    let clock = ManualClock::new();
    let cache = timed(&clock, policy()).await;
    let value = |answer: fn(Answer<u32>) -> Answer<u32>| {
        let cache = &cache;
        async move { entry(cache).load_with(move |_| async move { Ok::<_, &str>(answer(Answer::value(7))) }).await }
    };
    assert_eq!(*value(Answer::do_not_cache).await.unwrap(), 7);
    assert_eq!(cache.get::<u32>("k").await, None);
    assert_eq!(*value(|answer| answer.ttl(Duration::ZERO)).await.unwrap(), 7);
    assert_eq!(cache.get::<u32>("k").await, None);
    value(|answer| answer.ttl(MINUTE * 3)).await.unwrap();
    clock.advance(MINUTE * 2);
    assert!(cache.get::<u32>("k").await.is_some());
    clock.advance(MINUTE);
    assert_eq!(cache.get::<u32>("k").await, None);
    value(|answer| answer.tags(["a"])).await.unwrap();
    cache.invalidate_tags(["a"]).await;
    assert_eq!(cache.get::<u32>("k").await, None);
    let none = entry(&cache).load_with_optional(|_| async { Ok::<Option<Answer<u32>>, &str>(None) }).await;
    assert_eq!(none.unwrap(), None);
}

/// The tag was not known when the load began.
#[tokio::test]
async fn an_answer_whose_tag_was_invalidated_while_it_was_loaded_is_not_stored() {
    let cache = timed(&ManualClock::new(), policy()).await;
    let gate = Gate::default();
    let call = tokio::spawn({
        let (cache, gate) = (cache.clone(), gate.clone());
        async move {
            let load = move |_| async move {
                gate.pass().await;
                Ok::<_, &str>(Answer::value(7_u32).tags(["a"]))
            };
            cache.entry("k").load_with(load).await
        }
    });
    gate.reached().await;
    cache.invalidate_tags(["a"]).await;
    gate.open();
    assert_eq!(*call.await.unwrap().unwrap(), 7);
    assert_eq!((cache.get::<u32>("k").await, cache.stats().fenced_fills), (None, 1));
}

#[tokio::test]
async fn a_source_that_has_no_value_any_more_ends_the_stale_one() {
    let clock = ManualClock::new();
    let cache = timed(&clock, policy().stale_if_error(MINUTE * 10)).await;
    old(&cache).await;
    clock.advance(MINUTE * 2);
    let gone = entry(&cache).get_or_load_optional(|| async { Ok::<Option<String>, &str>(None) }).await;
    assert_eq!(gone.unwrap(), None);
    let failed = entry(&cache).get_or_load(|| async { Err::<String, _>("down") }).await;
    assert!(failed.is_err(), "{failed:?}");
}

#[tokio::test]
async fn a_caller_waits_for_a_slow_source_no_longer_than_its_soft_timeout_and_the_load_goes_on() {
    let clock = ManualClock::new();
    let cache = timed(&clock, policy().stale_if_error(MINUTE * 10).soft_timeout(SECOND)).await;
    old(&cache).await;
    clock.advance(MINUTE * 2);
    let gate = Gate::default();
    let call = |cache: CachingService| {
        let gate = gate.clone();
        let load = move || async move {
            gate.pass().await;
            Ok::<_, &str>("new".to_owned())
        };
        tokio::spawn(async move { cache.entry("k").get_or_load(load).await })
    };
    let (first, second) = (call(cache.clone()), call(cache.clone()));
    gate.reached().await;
    // The two callers, the load, what the second looks after its leader by, and what publishes metrics where that is built in.
    let waiting = if cfg!(feature = "metrics") { 5 } else { 4 };
    eventually("both wait", || async { clock.sleepers() == waiting }).await;
    clock.advance(SECOND);
    assert_eq!(*first.await.unwrap().unwrap(), "old");
    assert_eq!(*second.await.unwrap().unwrap(), "old");
    assert_eq!(cache.stats().stale_served, 2);
    gate.open();
    eventually("the load is stored", || async { cache.get::<String>("k").await.is_some() }).await;
    assert_eq!((cache.stats().loads, gate.runs()), (2, 1));
}

/// It has nowhere to go on, and no caller but its own.
#[tokio::test]
async fn a_loader_that_borrows_is_waited_for_and_falls_back_all_the_same() {
    let clock = ManualClock::new();
    let policy = policy().stale_while_revalidate(MINUTE * 5).stale_if_error(MINUTE * 10).refresh_ahead(1e6);
    let cache = timed(&clock, policy.error_throttle(SECOND)).await;
    old(&cache).await;
    let name = "new".to_owned();
    let call = |answer: Result<&'static str, &'static str>| {
        let (cache, name) = (&cache, &name);
        async move {
            let load = || async { answer.map(|_| name.clone()) };
            cache.entry("k").get_or_load_inline(load).await.map(|value| String::clone(&value))
        }
    };
    assert_eq!(call(Ok("new")).await.unwrap(), "old", "it never loads early");
    clock.advance(MINUTE * 2);
    assert_eq!(call(Err("down")).await.unwrap(), "old");
    assert_eq!(call(Ok("new")).await.unwrap(), "old", "not before the throttle has passed");
    clock.advance(SECOND);
    assert_eq!(call(Ok("new")).await.unwrap(), "new", "the caller loads, and waits for it");
    let stats = cache.stats();
    assert_eq!((stats.stale_served, stats.refreshes, stats.refresh_failures, stats.throttled), (2, 2, 1, 1));
}

/// The settings of a call are not checked: no read fails for them.
#[tokio::test]
async fn a_call_whose_policy_contradicts_itself_is_made_nevertheless() {
    let clock = ManualClock::new();
    let cache = timed(&clock, policy()).await;
    for odd in [
        entry(&cache).soft_timeout(SECOND),
        entry(&cache).refresh_ahead(f64::NAN),
        entry(&cache).refresh_ahead(-1.0),
        entry(&cache).refresh_ahead(f64::INFINITY),
        entry(&cache).refresh_ahead(f64::MAX),
        entry(&cache).error_throttle(MINUTE * 100),
        entry(&cache).stale_if_error(Duration::MAX).stale_while_revalidate(Duration::MAX),
        entry(&cache).ttl(Duration::MAX).stale_if_error(Duration::MAX).jitter(0.5),
    ] {
        for age in [Duration::ZERO, SECOND, MINUTE] {
            clock.advance(age);
            let value = odd.clone().get_or_load(|| async { Ok::<_, &str>(7_u32) }).await;
            assert_eq!(*value.unwrap(), 7);
        }
        cache.invalidate("k").await;
    }
}

#[tokio::test]
async fn batches_leave_a_source_alone_that_has_just_failed() {
    let clock = ManualClock::new();
    let cache = timed(&clock, policy().stale_if_error(MINUTE * 10).error_throttle(SECOND)).await;
    cache.set("k", "old".to_owned()).await;
    clock.advance(MINUTE * 2);
    let loads = Arc::new(AtomicU64::new(0));
    let read = async |keys: &[&str]| {
        let loads = Arc::clone(&loads);
        let load = move |_: Vec<String>| async move {
            loads.fetch_add(1, Ordering::SeqCst);
            Err::<std::collections::HashMap<String, String>, _>("down")
        };
        cache.get_or_load_many(keys, load).await
    };
    for expected in [1, 1, 1] {
        assert_eq!(read(&["k"]).await.unwrap()[0].as_deref().map(String::as_str), Some("old"));
        assert_eq!(loads.load(Ordering::SeqCst), expected);
    }
    assert_eq!((cache.stats().throttled, cache.stats().stale_served), (2, 3));
    assert!(read(&["k", "other"]).await.is_err(), "there is nothing to serve for the other");
    assert_eq!(loads.load(Ordering::SeqCst), 2);
    clock.advance(SECOND);
    assert_eq!(read(&["k"]).await.unwrap()[0].as_deref().map(String::as_str), Some("old"));
    assert_eq!(loads.load(Ordering::SeqCst), 3);
}

/// What has failed is forgotten when there is something newer than what it was to replace.
#[tokio::test]
async fn a_throttle_ends_with_the_next_load_or_set() {
    for how in ["load", "batch", "set"] {
        let clock = ManualClock::new();
        let cache = timed(&clock, policy().stale_if_error(MINUTE * 60).error_throttle(MINUTE * 30)).await;
        let load = |answer: Result<&'static str, &'static str>| {
            let cache = &cache;
            async move { entry(cache).get_or_load(move || async move { answer.map(str::to_owned) }).await.unwrap() }
        };
        old(&cache).await;
        clock.advance(MINUTE * 2);
        assert_eq!([load(Err("down")).await.as_str(), load(Ok("new")).await.as_str()], ["old", "old"], "{how}");
        match how {
            "load" => {
                cache.invalidate("k").await;
                load(Ok("new")).await;
            }
            "batch" => {
                cache.invalidate("k").await;
                let load = |_| async { Ok::<_, &str>(HashMap::from([("k".to_owned(), "new".to_owned())])) };
                cache.get_or_load_many(&["k"], load).await.unwrap();
            }
            _ => drop(cache.set("k", "new".to_owned()).await),
        }
        clock.advance(MINUTE * 2);
        assert_eq!(*load(Ok("newest")).await, "newest", "{how}");
    }
}
