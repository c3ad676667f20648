//! A cluster of which servers die, and in which slots move.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cache_aside::clock::Timestamp;
use cache_aside::coherence::{Change, NodeId, Record};
use cache_aside::{
    CacheTier, CachingService, Delivery, Entry, Key, LocalTier, Namespace, Pattern, Policy, PreloadProgress, RedisTier,
    SharedTier, TierState, Token, Value,
};
use cache_testing::resp::Reply;
use cache_testing::{RedisCluster, RedisServer};

use crate::support::{MINUTE, eventually, heard, hears_invalidations};

async fn node(cluster: &RedisCluster) -> CachingService {
    let patience = Duration::from_secs(5);
    let remote = RedisTier::cluster(cluster.urls()).connect_timeout(patience).response_timeout(patience);
    let builder = CachingService::builder().local(LocalTier::new(1_000)).remote(remote.build().unwrap());
    let node = builder.tier_timeout(patience).default_policy(Policy::new(MINUTE)).build().await.unwrap();
    hears_invalidations(&node).await;
    node
}

/// A cluster that goes on with what is left of it.
fn in_parts() -> RedisCluster {
    let cluster = RedisCluster::start();
    // Else the servers refuse all slots while one is not served.
    for server in cluster.primaries() {
        server.cli(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    cluster
}

/// Takes a slot from all servers. Word that is on its way may give it back to one of them.
async fn abandon(cluster: &RedisCluster, slot: u16) {
    let slot = slot.to_string();
    let is_nobodys = || async {
        let give_up = |server: &RedisServer| server.command(&["CLUSTER", "DELSLOTS", &slot]).unwrap();
        // One that has it no more refuses.
        let answers: Vec<Reply> = cluster.primaries().iter().map(give_up).collect();
        answers.iter().all(|answer| matches!(answer, Reply::Error(_)))
    };
    eventually("nobody has the slot", is_nobodys).await;
}

/// A tier of the cluster, as that of a node.
fn tier(cluster: &RedisCluster) -> RedisTier {
    let tier = RedisTier::cluster(cluster.urls()).build().unwrap();
    tier.bind(&Namespace::new("cache").unwrap()).unwrap();
    tier
}

/// A key of which neither the data nor the journal is on the other's primary.
fn key_away_from_the_journal(cluster: &RedisCluster) -> String {
    let journal = cluster.primary_of("{cache}!journal");
    let away = |key: &String| cluster.primary_of(&format!("cache:{key}")) != journal;
    (0..).map(|n| format!("key{n}")).find(away).unwrap()
}

fn number(value: u32) -> impl Future<Output = Result<u32, std::convert::Infallible>> {
    std::future::ready(Ok(value))
}

/// A loader that gives what the source has when it runs.
fn load_of(
    source: &Arc<AtomicU64>,
) -> impl FnOnce() -> std::future::Ready<Result<u64, std::convert::Infallible>> + use<> {
    let source = Arc::clone(source);
    move || std::future::ready(Ok(source.load(Ordering::SeqCst)))
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_many_keys_reach_every_server() {
    let cluster = RedisCluster::start();
    let (a, b) = (node(&cluster).await, node(&cluster).await);
    let keys: Vec<String> = (0..300).map(|n| format!("k:{n}")).collect();
    for (n, key) in keys.iter().enumerate() {
        a.set(key, n).await;
    }
    let entries = || cluster.primaries().iter().map(|server| server.cli(&["DBSIZE"]).parse::<u64>().unwrap());
    assert!(entries().all(|entries| entries > 50));
    let found = b.get_many::<usize>(&keys).await;
    assert!(found.iter().enumerate().all(|(n, value)| value.as_deref() == Some(&n)));

    assert_eq!(a.invalidate_many(&keys[..100]).await.removed, 100);
    assert_eq!(
        a.invalidate_pattern("k:1*").await.unwrap().removed,
        100,
        "k:100 to k:199; the others were removed before"
    );
    assert_eq!(a.clear().await.removed, 100);
    assert!(b.get_many::<usize>(&keys).await.iter().all(Option::is_none));
    let own = ["{cache}!journal", "{cache}!last", "{cache}!rules", "{cache}!nodes"].len() as u64;
    assert_eq!(entries().sum::<u64>(), own, "only the protocol's own keys are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_with_a_hash_tag_lie_together_and_are_fenced() {
    let cluster = RedisCluster::start();
    let a = node(&cluster).await;
    for key in ["{user:1}:name", "a}b{c", "plain", "{}x"] {
        a.set(key, 1_u32).await;
        let write = || async {
            assert_eq!(*a.get_or_load(key, || number(2)).await.unwrap(), 2);
            Ok::<_, std::convert::Infallible>(())
        };
        a.write_around(&[key], write).await.unwrap();
        assert_eq!(a.get::<u32>(key).await, None, "nothing that was loaded during the write is stored");
        a.get_or_load(key, || number(3)).await.unwrap();
        assert_eq!(a.get::<u32>(key).await.as_deref(), Some(&3));
        assert_eq!(a.entry(key).version(2).set(4_u32).await.delivery, Delivery::Done);
        a.entry(key).version(1).set(5_u32).await;
        assert_eq!(node(&cluster).await.get::<u32>(key).await.as_deref(), Some(&4), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_costs_only_the_keys_that_it_had() {
    let cluster = in_parts();
    let (a, b) = (node(&cluster).await, node(&cluster).await);
    let gone = key_away_from_the_journal(&cluster);
    let owner = |key: &str| cluster.primary_of(&format!("cache:{key}"));
    let there: Vec<String> =
        (0..).map(|n| format!("other{n}")).filter(|key| owner(key) != owner(&gone)).take(20).collect();
    let also_gone = (0..).map(|n| format!("gone{n}")).find(|key| owner(key) == owner(&gone)).unwrap();
    for key in &there {
        a.set(key, 1_u32).await;
    }
    cluster.primaries()[owner(&gone)].kill();
    for key in &there {
        let started = std::time::Instant::now();
        assert_eq!(*b.get_or_load(&gone, || number(7)).await.unwrap(), 7);
        assert!(started.elapsed() < Duration::from_secs(2), "a server that is gone is not waited for");
        assert_eq!(b.entry(key).remote_only().get::<u32>().await.as_deref(), Some(&1));
        let both = b.get_many::<u32>(&[&also_gone, key]).await;
        assert_eq!([both[0].as_deref(), both[1].as_deref()], [None, Some(&1)]);
    }
    assert_eq!(b.status().await.queued_invalidations, 0);
    assert_eq!(b.invalidate(&gone).await.delivery, Delivery::Queued);
    cluster.primaries()[owner(&gone)].restart();
    cluster.wait_until_well();
    eventually("what was queued is delivered", || async { b.status().await.queued_invalidations == 0 }).await;
    eventually("it is used again", || async { b.invalidate(&gone).await.delivery == Delivery::Done }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_nobody_has_costs_only_its_own_keys() {
    let cluster = in_parts();
    let (a, b) = (node(&cluster).await, node(&cluster).await);
    let gone = key_away_from_the_journal(&cluster);
    let slot = cluster.slot_of(&format!("cache:{gone}"));
    let there: Vec<String> = (0..20).map(|n| format!("other{n}")).collect();
    assert!(there.iter().all(|key| cluster.slot_of(&format!("cache:{key}")) != slot));
    for key in &there {
        a.set(key, 1_u32).await;
    }
    abandon(&cluster, slot).await;
    for key in &there {
        assert_eq!(b.get::<u32>(&gone).await, None);
        assert_eq!(b.entry(key).remote_only().get::<u32>().await.as_deref(), Some(&1));
        let both = b.get_many::<u32>(&[&gone, key]).await;
        assert_eq!([both[0].as_deref(), both[1].as_deref()], [None, Some(&1)]);
    }
    assert!(b.status().await.tiers.iter().all(|tier| tier.state != TierState::Down));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preload_says_that_it_left_out_the_keys_of_a_dead_server() {
    let cluster = in_parts();
    let (a, b) = (node(&cluster).await, node(&cluster).await);
    let owner = |key: u64| cluster.primary_of(&format!("cache:n:{key}"));
    let journal = cluster.primary_of("{cache}!journal");
    let keys = 0..90;
    for key in keys.clone() {
        a.set(format!("n:{key}"), key).await;
    }
    let dead = (0..3).find(|primary| *primary != journal).unwrap();
    let gone = keys.clone().filter(|key| owner(*key) == dead).count() as u64;
    cluster.primaries()[dead].kill();
    let numbers = b.keyspace::<u64, u64>("n").build().unwrap();
    let PreloadProgress { read, loaded, failed, failed_calls, complete, .. } = numbers.preload(keys).run().await;
    assert_eq!((read, loaded, failed, failed_calls, complete), (90, 90 - gone, gone, 1, false));
    assert!(!numbers.preload_all().run().await.complete);
}

/// The others hear of it all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_server_cannot_remove_is_void_on_other_nodes() {
    let cluster = in_parts();
    let (a, b) = (node(&cluster).await, node(&cluster).await);
    let gone = key_away_from_the_journal(&cluster);
    let owner = |key: &str| cluster.primary_of(&format!("cache:{key}"));
    let there = (0..).map(|n| format!("other{n}")).find(|key| owner(key) != owner(&gone)).unwrap();
    let near = async |key: &str| b.entry(key).local_only().get::<u32>().await.is_some();
    for key in [&gone, &there] {
        a.set(key, 1_u32).await;
        b.get::<u32>(key).await.unwrap();
        assert!(near(key).await);
    }
    cluster.primaries()[owner(&gone)].kill();
    assert_eq!(a.invalidate_many(&[&gone, &there]).await.delivery, Delivery::Queued);
    eventually("both are void", || async { !near(&gone).await && !near(&there).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_stays_where_of_several_scans_each_may_have_missed_a_key() {
    let cluster = RedisCluster::start();
    let tier = tier(&cluster);
    let from = cluster.primary_of("{moving}");
    let slot = cluster.slot_of("{moving}");
    let (from, to) = (&cluster.primaries()[from], &cluster.primaries()[(from + 1) % 3]);
    let pattern = Pattern::new("key*").unwrap();
    let record = Record::new(NodeId::new(7), Change::Pattern(pattern.clone()));
    let first = tier.invalidate(&[], &record, None).await.unwrap().position;
    let second = tier.invalidate(&[], &record, None).await.unwrap().position;
    cluster.begin_move(slot, from, to);
    tier.invalidate_pattern(&pattern).await.unwrap();
    tier.invalidate_pattern(&pattern).await.unwrap();
    assert!(!tier.swept(&pattern, first).await.unwrap());
    assert!(!tier.swept(&pattern, second).await.unwrap(), "nor has the second");
    for server in [from, to] {
        server.cli(&["CLUSTER", "SETSLOT", &slot.to_string(), "STABLE"]);
    }
    tier.invalidate_pattern(&pattern).await.unwrap();
    assert!(tier.swept(&pattern, second).await.unwrap(), "one that meets everything makes good for both");
}

/// What was there before a fence is removed when it is renewed, if the call that put it up ended half-way.
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_of_several_keys_that_was_given_up_half_way_removes_what_is_there_when_it_is_renewed() {
    let cluster = in_parts();
    let patience = MINUTE / 2;
    let tier = RedisTier::cluster(cluster.urls()).connect_timeout(patience).response_timeout(patience).build().unwrap();
    tier.bind(&Namespace::new("cache").unwrap()).unwrap();
    let hung = key_away_from_the_journal(&cluster);
    let owner = |key: &str| cluster.primary_of(&format!("cache:{key}"));
    let there = (0..).map(|n| format!("other{n}")).find(|key| owner(key) != owner(&hung)).unwrap();
    let keys = [&there, &hung].map(|key| Key::new(key).unwrap());
    let entry = || Entry::new(Value::Absent, Timestamp::ZERO, Timestamp::MAX);
    let record = Record::new(NodeId::new(7), Change::Fence(keys[..].into(), MINUTE));
    let token = Token::from_bytes([7; 16]);
    for key in &keys {
        tier.set(key, entry(), MINUTE).await.unwrap();
    }
    let hanging = &cluster.primaries()[owner(&hung)];
    hanging.stop();
    let fences = format!("{{cache:{there}}}!fences");
    let is_raised = || async { cluster.primaries()[owner(&there)].cli(&["EXISTS", &fences]) == "1" };
    tokio::select! {
        fenced = tier.fence(&keys, &record, token, MINUTE) => panic!("{fenced:?}, while a server hangs"),
        () = eventually("the first is fenced", is_raised) => {}
    }
    hanging.resume();
    cluster.wait_until_well();
    assert!(tier.get(&keys[0]).await.unwrap().is_some(), "it was given up before that");
    let fenced = tier.fence(&keys, &record, token, MINUTE).await.unwrap();
    assert_eq!(fenced.removed, [true, true]);
    for key in &keys {
        assert!(tier.get(key).await.unwrap().is_none());
    }
}

/// Those that could be fenced are empty, whatever the caller does next.
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_of_several_keys_removes_what_is_there_though_one_of_them_cannot_be_fenced() {
    let cluster = in_parts();
    let tier = tier(&cluster);
    let gone = key_away_from_the_journal(&cluster);
    let owner = |key: &str| cluster.primary_of(&format!("cache:{key}"));
    let there = (0..).map(|n| format!("other{n}")).find(|key| owner(key) != owner(&gone)).unwrap();
    let keys = [&there, &gone].map(|key| Key::new(key).unwrap());
    let entry = || Entry::new(Value::Absent, Timestamp::ZERO, Timestamp::MAX);
    let record = Record::new(NodeId::new(7), Change::Fence(keys[..].into(), MINUTE));
    let token = Token::from_bytes([7; 16]);
    tier.set(&keys[0], entry(), MINUTE).await.unwrap();
    cluster.primaries()[owner(&gone)].kill();
    tier.fence(&keys, &record, token, MINUTE).await.unwrap_err();
    assert!(tier.get(&keys[0]).await.unwrap().is_none());
    cluster.primaries()[owner(&gone)].restart();
    cluster.wait_until_well();
    eventually("both are fenced", || async { tier.fence(&keys, &record, token, MINUTE).await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_of_a_pattern_stays_on_every_node_while_keys_move() {
    let cluster = RedisCluster::start();
    let (a, b) = (node(&cluster).await, node(&cluster).await);
    let key = key_away_from_the_journal(&cluster);
    let name = format!("cache:{key}");
    let primary = &cluster.primaries()[cluster.primary_of(&name)];
    let slot = cluster.slot_of("{moving}");
    let from = cluster.primary_of("{moving}");
    let (from, to) = (&cluster.primaries()[from], &cluster.primaries()[(from + 1) % 3]);
    let journal = &cluster.primaries()[cluster.primary_of("{cache}!journal")];
    let rules = || journal.cli(&["HKEYS", "{cache}!rules"]);
    a.set(&key, 1_u32).await;
    let Reply::Bytes(old) = primary.command(&["GET", &name]).unwrap() else { panic!("the value") };
    let stop_moving = || {
        for server in [from, to] {
            server.cli(&["CLUSTER", "SETSLOT", &slot.to_string(), "STABLE"]);
        }
    };

    cluster.begin_move(slot, from, to);
    assert_eq!(a.invalidate_pattern("key*").await.unwrap().delivery, Delivery::Done);
    // As if the scan had passed it over.
    primary.command(&[b"SET".as_slice(), name.as_bytes(), &old]).unwrap();
    assert_eq!(a.get::<u32>(&key).await, None, "the node that made it knows the rule");
    eventually("so does every other", || async { b.get::<u32>(&key).await.is_none() }).await;
    assert!(rules().contains("pkey*"));
    stop_moving();
    a.invalidate_pattern("key*").await.unwrap();
    assert!(!rules().contains("pkey*"), "everything was met");

    cluster.begin_move(slot, from, to);
    a.clear().await;
    stop_moving();
    a.invalidate_pattern("*").await.unwrap();
    assert_eq!(rules(), "cleared", "what a clear has passed over is void by the rule of the clear");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_overtaken_while_it_is_set_is_kept_nowhere() {
    let cluster = RedisCluster::start();
    let (a, b) = (node(&cluster).await, node(&cluster).await);
    let journal = &cluster.primaries()[cluster.primary_of("{cache}!journal")];
    let key = key_away_from_the_journal(&cluster);
    let name = format!("cache:{key}");
    let primary = &cluster.primaries()[cluster.primary_of(&name)];
    for replicate in [false, true] {
        a.entry(&key).version(2).set(2_u32).await;
        let Reply::Bytes(newer) = primary.command(&["GET", &name]).unwrap() else { panic!("the value") };
        a.invalidate(&key).await;
        journal.stop();
        let (setter, its_key) = (a.clone(), key.clone());
        let set = tokio::spawn(async move {
            let entry = setter.entry(&its_key).version(1);
            if replicate { entry.replicate().set(1_u32).await } else { entry.set(1_u32).await }
        });
        let lease = Reply::Bytes(b"\xca\xc3\x02L".to_vec());
        let is_held = || async { primary.command(&["GETRANGE", &name, "0", "3"]).unwrap() == lease };
        eventually("the older version is about to be recorded", is_held).await;
        // As another node does whose record came before.
        primary.command(&[b"SET".as_slice(), name.as_bytes(), &newer]).unwrap();
        journal.resume();
        assert_eq!(set.await.unwrap().delivery, Delivery::Done);
        assert_eq!(a.get::<u32>(&key).await.as_deref(), Some(&2), "replicated: {replicate}");
        heard(&a, &[&b]).await;
        assert_eq!(b.get::<u32>(&key).await.as_deref(), Some(&2), "replicated: {replicate}");
        assert_eq!(b.stats().replicas_received, 0, "nobody was sent it");
    }
}

/// Which of two versions stands is only known once both are recorded.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_with_a_version_is_sent_to_nobody() {
    let cluster = RedisCluster::start();
    let (a, b) = (node(&cluster).await, node(&cluster).await);
    a.set("k", 1_u32).await;
    assert_eq!(b.get::<u32>("k").await.as_deref(), Some(&1));
    assert!(a.entry("k").version(1).replicate().set(2_u32).await.stored);
    heard(&a, &[&b]).await;
    assert_eq!(b.stats().replicas_received, 0);
    assert_eq!(b.get::<u32>("k").await.as_deref(), Some(&2), "it was told of the change");
    a.entry("other").replicate().set(3_u32).await;
    eventually("one without is sent", || async { b.stats().replicas_received == 1 }).await;
}

/// Whoever put the lease may not live to record its own value.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_that_meets_the_lease_of_a_newer_one_is_heard_of() {
    let cluster = RedisCluster::start();
    let (a, b) = (node(&cluster).await, node(&cluster).await);
    let near = async || b.entry("k").local_only().get::<u32>().await;
    a.set("k", 0_u32).await;
    assert_eq!(b.get::<u32>("k").await.as_deref(), Some(&0));
    assert!(near().await.is_some());
    // Version 2, as it is stored, then what makes the token its own, then the flag.
    let lease = [b"\xca\xc3\x02L".as_slice(), &3_u64.to_be_bytes(), &[7; 8], &[2]].concat();
    let primary = &cluster.primaries()[cluster.primary_of("cache:k")];
    primary.command(&[b"SET".as_slice(), b"cache:k", &lease, b"PX", b"60000"]).unwrap();
    let receipt = a.entry("k").version(1).set(1_u32).await;
    assert_eq!((receipt.delivery, receipt.stored), (Delivery::Done, false));
    eventually("the other node has heard", || async { near().await.is_none() }).await;
    let Reply::Bytes(held) = primary.command(&["GET", "cache:k"]).unwrap() else { panic!("the lease") };
    assert_eq!(held, lease, "it is left to the newer one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_has_not_removed_yet_is_removed_again_when_it_takes_over() {
    let cluster = RedisCluster::with_replicas(1);
    let (a, b) = (node(&cluster).await, node(&cluster).await);
    let key = key_away_from_the_journal(&cluster);
    let name = format!("cache:{key}");
    let shard = cluster.primary_of(&name);
    let (primary, replica) = (&cluster.primaries()[shard], &cluster.replicas()[shard]);
    a.set(&key, 1_u32).await;
    let Reply::Bytes(old) = primary.command(&["GET", &name]).unwrap() else { panic!("the value") };
    assert_eq!(a.invalidate(&key).await.delivery, Delivery::Done);

    primary.kill();
    cluster.wait_for_primary(replica);
    // As if the removal had not reached it.
    let restored = || async {
        let reply = replica.command(&[b"SET".as_slice(), name.as_bytes(), &old]).unwrap();
        reply == Reply::Status("OK".to_owned())
    };
    eventually("the new primary takes writes", restored).await;

    eventually("it is removed again", || async { replica.cli(&["EXISTS", &name]) == "0" }).await;
    for node in [&a, &b] {
        eventually("nobody is served the old value", || async { node.get::<u32>(&key).await.is_none() }).await;
    }
    // From then on the new primary is used.
    let kept = || async {
        a.get_or_load(&key, || number(2)).await.unwrap();
        replica.cli(&["EXISTS", &name]) == "1"
    };
    eventually("the new primary is filled", kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_goes_on_when_its_primary_dies() {
    let cluster = RedisCluster::with_replicas(1);
    let (a, b) = (node(&cluster).await, node(&cluster).await);
    let shard = cluster.primary_of("{cache}!journal");
    a.set("k", 1_u32).await;
    assert_eq!(b.get::<u32>("k").await.as_deref(), Some(&1));
    cluster.primaries()[shard].kill();
    let receipt = a.invalidate("k").await;
    cluster.wait_for_primary(&cluster.replicas()[shard]);
    eventually("what was queued is delivered", || async { a.status().await.queued_invalidations == 0 }).await;
    eventually("the other node has heard", || async { b.get::<u32>("k").await.is_none() }).await;
    hears_invalidations(&a).await;
    hears_invalidations(&b).await;
    assert_eq!(receipt.delivery, Delivery::Queued);
    let done = || async {
        a.set("k", 2_u32).await;
        b.get::<u32>("k").await.as_deref() == Some(&2)
    };
    eventually("values are shared again", done).await;
    assert_eq!(a.invalidate("k").await.delivery, Delivery::Done);
    eventually("the other node hears of it over the bus", || async {
        b.entry("k").local_only().get::<u32>().await.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_moves_while_its_keys_are_loaded_and_invalidated() {
    let cluster = RedisCluster::start();
    let (a, b) = (node(&cluster).await, node(&cluster).await);
    let slot = cluster.slot_of("{moving}");
    let from = cluster.primary_of("{moving}");
    let (from, to) = (&cluster.primaries()[from], &cluster.primaries()[(from + 1) % 3]);
    let (source, end) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));
    let mut readers = tokio::task::JoinSet::new();
    for reader in 0..8 {
        let (node, source, end) =
            (if reader % 2 == 0 { &a } else { &b }.clone(), Arc::clone(&source), Arc::clone(&end));
        readers.spawn(async move {
            let mut round = 0;
            while !end.load(Ordering::SeqCst) {
                round += 1;
                // Cold keys, and one that is invalidated all the time.
                let key =
                    if round % 4 == 0 { "{moving}:hot".to_owned() } else { format!("{{moving}}:{reader}:{round}") };
                node.get_or_load(&key, load_of(&source)).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
    }
    let invalidate = async || {
        let version = source.fetch_add(1, Ordering::SeqCst) + 1;
        a.invalidate("{moving}:hot").await;
        let read = *a.get_or_load("{moving}:hot", load_of(&source)).await.unwrap();
        assert!(read >= version, "{read} after {version}");
    };
    for _ in 0..20 {
        invalidate().await;
    }
    cluster.begin_move(slot, from, to);
    for _ in 0..20 {
        invalidate().await;
    }
    // A key that is nowhere is asked for at the new server, and stored there.
    a.get_or_load("{moving}:cold", || number(1)).await.unwrap();
    assert_eq!(
        from.cli(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "100000"]).matches("{moving}:cold").count(),
        0
    );
    assert_eq!(to.cli(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "100000"]).matches("{moving}:cold").count(), 1);
    assert_eq!(a.set("{moving}:set", 1_u32).await.delivery, Delivery::Done);
    cluster.move_keys(slot, from, to);
    for _ in 0..20 {
        invalidate().await;
    }
    assert_eq!(b.get::<u32>("{moving}:set").await.as_deref(), Some(&1));
    cluster.end_move(slot, from, to);
    for _ in 0..20 {
        invalidate().await;
    }
    end.store(true, Ordering::SeqCst);
    while let Some(reader) = readers.join_next().await {
        reader.unwrap();
    }
    assert_eq!(a.invalidate("{moving}:cold").await.removed, 1);
    assert_eq!(a.status().await.queued_invalidations, 0);
}

/// Of its two keys one is still there and the other never was, until the slot has moved.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_replaced_while_its_slot_moves_within_a_short_response_timeout() {
    let cluster = RedisCluster::start();
    let patience = Duration::from_secs(5);
    let remote = RedisTier::cluster(cluster.urls()).connect_timeout(patience).response_timeout(patience / 25);
    let builder = CachingService::builder().local(LocalTier::new(1_000)).remote(remote.build().unwrap());
    let a = builder.tier_timeout(patience).default_policy(Policy::new(MINUTE)).build().await.unwrap();
    hears_invalidations(&a).await;
    let slot = cluster.slot_of("{moving}");
    let from = cluster.primary_of("{moving}");
    let (from, to) = (&cluster.primaries()[from], &cluster.primaries()[(from + 1) % 3]);
    assert_eq!(a.set("{moving}:set", 1_u32).await.delivery, Delivery::Done);
    cluster.begin_move(slot, from, to);
    let receipt = a.set("{moving}:set", 2_u32).await;
    assert_eq!((receipt.delivery, receipt.stored), (Delivery::Done, true));
    assert_eq!(a.entry("{moving}:set").remote_only().get::<u32>().await.as_deref(), Some(&2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_follows_the_journal_to_another_server() {
    let cluster = RedisCluster::start();
    let (a, b) = (node(&cluster).await, node(&cluster).await);
    let slot = cluster.slot_of("{cache}!journal");
    let from = cluster.primary_of("{cache}!journal");
    let (from, to) = (&cluster.primaries()[from], &cluster.primaries()[(from + 1) % 3]);
    a.set("k", 1_u32).await;
    assert_eq!(b.get::<u32>("k").await.as_deref(), Some(&1));
    cluster.begin_move(slot, from, to);
    cluster.move_keys(slot, from, to);
    a.invalidate("k").await;
    cluster.end_move(slot, from, to);
    eventually("the other node has heard", || async { b.get::<u32>("k").await.is_none() }).await;
    eventually("both hear of it from the new server", || async {
        to.cli(&["PUBSUB", "NUMSUB", "{cache}!bus"]).lines().last() == Some("2")
    })
    .await;
    hears_invalidations(&a).await;
    hears_invalidations(&b).await;
    assert_eq!(a.set("k", 2_u32).await.delivery, Delivery::Done);
    assert_eq!(b.get::<u32>("k").await.as_deref(), Some(&2));
    assert_eq!(a.invalidate("k").await.delivery, Delivery::Done);
    eventually("the other node hears of it", || async { b.entry("k").local_only().get::<u32>().await.is_none() }).await;
}
