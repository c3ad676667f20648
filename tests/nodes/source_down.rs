//! A source that fails, or hangs, for ten minutes, and four nodes that go on answering.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cache_aside::clock::{Clock, ManualClock, Timestamp};
use cache_aside::{CachingService, LoadError, Policy};
use cache_testing::RedisServer;
use futures_util::future::join_all;

use super::support::{eventually, node_builder};

const SECOND: Duration = Duration::from_secs(1);
const THROTTLE: Duration = Duration::from_secs(10);
const KEYS: [&str; 3] = ["a", "b", "c"];

/// A source that knows when it was asked for what.
#[derive(Clone)]
struct Source {
    clock: ManualClock,
    /// Moved after the server's clock, and before it.
    on_server: [ManualClock; 2],
    down: Arc<AtomicBool>,
    hangs: bool,
    attempts: Arc<Mutex<Vec<(&'static str, Attempt)>>>,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    at: Timestamp,
    /// The earliest and the latest that it may have been on the server's clock, which is not moved in one step with that of
    /// the nodes.
    on_server: [Timestamp; 2],
    /// The server's clock goes on by itself as well.
    really: Instant,
}

impl Attempt {
    /// The longest that it may have been after `earlier`, on the server's clock.
    fn at_most_since(self, earlier: Self) -> Duration {
        self.on_server[1].since(earlier.on_server[0]) + self.really.duration_since(earlier.really)
    }
}

impl Source {
    async fn load(self, key: &'static str) -> Result<String, &'static str> {
        let on_server = self.on_server.each_ref().map(ManualClock::now);
        let attempt = Attempt { at: self.clock.now(), on_server, really: Instant::now() };
        self.attempts.lock().unwrap().push((key, attempt));
        match (self.down.load(Ordering::SeqCst), self.hangs) {
            (false, _) => Ok(format!("{key} at {}", self.clock.now())),
            (true, false) => Err("the source is down"),
            (true, true) => std::future::pending().await,
        }
    }

    fn attempts_for(&self, key: &str) -> Vec<Attempt> {
        let attempts = self.attempts.lock().unwrap();
        attempts.iter().filter(|(asked, _)| *asked == key).map(|(_, at)| *at).collect()
    }
}

struct Fleet {
    redis: RedisServer,
    clock: ManualClock,
    source: Source,
    nodes: Vec<CachingService>,
}

impl Fleet {
    async fn new(policy: Policy, hangs: bool) -> Self {
        let (redis, clock) = (RedisServer::start(), ManualClock::new());
        let nodes = join_all((0..4).map(|_| async {
            // What the nodes hear of, and whether they live, is not what is tested, and time runs faster here than they do.
            let hour = SECOND * 3_600;
            let builder = node_builder(&redis.url()).heartbeat_timeout(hour).isolated_ttl(hour).lease_ttl(hour);
            builder.clock(clock.clone()).default_policy(policy.clone()).build().await.unwrap()
        }));
        let (down, attempts) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let on_server = [ManualClock::new(), ManualClock::new()];
        let source = Source { clock: clock.clone(), on_server, down, hangs, attempts };
        let fleet = Self { nodes: nodes.await, redis, clock, source };
        assert!(fleet.ask().await.iter().all(Result::is_ok));
        assert_eq!(fleet.source.attempts.lock().unwrap().len(), KEYS.len(), "one load for all nodes");
        fleet
    }

    /// Two callers of each key on each node at once, in an order that is always the same.
    async fn ask(&self) -> Vec<Result<Arc<String>, LoadError<&'static str>>> {
        let calls = (0..2).flat_map(|_| &self.nodes).flat_map(|node| KEYS.map(|key| (node, key)));
        join_all(calls.map(|(node, key)| {
            let source = self.source.clone();
            node.get_or_load(key, move || source.load(key))
        }))
        .await
    }

    /// As [`Fleet::ask`], while time passes.
    async fn ask_for_long(&self) -> Vec<Result<Arc<String>, LoadError<&'static str>>> {
        let time_passes = async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                self.clock.advance(SECOND / 50);
            }
        };
        tokio::select! {
            outcomes = self.ask() => outcomes,
            () = time_passes => unreachable!("time never ends"),
        }
    }

    /// Lets `time` pass, also on the server's clock as far as claims go.
    fn pass(&self, time: Duration) {
        let script = "for _, key in ipairs(KEYS) do \
             local claimed = redis.call('GETRANGE', key, 78, 85) \
             if #claimed == 8 and claimed ~= string.rep('\\0', 8) then \
               redis.call('SETRANGE', key, 78, struct.pack('>I8', struct.unpack('>I8', claimed) - ARGV[1])) \
             end end";
        let keys = KEYS.map(|key| format!("cache:{key}"));
        let millis = time.as_millis().to_string();
        let [earliest, latest] = &self.source.on_server;
        latest.advance(time);
        self.redis.cli(&["EVAL", script, "3", &keys[0], &keys[1], &keys[2], &millis]);
        earliest.advance(time);
        self.clock.advance(time);
    }

    /// Waits until the nodes have said of each load that failed that it did.
    async fn is_settled(&self, key: &str) {
        eventually("the claim is given back", || async {
            self.redis.cli(&["GETRANGE", &format!("cache:{key}"), "20", "20"]) == "\u{2}"
        })
        .await;
    }
}

fn policy() -> Policy {
    Policy::new(SECOND * 60).jitter(0.0).stale_if_error(SECOND * 900).error_throttle(THROTTLE)
}

async fn ten_minutes_down(policy: Policy) {
    let fleet = Fleet::new(policy, false).await;
    fleet.pass(SECOND * 60);
    fleet.source.down.store(true, Ordering::SeqCst);
    let mut known = KEYS.map(|key| fleet.source.attempts_for(key).len());
    for second in 0..600 {
        for outcome in fleet.ask().await {
            assert!(outcome.is_ok(), "an error after {second} s: {outcome:?}");
        }
        for (key, known) in KEYS.iter().zip(&mut known) {
            let attempts = fleet.source.attempts_for(key).len();
            if attempts > *known {
                fleet.is_settled(key).await;
                *known = fleet.source.attempts_for(key).len();
            }
        }
        fleet.pass(SECOND);
    }
    for key in KEYS {
        let attempts = &fleet.source.attempts_for(key)[1..];
        for pair in attempts.windows(2) {
            let pause = pair[1].at_most_since(pair[0]);
            assert!(pause >= THROTTLE, "{key}: at most {pause:?} between two attempts");
        }
        // Fewer than could be, since a background load may end when time has gone on already.
        assert!((10..=60).contains(&attempts.len()), "{key}: {} attempts in ten minutes", attempts.len());
    }
    // A load of the last second may begin only now, and have the value.
    let up = fleet.clock.now();
    fleet.source.down.store(false, Ordering::SeqCst);
    fleet.pass(THROTTLE);
    eventually("every node has a new value", || async {
        fleet.pass(SECOND / 100);
        let newer = |value: Arc<String>| value.as_str() >= format!("{} at {up}", &value[..1]).as_str();
        fleet.ask().await.into_iter().all(|outcome| newer(outcome.unwrap()))
    })
    .await;
    let refreshed: u64 = fleet.nodes.iter().map(|node| node.stats().refreshes - node.stats().refresh_failures).sum();
    assert_eq!(refreshed, KEYS.len() as u64, "one load for all nodes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_down_for_ten_minutes_is_asked_once_per_key_and_throttle_and_no_caller_notices() {
    ten_minutes_down(policy()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_a_caller_that_is_served_while_the_source_is_asked_in_the_background() {
    ten_minutes_down(policy().stale_while_revalidate(SECOND * 900)).await;
}

/// FusionCache's users report incidents of just that: a load that never ends, and everyone behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_hangs_wedges_no_key() {
    let throttle = SECOND;
    let policy = policy().error_throttle(throttle).load_timeout(SECOND * 5).soft_timeout(SECOND / 5);
    let fleet = Fleet::new(policy, true).await;
    fleet.clock.advance(SECOND * 60);
    fleet.source.down.store(true, Ordering::SeqCst);
    for _ in 0..20 {
        let began = fleet.clock.now();
        let outcomes = fleet.ask_for_long().await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert!(fleet.clock.now().since(began) < SECOND * 5, "nobody waited for the load to time out");
    }
    for key in KEYS {
        let attempts = &fleet.source.attempts_for(key)[1..];
        assert!(!attempts.is_empty());
        assert!(attempts.windows(2).all(|pair| pair[1].at.since(pair[0].at) >= throttle), "{key}: {attempts:?}");
    }
    fleet.source.down.store(false, Ordering::SeqCst);
    let up = fleet.clock.now();
    eventually("every key is loaded anew", || async {
        assert!(fleet.ask_for_long().await.iter().all(Result::is_ok));
        KEYS.iter().all(|key| fleet.source.attempts_for(key).iter().any(|attempt| attempt.at >= up))
    })
    .await;
}
