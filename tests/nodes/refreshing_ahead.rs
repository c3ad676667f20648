//! Values that are loaded anew before they run out: by one node, while all serve what they have.

use std::sync::Arc;
use std::time::Duration;

use cache_aside::clock::ManualClock;
use cache_aside::{CachingService, LoadError, Policy};
use cache_testing::RedisServer;
use futures_util::future::join_all;

use super::support::{Gate, eventually, node_builder};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What took a second to load is due at every hit. What took no time never is.
fn policy() -> Policy {
    Policy::new(SECOND * 60).jitter(0.0).refresh_ahead(1e9).error_throttle(SECOND * 30)
}

struct Fleet {
    _redis: RedisServer,
    clock: ManualClock,
    nodes: Vec<CachingService>,
}

impl Fleet {
    /// Four nodes over a value that took a second to load. Only the first has it near, unless `warm`.
    async fn new(warm: bool) -> Self {
        let (redis, clock) = (RedisServer::start(), ManualClock::new());
        let nodes = join_all((0..4).map(|_| async {
            // Time runs faster here than the nodes do.
            let builder = node_builder(&redis.url()).heartbeat_timeout(DAY).isolated_ttl(DAY).lease_ttl(DAY);
            builder.clock(clock.clone()).default_policy(policy()).build().await.unwrap()
        }))
        .await;
        let slow = clock.clone();
        let load = move || async move {
            slow.advance(SECOND);
            Ok::<_, &str>("old".to_owned())
        };
        nodes[0].get_or_load("k", load).await.unwrap();
        if warm {
            for node in &nodes[1..] {
                node.get::<String>("k").await.unwrap();
            }
        }
        Self { _redis: redis, clock, nodes }
    }

    /// A call of each node, whose loader stands at `gate`.
    async fn ask(&self, gate: &Gate, answer: Result<&'static str, &'static str>) -> Vec<String> {
        let calls = self.nodes.iter().map(|node| {
            let gate = gate.clone();
            let load = move || async move {
                gate.pass().await;
                answer.map(str::to_owned)
            };
            async move { shown(node.get_or_load("k", load).await) }
        });
        join_all(calls).await
    }

    fn loads(&self) -> u64 {
        self.nodes.iter().map(|node| node.stats().loads).sum()
    }

    fn refreshes(&self) -> u64 {
        self.nodes.iter().map(|node| node.stats().refreshes).sum()
    }
}

fn shown(outcome: Result<Arc<String>, LoadError<&'static str>>) -> String {
    outcome.map_or_else(|error| error.to_string(), |value| String::clone(&value))
}

async fn one_node_loads_early(warm: bool) {
    let fleet = Fleet::new(warm).await;
    let gate = Gate::default();
    // None of these calls ends if it waits for the gate.
    assert_eq!(fleet.ask(&gate, Ok("new")).await, ["old"; 4]);
    gate.reached().await;
    for _ in 0..50 {
        assert_eq!(fleet.ask(&gate, Ok("new")).await, ["old"; 4], "it is served for as long as the load takes");
    }
    assert_eq!((gate.runs(), fleet.loads()), (1, 2), "one node loads, and the others know that it does");

    gate.open();
    eventually("every node has the new value", || async { fleet.ask(&gate, Ok("newer")).await == ["new"; 4] }).await;
    assert_eq!((gate.runs(), fleet.refreshes()), (1, 1), "the others read what it has loaded");
    let stale: u64 = fleet.nodes.iter().map(|node| node.stats().stale_served).sum();
    assert_eq!(stale, 0, "it was fresh all the time");
}

#[tokio::test]
async fn one_node_loads_early_and_the_others_serve_what_they_have_near() {
    one_node_loads_early(true).await;
}

#[tokio::test]
async fn one_node_loads_early_and_the_others_serve_what_they_read_from_the_shared_tier() {
    one_node_loads_early(false).await;
}

#[tokio::test]
async fn an_early_load_that_fails_is_not_tried_again_by_any_node_before_its_throttle() {
    let fleet = Fleet::new(true).await;
    let gate = Gate::default();
    gate.open();
    assert_eq!(fleet.ask(&gate, Err("down")).await, ["old"; 4]);
    eventually("it has failed", || async {
        fleet.nodes.iter().map(|node| node.stats().refresh_failures).sum::<u64>() == 1
    })
    .await;
    for _ in 0..50 {
        assert_eq!(fleet.ask(&gate, Err("down")).await, ["old"; 4]);
    }
    assert_eq!(gate.runs(), 1);
    fleet.clock.advance(SECOND * 57);
    assert_eq!(fleet.ask(&gate, Err("down")).await, ["old"; 4], "nobody noticed");
}
