//! What becomes of a call, for each state that its key may be in, and each thing that may happen to it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cache_aside::clock::{Clock, ManualClock};
use cache_aside::{
    CacheTier, CachingService, Entry, Key, LoadError, Namespace, NearTier, Policy, RedisTier, Stats, Value,
};
use cache_testing::{FaultProxy, RedisServer};
use tokio::task::JoinHandle;

use super::shown::Shown;
use super::support::{Gate, eventually, node_builder};
use super::table_rows;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The policies, each of a minute's time to live.
fn policy(name: &str) -> Policy {
    let policy = Policy::new(SECOND * 60).jitter(0.0).load_timeout(SECOND * 5);
    let stale_if_error = |policy: Policy| policy.stale_if_error(SECOND * 300).error_throttle(SECOND * 10);
    match name {
        "bare" => policy,
        "while revalidate" => policy.stale_while_revalidate(SECOND * 60),
        "if error" => stale_if_error(policy),
        "both" => stale_if_error(policy).stale_while_revalidate(SECOND * 60).negative_ttl(SECOND * 60),
        "soft timeout" => stale_if_error(policy).soft_timeout(SECOND),
        // What took a second to load is due at every hit. What took no time never is.
        "ahead" => policy.refresh_ahead(1e9).error_throttle(SECOND * 10),
        "local ttl" => policy.local_ttl(SECOND * 20).negative_ttl(SECOND * 60),
        other => panic!("there is no policy {other}"),
    }
}

/// Each state that a key may be in: `fresh`; `stale` for half a minute, `overdue` for two, `expired` nine minutes ago; `negative`, a
/// cached absence that is half a minute old; `absent`.
const STATES: [&str; 6] = ["fresh", "stale", "overdue", "expired", "negative", "absent"];

/// Each thing that may happen: `get` is a call without a loader; `ok`, `error`, `timeout` and `panic` are what a loader does, and
/// `slow` is one that takes two seconds; `again` is a second call after a load that failed; `invalidated` is a load that an
/// invalidation overtakes; `down` one while Redis is away.
const EVENTS: [&str; 9] = ["get", "ok", "error", "timeout", "panic", "slow", "again", "invalidated", "down"];

/// What is expected of a state and an event.
#[derive(Clone)]
struct Row {
    /// What the caller gets, what is stored, and what is counted.
    outcome: String,
    loads: u64,
    failures: u64,
}

/// The rows of a table, by state and event.
fn rows(table: &'static str) -> HashMap<(&'static str, &'static str), Row> {
    let mut rows = HashMap::new();
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "|").collect();
        let [states, events, outcome @ ..] = &words[..] else { continue };
        let count = |at: usize| outcome[at].parse().unwrap();
        let row = Row { outcome: outcome.join(" "), loads: count(3), failures: count(4) };
        for (state, event) in states.split(',').flat_map(|state| events.split(',').map(move |event| (state, event))) {
            assert!(rows.insert((state, event), row.clone()).is_none(), "{state} {event} twice");
        }
    }
    rows
}

async fn check(name: &str, table: &'static str) {
    let redis = RedisServer::start();
    let mut rows = rows(table);
    for (state, event) in STATES.into_iter().flat_map(|state| EVENTS.map(|event| (state, event))) {
        let row = rows.remove(&(state, event)).unwrap_or_else(|| panic!("there is no row for {state} {event}"));
        let cell = Cell::new(&redis, name, state, event).await;
        let caller = cell.happens(event, &row).await;
        let last = RefCell::new(String::new());
        let settled = tokio::time::timeout(SECOND * 20, async {
            loop {
                let found = format!("{caller} {}", cell.found().await);
                let done = found == row.outcome;
                last.replace(found);
                if done {
                    break;
                }
                if ["timeout", "slow"].contains(&event) {
                    cell.clock.advance(SECOND / 10);
                }
                // What is stored in the background is told by no event.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(settled.await.is_ok(), "{name}: {state} {event}: {} was expected, not {}", row.outcome, last.borrow());
    }
    assert!(rows.is_empty(), "{:?} mean nothing", rows.keys());
}

#[tokio::test]
async fn without_further_policies_what_is_not_fresh_is_loaded() {
    check("bare", table_rows::BARE).await;
}

#[tokio::test]
async fn within_stale_while_revalidate_the_stale_value_is_served_at_once() {
    check("while revalidate", table_rows::WHILE_REVALIDATE).await;
}

#[tokio::test]
async fn within_stale_if_error_the_stale_value_is_served_where_the_load_fails() {
    check("if error", table_rows::IF_ERROR).await;
}

#[tokio::test]
async fn both_windows_and_cached_absences_work_side_by_side() {
    check("both", table_rows::BOTH).await;
}

#[tokio::test]
async fn after_a_soft_timeout_the_stale_value_is_served_and_the_load_goes_on() {
    check("soft timeout", table_rows::SOFT_TIMEOUT).await;
}

#[tokio::test]
async fn a_value_that_is_refreshed_ahead_is_served_meanwhile() {
    check("ahead", table_rows::AHEAD).await;
}

#[tokio::test]
async fn what_the_near_tier_has_given_up_is_read_from_redis() {
    check("local ttl", table_rows::LOCAL_TTL).await;
}

/// A node over Redis with a key in some state.
struct Cell {
    clock: ManualClock,
    link: FaultProxy,
    node: CachingService,
    near: Shown,
    far: RedisTier,
    before: Stats,
}

impl Cell {
    async fn new(redis: &RedisServer, name: &str, state: &str, event: &str) -> Self {
        let (clock, link, near) = (ManualClock::new(), FaultProxy::start(redis.address()), Shown::default());
        let namespace = format!("{state}-{event}");
        // Whether the node hears of invalidations is not what is tested.
        let builder = node_builder(&redis.url_at(link.port())).heartbeat_timeout(DAY).isolated_ttl(DAY);
        let builder = builder.local(near.clone()).namespace(&namespace).clock(clock.clone());
        let node = builder.default_policy(policy(name)).build().await.unwrap();
        // The test's own, which is not what is timed.
        let far =
            RedisTier::builder(redis.url()).connect_timeout(SECOND * 60).response_timeout(SECOND * 60).build().unwrap();
        far.bind(&Namespace::new(&namespace).unwrap()).unwrap();
        let (held, age) = match state {
            "fresh" => (Some(Some("old")), 30),
            "stale" => (Some(Some("old")), 90),
            "overdue" => (Some(Some("old")), 180),
            "expired" => (Some(Some("old")), 600),
            "negative" => (Some(None), 30),
            _ => (None, 0),
        };
        if let Some(value) = held {
            let slow = clock.clone();
            let load = move || async move {
                slow.advance(SECOND);
                Ok::<_, &str>(value.map(str::to_owned))
            };
            node.entry("k").get_or_load_optional(load).await.unwrap();
        }
        clock.advance(SECOND * age);
        let before = node.stats();
        Self { clock, link, node, near, far, before }
    }

    /// What the caller gets.
    async fn happens(&self, event: &'static str, row: &Row) -> &'static str {
        match event {
            "get" => return shown(self.node.get::<String>("k").await),
            "down" => {
                self.link.refuse().await;
                self.link.sever().await;
            }
            "again" => {
                // The load may fail in the background, or there is none. Nothing is awaited between what is counted and what is
                // noted of the failure.
                let _ = self.call("error", &Gate::default()).await.unwrap();
                eventually("it has failed", || async {
                    self.node.stats().load_failures - self.before.load_failures == row.failures
                })
                .await;
            }
            _ => {}
        }
        let gate = Gate::default();
        let call = self.call(if event == "again" { "ok" } else { event }, &gate);
        match event {
            "timeout" | "slow" => {
                eventually("the call is over", || async {
                    self.clock.advance(SECOND / 10);
                    call.is_finished()
                })
                .await;
            }
            // Where nothing is loaded, the caller is served before.
            "invalidated" if row.loads == 0 => {
                let served = call.await.unwrap();
                self.node.invalidate("k").await;
                return outcome(served);
            }
            "invalidated" => {
                gate.reached().await;
                self.node.invalidate("k").await;
                gate.open();
            }
            _ => {}
        }
        outcome(call.await.unwrap())
    }

    /// A call whose loader does what the event says.
    fn call(&self, event: &'static str, gate: &Gate) -> JoinHandle<Outcome> {
        let (node, gate, clock) = (self.node.clone(), gate.clone(), self.clock.clone());
        let load = move || async move {
            match event {
                "error" => return Err("the source is down"),
                "panic" => panic!("a bug in the loader"),
                "timeout" => std::future::pending().await,
                "slow" => clock.sleep(SECOND * 2).await,
                "invalidated" => gate.pass().await,
                _ => {}
            }
            Ok(Some("new".to_owned()))
        };
        tokio::spawn(async move { node.entry("k").get_or_load_optional(load).await })
    }

    /// What is stored and counted.
    async fn found(&self) -> String {
        let (now, before) = (self.node.stats(), &self.before);
        let counts = [
            now.loads - before.loads,
            now.load_failures - before.load_failures,
            now.stale_served - before.stale_served,
            now.refreshes - before.refreshes,
            now.refresh_failures - before.refresh_failures,
            now.fenced_fills - before.fenced_fills,
            now.throttled - before.throttled,
        ];
        let (near, far) = (self.near.0.look_up("k"), self.far.get(&Key::new("k").unwrap()).await.unwrap());
        let held = |entry: Option<&Entry>| match entry.filter(|entry| entry.expires > self.clock.now()) {
            Some(entry) => match &entry.value {
                Value::Typed(value) => shown(Arc::clone(value).downcast().ok()),
                Value::Encoded { bytes, .. } => shown(serde_json::from_slice(bytes).ok().map(Arc::new)),
                _ => "none",
            },
            None => "-",
        };
        let counts = counts.map(|count| count.to_string()).join(" ");
        format!("{} {} {counts}", held(near.as_ref()), held(far.as_ref()))
    }
}

type Outcome = Result<Option<Arc<String>>, LoadError<&'static str>>;

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Ok(value) => shown(value),
        Err(LoadError::Source(_)) => "failed",
        Err(LoadError::TimedOut) => "late",
        Err(LoadError::Panicked) => "panic",
        Err(other) => panic!("{other}"),
    }
}

fn shown(value: Option<Arc<String>>) -> &'static str {
    match value.as_deref().map(String::as_str) {
        Some("old") => "old",
        Some("new") => "new",
        Some(_) => "other",
        None => "none",
    }
}
