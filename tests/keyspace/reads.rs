//! Read-through, one key at a time.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_aside::{BusStatus, Keyspace, KeyspaceStats, LoadedBy, Policy, PreloadProgress};
use cache_testing::RedisServer;

use crate::support::{MINUTE, default_node, eventually, hears_invalidations, local_only, node};

#[tokio::test]
async fn without_a_loader_it_only_reads() {
    let cache = local_only().await;
    let users: Keyspace<String, u32> = cache.keyspace("user").build().unwrap();
    assert_eq!(users.get("ada").await, None);
    assert!(users.set("ada", 1).await.stored);
    assert_eq!(users.get("ada").await.as_deref(), Some(&1));
    assert_eq!(cache.get::<u32>("user:ada").await.as_deref(), Some(&1));
    assert_eq!(users.get_or_load("bob", || async { Ok::<_, Infallible>(2) }).await.unwrap().as_ref(), &2);
    assert_eq!(
        users.get_many(&["ada".into(), "eve".into(), "bob".into()]).await,
        [Some(Arc::new(1)), None, Some(Arc::new(2))]
    );
    assert_eq!(counted(&users.stats()), ["local 3 3"], "also what was read in a batch");
}

/// How often each tier had what was asked for, and had it not.
fn counted(stats: &KeyspaceStats) -> Vec<String> {
    stats.tiers.iter().map(|tier| format!("{} {} {}", tier.name, tier.hits, tier.misses)).collect()
}

#[tokio::test]
async fn a_loader_is_asked_for_what_no_tier_has() {
    let cache = local_only().await;
    let loads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&loads);
    let users: Keyspace<u64, String, LoadedBy<String>> = cache
        .keyspace("user")
        .loader(move |id: u64| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                match id {
                    0 => Err("down".to_owned()),
                    1 => Ok(None),
                    id => Ok(Some(format!("user {id}"))),
                }
            }
        })
        .build()
        .unwrap();
    for _ in 0..2 {
        assert_eq!(users.get(&7).await.unwrap().unwrap().as_str(), "user 7");
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    assert_eq!(users.get(&1).await.unwrap(), None);
    assert_eq!(users.get(&0).await.unwrap_err().to_string(), "down");
    assert_eq!(users.get_cached(&0).await, None);
    // Without a batch loader, several keys are loaded one by one.
    let values = users.get_many(&[7, 1, 8, 8]).await.unwrap();
    let shown: Vec<_> = values.iter().map(Option::as_deref).map(|value| value.map(String::as_str)).collect();
    assert_eq!(shown, [Some("user 7"), None, Some("user 8"), Some("user 8")]);
    assert_eq!(loads.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_batch_loader_serves_single_keys_too() {
    let cache = local_only().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let squares: Keyspace<u64, u64, LoadedBy<Infallible>> = cache
        .keyspace("square")
        .policy(Policy::new(MINUTE).negative_ttl(MINUTE))
        .batch_loader(move |keys: Vec<u64>| {
            log.lock().unwrap().push(keys.clone());
            let known = keys.into_iter().filter(|key| *key < 10);
            let loaded: HashMap<u64, u64> = known.map(|key| (key, key * key)).collect();
            async move { Ok(loaded) }
        })
        .build()
        .unwrap();
    assert_eq!(squares.get(&3).await.unwrap().as_deref(), Some(&9));
    let values = squares.get_many(&[2, 3, 99, 2]).await.unwrap();
    assert_eq!(values, [Some(Arc::new(4)), Some(Arc::new(9)), None, Some(Arc::new(4))]);
    // The absence was stored as well.
    assert_eq!(squares.get_many(&[99, 2]).await.unwrap(), [None, Some(Arc::new(4))]);
    assert_eq!(*asked.lock().unwrap(), [vec![3], vec![2, 99]]);
}

#[tokio::test]
async fn each_keyspace_counts_what_each_tier_had_one_by_one_and_in_batches() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let square = |key: u64| async move { Ok::<_, Infallible>(key * key) };
    let there = a.keyspace::<u64, u64>("square").loader(square).build().unwrap();
    let here = b.keyspace::<u64, u64>("square").loader(square).build().unwrap();
    let others = b.keyspace::<u64, u64>("other").build().unwrap();
    there.get_many(&[1, 2, 3]).await.unwrap();
    assert_eq!(counted(&there.stats()), ["local 0 3", "redis 0 3"]);

    here.get(&1).await.unwrap();
    assert_eq!(counted(&here.stats()), ["local 0 1", "redis 1 0"]);
    here.get(&1).await.unwrap();
    here.get_many(&[1, 2, 2, 9]).await.unwrap();
    assert_eq!(counted(&here.stats()), ["local 2 3", "redis 2 1"], "a key that is named twice is looked up once");
    here.get_many_cached(&[2, 3, 10]).await;
    assert_eq!(counted(&here.stats()), ["local 3 5", "redis 3 2"]);
    here.get_cached(&11).await;
    others.get(&1).await;
    assert_eq!(counted(&others.stats()), ["local 0 1", "redis 0 1"]);

    // A keyspace that is built again goes on where the other is, and the service has all.
    let again = b.keyspace::<u64, u64>("square").build().unwrap();
    again.get(&1).await;
    assert_eq!(counted(&again.stats()), ["local 4 6", "redis 3 3"]);
    let all = b.stats();
    let shown: Vec<_> = all.keyspaces.iter().map(|stats| (&*stats.prefix, counted(stats))).collect();
    assert_eq!(shown, [("other", counted(&others.stats())), ("square", counted(&here.stats()))]);
    let (near, far) = (&all.tiers[0], &all.tiers[1]);
    assert_eq!((near.hits, near.misses, far.hits, far.misses), (4, 7, 3, 4), "nothing else was read");
}

#[tokio::test]
async fn invalidations_keep_to_the_prefix() {
    let cache = local_only().await;
    let (users, user_pages) = (cache.keyspace::<u8, u8>("user"), cache.keyspace::<u8, u8>("user-page"));
    let (users, user_pages) = (users.build().unwrap(), user_pages.build().unwrap());
    for key in 0..4 {
        users.set(&key, key).await;
        user_pages.set(&key, key).await;
    }
    users.invalidate(&0).await;
    users.invalidate_many(&[1, 2]).await;
    assert_eq!(users.get_many(&[0, 1, 2, 3]).await.iter().flatten().count(), 1);
    users.invalidate_all().await;
    assert_eq!(users.get(&3).await, None);
    assert_eq!(user_pages.get_many(&[0, 1, 2, 3]).await.iter().flatten().count(), 4);
}

#[tokio::test]
async fn what_cannot_be_built_says_why() {
    let cache = local_only().await;
    let error = cache.keyspace::<u8, u8>("user:").build().unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains("\"user:\""), "{error}");
    let misnamed = [
        ("skip_read", Policy::new(MINUTE).skip_read("redis")),
        ("skip_write", Policy::new(MINUTE).skip_write("redis")),
    ];
    for (setting, policy) in misnamed {
        let error = cache.keyspace::<u8, u8>("user").policy(policy).build().unwrap_err();
        let expected = format!("policy: {setting} names the tier \"redis\", and there is none of that name");
        assert_eq!(error.to_string(), format!("keyspace \"user\": {expected}; the tiers are: local"));
    }
    let policy = Policy::new(MINUTE).local_ttl(MINUTE * 2);
    let error = cache.keyspace::<u8, u8>("user").policy(policy).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "keyspace \"user\": policy: local_ttl (120s) is longer than ttl (60s); lower local_ttl or raise ttl"
    );
}

#[tokio::test]
async fn a_node_that_starts_preloads_what_it_names() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let keyspace = |node: &cache_aside::CachingService| {
        let builder = node.keyspace::<u64, u64>("square").policy(Policy::new(Duration::from_secs(600)));
        builder.loader(|key: u64| async move { if key < 1_000 { Ok(key * key) } else { Err("no") } }).build().unwrap()
    };
    let (there, here) = (keyspace(&a), keyspace(&b));
    let keys: Vec<u64> = (0..250).collect();
    there.get_many(&keys).await.unwrap();

    let mut reports = Vec::new();
    let progress = here.preload(0..300).on_progress(|progress| reports.push(*progress)).run().await;
    assert_eq!((progress.read, progress.loaded, progress.complete), (300, 250, true));
    assert_eq!(reports.iter().map(|progress| progress.read).collect::<Vec<_>>(), [100, 200, 300, 300]);
    let loads = b.stats().loads;
    assert_eq!(here.get(&249).await.unwrap().as_deref(), Some(&(249 * 249)));
    assert_eq!(counted(&here.stats()), ["local 1 0", "redis 0 0"], "a preload is nobody's look-up");

    let progress = here.preload_or_load((0..300).chain(1_000..1_100)).run().await;
    let PreloadProgress { read, loaded, failed, failed_calls, complete, .. } = progress;
    assert_eq!((read, loaded, failed, failed_calls, complete), (400, 300, 100, 1, true));
    assert!(b.stats().loads > loads);
    assert_eq!(counted(&here.stats()), ["local 1 0", "redis 0 0"]);

    there.invalidate_all().await;
    assert_eq!(there.preload_all().run().await.read, 0);
}

#[tokio::test]
async fn a_preload_says_what_it_could_not_read() {
    let redis = RedisServer::start();
    let node = default_node(&redis.url()).await;
    hears_invalidations(&node).await;
    let keyspace = node.keyspace::<u64, u64>("square").build().unwrap();
    redis.kill();
    let progress = keyspace.preload(0..150).run().await;
    let PreloadProgress { read, loaded, failed, failed_calls, complete, .. } = progress;
    assert_eq!((read, loaded, failed, failed_calls, complete), (150, 0, 150, 2, false));
    let progress = keyspace.preload_all().run().await;
    assert_eq!((progress.read, progress.failed_calls, progress.complete), (0, 1, false));
}

/// What is read may be void by a record that did not reach the node.
#[tokio::test]
async fn a_preload_says_that_it_could_not_consult_the_journal() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let keyspace = |node: &cache_aside::CachingService| node.keyspace::<u64, u64>("square").build().unwrap();
    let (there, here) = (keyspace(&a), keyspace(&b));
    for key in 0..150 {
        there.set(&key, key * key).await;
    }
    here.get(&0).await.unwrap();
    redis.cli(&["ACL", "SETUSER", "default", "-xrange", "-subscribe"]);
    redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    eventually("it is isolated", || async { b.status().await.bus != BusStatus::Healthy }).await;
    let PreloadProgress { read, loaded, failed, failed_calls, complete, .. } = here.preload(0..150).run().await;
    assert_eq!((read, loaded, failed, failed_calls, complete), (150, 1, 149, 2, false));
    let all = here.preload_all().run().await;
    assert!(all.read >= 150 && all.failed == all.read - all.loaded && !all.complete, "{all:?}");
}
