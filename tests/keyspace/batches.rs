//! Batches take part in the flights of their keys: every order is forced by gates.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_aside::clock::ManualClock;
use cache_aside::{CachingService, Keyspace, LoadError, LoadedBy, LocalTier, Policy};
use cache_testing::RedisServer;
use tokio::task::JoinHandle;

use crate::support::{Gate, MINUTE, eventually, local_only, near, node};

type Space = Keyspace<u64, String, LoadedBy<String>>;

type Values = Vec<Option<Arc<String>>>;

/// A keyspace whose loaders stand at gates, and note what they were asked for.
struct Setting {
    space: Space,
    one: Gate,
    many: Gate,
    asked: Arc<Mutex<Vec<Vec<u64>>>>,
}

impl Setting {
    fn new(cache: &CachingService, policy: Policy) -> Self {
        let (one, many, asked) = (Gate::default(), Gate::default(), Arc::new(Mutex::new(Vec::new())));
        let (at_one, at_many, log) = (one.clone(), many.clone(), Arc::clone(&asked));
        let space = cache
            .keyspace::<u64, String>("k")
            .policy(policy)
            .loader(move |key: u64| {
                let gate = at_one.clone();
                async move {
                    gate.pass().await;
                    if key == 0 { Err("failed".to_owned()) } else { Ok(format!("one {key}")) }
                }
            })
            .batch_loader(move |keys: Vec<u64>| {
                log.lock().unwrap().push(keys.clone());
                let gate = at_many.clone();
                async move {
                    gate.pass().await;
                    assert!(!keys.contains(&666), "a panic that is asked for");
                    if keys.contains(&0) {
                        return Err("failed".to_owned());
                    }
                    let known = keys.into_iter().filter(|key| *key < 1_000);
                    Ok(known.map(|key| (key, format!("many {key}"))).collect::<HashMap<_, _>>())
                }
            })
            .build()
            .unwrap();
        Self { space, one, many, asked }
    }

    fn get(&self, key: u64) -> JoinHandle<Result<Option<Arc<String>>, LoadError<String>>> {
        let space = self.space.clone();
        tokio::spawn(async move { space.get(&key).await })
    }

    fn get_many(&self, keys: &[u64]) -> JoinHandle<Result<Values, LoadError<String>>> {
        let (space, keys) = (self.space.clone(), keys.to_vec());
        tokio::spawn(async move { space.get_many(&keys).await })
    }

    fn asked(&self) -> Vec<Vec<u64>> {
        self.asked.lock().unwrap().clone()
    }
}

fn shown(values: Values) -> Vec<String> {
    values.into_iter().map(|value| value.map_or_else(|| "-".to_owned(), |value| String::clone(&value))).collect()
}

async fn local_setting() -> Setting {
    Setting::new(&local_only().await, Policy::new(MINUTE))
}

/// Until everything that can go on without a gate has.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_batch_does_not_load_what_a_single_caller_is_loading() {
    let setting = local_setting().await;
    let single = setting.get(1);
    setting.one.reached().await;
    let batch = setting.get_many(&[1, 2]);
    setting.many.reached().await;
    assert_eq!(setting.asked(), [[2]]);
    setting.many.open();
    // What the batch leads is there for others although the batch itself still waits.
    assert_eq!(shown(vec![setting.space.get(&2).await.unwrap()]), ["many 2"]);
    setting.one.open();
    assert_eq!(shown(batch.await.unwrap().unwrap()), ["one 1", "many 2"]);
    assert_eq!(shown(vec![single.await.unwrap().unwrap()]), ["one 1"]);
    assert_eq!((setting.one.runs(), setting.many.runs()), (1, 1));
}

#[tokio::test]
async fn a_single_caller_does_not_load_what_a_batch_is_loading() {
    let setting = local_setting().await;
    let batch = setting.get_many(&[1, 2]);
    setting.many.reached().await;
    let single = setting.get(1);
    settle().await;
    setting.many.open();
    assert_eq!(shown(vec![single.await.unwrap().unwrap()]), ["many 1"]);
    assert_eq!(shown(batch.await.unwrap().unwrap()), ["many 1", "many 2"]);
    assert_eq!(setting.one.runs(), 0);
}

#[tokio::test]
async fn batches_that_want_each_others_keys_do_not_stand_still() {
    let cache = local_only().await;
    let (gates, log) = ([Gate::default(), Gate::default()], Arc::new(Mutex::new(Vec::new())));
    let batch = |at: usize, keys: [&'static str; 2]| {
        let (cache, gate, log) = (cache.clone(), gates[at].clone(), Arc::clone(&log));
        tokio::spawn(async move {
            let load = move |missing: Vec<String>| async move {
                log.lock().unwrap().push(missing.clone());
                gate.pass().await;
                Ok::<_, Infallible>(missing.into_iter().map(|key| (key, at)).collect::<HashMap<_, _>>())
            };
            cache.get_or_load_many(&keys, load).await.unwrap()
        })
    };
    // The first leads a and b; the second leads c and waits for b; a third leads nothing.
    let first = batch(0, ["a", "b"]);
    gates[0].reached().await;
    let second = batch(1, ["b", "c"]);
    gates[1].reached().await;
    let third = batch(1, ["c", "a"]);
    settle().await;
    gates[1].open();
    settle().await;
    gates[0].open();
    let value = |at| Some(Arc::new(at));
    assert_eq!(first.await.unwrap(), [value(0), value(0)]);
    assert_eq!(second.await.unwrap(), [value(0), value(1)]);
    assert_eq!(third.await.unwrap(), [value(1), value(0)]);
    assert_eq!(*log.lock().unwrap(), [vec!["a", "b"], vec!["c"]]);
}

#[tokio::test]
async fn who_waits_for_a_key_of_a_batch_that_fails_gets_its_error() {
    let setting = local_setting().await;
    let batch = setting.get_many(&[0, 1]);
    setting.many.reached().await;
    let single = setting.get(1);
    let other = setting.get_many(&[1]);
    settle().await;
    setting.many.open();
    assert_eq!(batch.await.unwrap().unwrap_err().to_string(), "failed");
    assert_eq!(single.await.unwrap().unwrap_err().to_string(), "failed");
    assert_eq!(other.await.unwrap().unwrap_err().to_string(), "failed");
    assert_eq!(setting.one.runs(), 0);
    // Nobody waits for it any more.
    let again = setting.get(1);
    setting.one.reached().await;
    setting.one.open();
    assert_eq!(shown(vec![again.await.unwrap().unwrap()]), ["one 1"]);
}

#[tokio::test]
async fn who_waits_for_a_batch_takes_the_stale_value_when_its_patience_ends() {
    let clock = ManualClock::new();
    let policy = Policy::new(MINUTE).jitter(0.0).load_timeout(MINUTE * 1_000).stale_if_error(MINUTE * 10_000);
    let policy = policy.soft_timeout(MINUTE);
    let cache = CachingService::builder().local(LocalTier::new(10)).clock(clock.clone()).build().await.unwrap();
    let setting = Setting::new(&cache, policy);
    setting.space.set(&1, "old".to_owned()).await;
    clock.advance(MINUTE * 2);
    let batch = setting.get_many(&[1]);
    setting.many.reached().await;
    let single = setting.get(1);
    eventually("its patience has ended", || async {
        clock.advance(MINUTE);
        single.is_finished()
    })
    .await;
    assert_eq!(shown(vec![single.await.unwrap().unwrap()]), ["old"]);
    assert!(!batch.is_finished(), "its load goes on");
    setting.many.open();
    assert_eq!(shown(batch.await.unwrap().unwrap()), ["many 1"]);
    assert_eq!((cache.stats().refreshes, cache.stats().refresh_failures), (1, 0));
}

#[tokio::test]
async fn a_batch_that_panics_or_times_out_frees_its_keys() {
    let setting = local_setting().await;
    let batch = setting.get_many(&[666, 1]);
    setting.many.reached().await;
    let single = setting.get(1);
    settle().await;
    setting.many.open();
    assert!(matches!(batch.await.unwrap(), Err(LoadError::Panicked)));
    assert!(matches!(single.await.unwrap(), Err(LoadError::Panicked)));

    let hasty = Policy::new(MINUTE).load_timeout(Duration::from_millis(5));
    let setting = Setting::new(&local_only().await, hasty);
    let batch = setting.get_many(&[1, 2]);
    setting.many.reached().await;
    let single = setting.get(2);
    assert!(matches!(batch.await.unwrap(), Err(LoadError::TimedOut)));
    // It joined the batch, or came after it and timed out by itself.
    assert!(matches!(single.await.unwrap(), Err(LoadError::TimedOut)));
}

#[tokio::test]
async fn a_batch_that_waits_for_a_load_that_fails_gets_its_error_and_keeps_its_own_values() {
    let setting = local_setting().await;
    let single = setting.get(0);
    setting.one.reached().await;
    let batch = setting.get_many(&[0, 1]);
    setting.many.reached().await;
    setting.many.open();
    settle().await;
    setting.one.open();
    assert_eq!(single.await.unwrap().unwrap_err().to_string(), "failed");
    assert_eq!(batch.await.unwrap().unwrap_err().to_string(), "failed");
    assert_eq!(shown(vec![setting.space.get_cached(&1).await]), ["many 1"]);
}

#[tokio::test]
async fn a_batch_loads_what_a_caller_that_went_away_was_loading() {
    let (setting, cache) = (local_setting().await, local_only().await);
    drop(setting);
    let setting = Setting::new(&cache, Policy::new(MINUTE));
    let gate = Gate::default();
    let (inline, at_gate) = (cache.clone(), gate.clone());
    let inline = tokio::spawn(async move {
        let load = || async {
            at_gate.pass().await;
            Ok::<_, String>("inline".to_owned())
        };
        inline.entry("k:1").get_or_load_inline(load).await
    });
    gate.reached().await;
    let batch = setting.get_many(&[1, 2]);
    setting.many.reached().await;
    setting.many.open();
    settle().await;
    inline.abort();
    setting.many.reached().await;
    setting.many.open();
    assert_eq!(shown(batch.await.unwrap().unwrap()), ["many 1", "many 2"]);
    assert_eq!(setting.asked(), [[2], [1]]);
}

#[tokio::test]
async fn who_takes_no_absence_for_an_answer_loads_what_a_batch_did_not_find() {
    let (cache, policy) = (local_only().await, Policy::new(MINUTE));
    let setting = Setting::new(&cache, policy);
    let batch = setting.get_many(&[1_000]);
    setting.many.reached().await;
    let space = setting.space.clone();
    let required =
        tokio::spawn(async move { space.get_or_load(&1_000, || async { Ok::<_, String>("own".to_owned()) }).await });
    settle().await;
    setting.many.open();
    assert_eq!(shown(batch.await.unwrap().unwrap()), ["-"]);
    assert_eq!(required.await.unwrap().unwrap().as_str(), "own");
}

#[tokio::test]
async fn absences_are_stored_only_with_a_negative_ttl() {
    for (policy, runs) in [(Policy::new(MINUTE), 2), (Policy::new(MINUTE).negative_ttl(MINUTE), 1)] {
        let setting = Setting::new(&local_only().await, policy);
        for _ in 0..2 {
            setting.many.open();
            assert_eq!(shown(setting.space.get_many(&[1_000, 1]).await.unwrap()), ["-", "many 1"]);
        }
        assert_eq!(setting.many.runs(), runs);
    }
}

#[tokio::test]
async fn each_key_of_a_batch_is_fenced_by_itself() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let setting = Setting::new(&a, Policy::new(MINUTE));
    let batch = setting.get_many(&[1, 2, 3]);
    setting.many.reached().await;
    b.invalidate("k:1").await;
    a.invalidate("k:2").await;
    setting.many.open();
    assert_eq!(shown(batch.await.unwrap().unwrap()), ["many 1", "many 2", "many 3"]);
    for (key, kept) in [("k:1", None), ("k:2", None), ("k:3", Some("many 3"))] {
        assert_eq!(near(&a, key).await.as_deref(), kept, "{key}");
        assert_eq!(b.get::<String>(key).await.as_deref().map(String::as_str), kept, "{key}");
    }
}
