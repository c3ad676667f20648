//! Policies of time over a Redis Cluster, for a key on the server that has the journal, and for one on another.

use std::sync::Arc;
use std::time::Duration;

use cache_aside::clock::ManualClock;
use cache_aside::{CachingService, LoadError, LocalTier, Policy, RedisTier};
use cache_testing::RedisCluster;
use tokio::task::JoinHandle;

use super::support::{Gate, eventually};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn policy() -> Policy {
    Policy::new(SECOND * 60).jitter(0.0)
}

struct Setting {
    cluster: RedisCluster,
    clock: ManualClock,
    a: CachingService,
    b: CachingService,
}

impl Setting {
    async fn new(policy: Policy) -> Self {
        let (cluster, clock) = (RedisCluster::start(), ManualClock::new());
        let node = async || {
            let patience = SECOND * 10;
            let remote = RedisTier::cluster(cluster.urls()).connect_timeout(patience).response_timeout(patience);
            let builder = CachingService::builder().local(LocalTier::new(100)).remote(remote.build().unwrap());
            // Time runs faster here than the nodes do.
            let builder = builder.heartbeat_timeout(DAY).isolated_ttl(DAY).lease_ttl(DAY).tier_timeout(patience);
            builder.default_policy(policy.clone()).clock(clock.clone()).build().await.unwrap()
        };
        let (a, b) = (node().await, node().await);
        Self { cluster, clock, a, b }
    }

    /// A key beside the journal, and one elsewhere, each with a value that was fresh until half a minute ago.
    async fn stale_keys(&self) -> [String; 2] {
        let journal = self.cluster.primary_of("{cache}!journal");
        let find = |beside: bool| {
            let there = |key: &String| (self.cluster.primary_of(&format!("cache:{key}")) == journal) == beside;
            (0..).map(|n| format!("k{n}")).find(there).unwrap()
        };
        let keys = [find(true), find(false)];
        for key in &keys {
            self.a.get_or_load(key, || async { Ok::<_, &str>("old".to_owned()) }).await.unwrap();
            assert!(self.b.get::<String>(key).await.is_some());
        }
        self.clock.advance(SECOND * 90);
        keys
    }
}

type Call = JoinHandle<Result<Arc<String>, LoadError<&'static str>>>;

fn call(node: &CachingService, key: &str, gate: &Gate, answer: Result<&'static str, &'static str>) -> Call {
    let (node, key, gate) = (node.clone(), key.to_owned(), gate.clone());
    tokio::spawn(async move {
        let load = move || async move {
            gate.pass().await;
            answer.map(str::to_owned)
        };
        node.get_or_load(&key, load).await
    })
}

async fn got(call: Call) -> String {
    call.await.unwrap().map_or_else(|error| error.to_string(), |value| String::clone(&value))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_value_is_served_at_once_while_one_node_loads_it_anew() {
    let setting = Setting::new(policy().stale_while_revalidate(SECOND * 60)).await;
    for key in setting.stale_keys().await {
        let gate = Gate::default();
        assert_eq!(got(call(&setting.a, &key, &gate, Ok("new"))).await, "old");
        gate.reached().await;
        for _ in 0..10 {
            assert_eq!(got(call(&setting.b, &key, &gate, Ok("new"))).await, "old");
        }
        gate.open();
        for node in [&setting.a, &setting.b] {
            eventually("the node has the new value", || async {
                got(call(node, &key, &gate, Ok("newer"))).await == "new"
            })
            .await;
        }
        assert_eq!(gate.runs(), 1, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_value_is_served_where_the_load_fails_and_no_node_tries_again_before_the_throttle() {
    let setting = Setting::new(policy().stale_if_error(SECOND * 300).error_throttle(SECOND * 30)).await;
    for key in setting.stale_keys().await {
        let gate = Gate::default();
        gate.open();
        assert_eq!(got(call(&setting.a, &key, &gate, Err("down"))).await, "old");
        // The failure is told in the background.
        let told = || {
            setting.cluster.primaries()[setting.cluster.primary_of(&format!("cache:{key}"))].cli(&[
                "GETRANGE",
                &format!("cache:{key}"),
                "20",
                "20",
            ])
        };
        eventually("the claim is given back", || async { told() == "\u{2}" }).await;
        for node in [&setting.a, &setting.b, &setting.a] {
            assert_eq!(got(call(node, &key, &gate, Err("down"))).await, "old");
        }
        assert_eq!(gate.runs(), 1, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_an_invalidation_overtakes_is_stored_nowhere() {
    let setting = Setting::new(policy().stale_while_revalidate(SECOND * 60).stale_if_error(SECOND * 300)).await;
    for key in setting.stale_keys().await {
        let gate = Gate::default();
        assert_eq!(got(call(&setting.a, &key, &gate, Ok("refreshed"))).await, "old");
        gate.reached().await;
        setting.b.invalidate(&key).await;
        let refused = setting.a.stats().fenced_fills;
        gate.open();
        eventually("it is refused", || async { setting.a.stats().fenced_fills > refused }).await;
        assert_eq!(setting.b.get::<String>(&key).await, None, "{key}");
        let failed = setting.b.get_or_load(&key, || async { Err::<String, _>("down") }).await;
        assert!(failed.is_err(), "{key}: {failed:?}");
    }
}

/// Nor is there a time at which a write would be refused: it is said when it is set up.
#[tokio::test(flavor = "multi_thread")]
async fn write_behind_is_refused_when_it_is_built() {
    let cluster = RedisCluster::start();
    let remote = RedisTier::cluster(cluster.urls()).build().unwrap();
    let cache = CachingService::builder().local(LocalTier::new(100)).remote(remote).build().await.unwrap();
    let users = cache.keyspace::<u64, String>("user").build().unwrap();
    let error = users.write_behind().build().unwrap_err();
    assert!(error.is_configuration());
    assert_eq!(
        error.to_string(),
        "write-behind: the tier \"redis\" keeps no writes. A Redis Cluster cannot, since a write and its value lie in different \
         slots: use a single Redis, with sentinels or without, or write_through"
    );
}
