//! What becomes of a call, for each state that its key may be in, and each thing that may happen to it.

use std::sync::Arc;
use std::time::Duration;

use cache_aside::clock::{Clock, ManualClock};
use cache_aside::{
    CacheTier, CachingService, Entry, Key, LoadError, Namespace, NearTier, Policy, RedisTier, Stats, Value,
};
use cache_testing::{FaultProxy, RedisServer};

use super::shown::Shown;
use super::support::{Gate, eventually, node_builder};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Fresh for a minute, then a minute in which it is loaded anew in the background, then four in which it is served for want
/// of another.
fn policy() -> Policy {
    let policy = Policy::new(SECOND * 60).jitter(0.0).negative_ttl(SECOND * 60).load_timeout(SECOND * 5);
    policy.stale_while_revalidate(SECOND * 60).stale_if_error(SECOND * 300).error_throttle(SECOND * 10)
}

/// The states: `fresh`, `stale` (within `stale_while_revalidate`), `overdue` (within `stale_if_error` alone), `expired`,
/// `negative`, `absent`. The events: `get` is a call without a loader; `ok`, `error`, `timeout` and `panic` are what a loader
/// does; `invalidated` is a load that an invalidation overtakes; `down` one while Redis is away.
///
/// Then what the caller gets; what the near tier and Redis hold in the end; and how many were counted of loads, load
/// failures, stale values served, refreshes, failed refreshes.
const TABLE: &str = "
    fresh    get          old     | old  old  | 0 0 0 0 0
    fresh    ok           old     | old  old  | 0 0 0 0 0
    fresh    error        old     | old  old  | 0 0 0 0 0
    fresh    timeout      old     | old  old  | 0 0 0 0 0
    fresh    panic        old     | old  old  | 0 0 0 0 0
    fresh    invalidated  old     | -    -    | 0 0 0 0 0
    fresh    down         old     | old  old  | 0 0 0 0 0

    stale    get          none    | old  old  | 0 0 0 0 0
    stale    ok           old     | new  new  | 1 0 1 1 0
    stale    error        old     | old  old  | 1 1 1 1 1
    stale    timeout      old     | old  old  | 1 1 1 1 1
    stale    panic        old     | old  old  | 1 1 1 1 1
    stale    invalidated  old     | -    -    | 1 0 1 1 0
    stale    down         old     | new  old  | 1 0 1 1 0

    overdue  get          none    | old  old  | 0 0 0 0 0
    overdue  ok           new     | new  new  | 1 0 0 1 0
    overdue  error        old     | old  old  | 1 1 1 1 1
    overdue  timeout      old     | old  old  | 1 1 1 1 1
    overdue  panic        old     | old  old  | 1 1 1 1 1
    overdue  invalidated  new     | -    -    | 1 0 0 1 0
    overdue  down         new     | new  old  | 1 0 0 1 0

    expired  get          none    | -    -    | 0 0 0 0 0
    expired  ok           new     | new  new  | 1 0 0 0 0
    expired  error        failed  | -    -    | 1 1 0 0 0
    expired  timeout      late    | -    -    | 1 1 0 0 0
    expired  panic        panic   | -    -    | 1 1 0 0 0
    expired  invalidated  new     | -    -    | 1 0 0 0 0
    expired  down         new     | new  -    | 1 0 0 0 0

    negative get          none    | none none | 0 0 0 0 0
    negative ok           none    | none none | 0 0 0 0 0
    negative error        none    | none none | 0 0 0 0 0
    negative timeout      none    | none none | 0 0 0 0 0
    negative panic        none    | none none | 0 0 0 0 0
    negative invalidated  none    | -    -    | 0 0 0 0 0
    negative down         none    | none none | 0 0 0 0 0

    absent   get          none    | -    -    | 0 0 0 0 0
    absent   ok           new     | new  new  | 1 0 0 0 0
    absent   error        failed  | -    -    | 1 1 0 0 0
    absent   timeout      late    | -    -    | 1 1 0 0 0
    absent   panic        panic   | -    -    | 1 1 0 0 0
    absent   invalidated  new     | -    -    | 1 0 0 0 0
    absent   down         new     | new  -    | 1 0 0 0 0
";

#[tokio::test]
async fn each_state_and_each_event_come_to_what_the_table_says() {
    let redis = RedisServer::start();
    let rows = TABLE.lines().map(|line| line.split_whitespace().filter(|word| *word != "|").collect::<Vec<_>>());
    let rows: Vec<_> = rows.filter(|row| !row.is_empty()).collect();
    assert_eq!(rows.len(), 6 * 7);
    for row in &rows {
        let (state, event, expected) = (row[0], row[1], row[2..].join(" "));
        let cell = Cell::new(&redis, state, event).await;
        let caller = cell.happens(event).await;
        let last = std::cell::RefCell::new(String::new());
        let settled = tokio::time::timeout(SECOND * 20, async {
            loop {
                let found = format!("{caller} {}", cell.found().await);
                let done = found == expected;
                last.replace(found);
                if done {
                    break;
                }
                if event == "timeout" {
                    cell.clock.advance(SECOND / 10);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(settled.await.is_ok(), "{state} {event}: {expected} was expected, not {}", last.borrow());
    }
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
    async fn new(redis: &RedisServer, state: &str, event: &str) -> Self {
        let (clock, link, near) = (ManualClock::new(), FaultProxy::start(redis.address()), Shown::default());
        let namespace = format!("{state}-{event}");
        // Whether the node hears of invalidations is not what is tested.
        let builder = node_builder(&redis.url_at(link.port())).heartbeat_timeout(DAY).isolated_ttl(DAY);
        let builder = builder.local(near.clone()).namespace(&namespace).clock(clock.clone());
        let node = builder.default_policy(policy()).build().await.unwrap();
        let far = RedisTier::new(redis.url()).unwrap();
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
            let load = move || async move { Ok::<_, &str>(value.map(str::to_owned)) };
            node.entry("k").get_or_load_optional(load).await.unwrap();
        }
        clock.advance(SECOND * age);
        let before = node.stats();
        Self { clock, link, node, near, far, before }
    }

    /// What the caller gets.
    async fn happens(&self, event: &'static str) -> &'static str {
        if event == "get" {
            return shown(self.node.get::<String>("k").await);
        }
        if event == "down" {
            self.link.refuse().await;
            self.link.sever().await;
        }
        let gate = Gate::default();
        let call = tokio::spawn({
            let (node, gate) = (self.node.clone(), gate.clone());
            async move {
                let load = move || async move {
                    match event {
                        "error" => Err("the source is down"),
                        "panic" => panic!("a bug in the loader"),
                        "timeout" => std::future::pending().await,
                        "invalidated" => {
                            gate.pass().await;
                            Ok(Some("new".to_owned()))
                        }
                        _ => Ok(Some("new".to_owned())),
                    }
                };
                node.entry("k").get_or_load_optional(load).await
            }
        });
        match event {
            "timeout" => {
                eventually("the call is over", || async {
                    self.clock.advance(SECOND / 10);
                    call.is_finished()
                })
                .await;
            }
            "invalidated" => {
                // A load stands at the gate, or there is none.
                tokio::select! {
                    () = gate.reached() => {}
                    () = eventually("the call is over", || async {
                        call.is_finished() && self.node.stats().stale_served == self.before.stale_served
                    }) => {}
                }
                self.node.invalidate("k").await;
                gate.open();
            }
            _ => {}
        }
        match call.await.unwrap() {
            Ok(value) => shown(value),
            Err(LoadError::Source(_)) => "failed",
            Err(LoadError::TimedOut) => "late",
            Err(LoadError::Panicked) => "panic",
            Err(other) => panic!("{other}"),
        }
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
        format!("{} {} {counts}", held(near.as_deref()), held(far.as_ref()))
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
