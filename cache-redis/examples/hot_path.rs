//! Reads of Redis against one shared connection of the client library, both with `TCP_NODELAY`, in one run, in turn.
//!
//! ```text
//! cargo run --release -p cache-redis --example hot_path
//! ```
//! Starts a redis-server of its own. Prints medians and their ratios, and fails where a limit is missed: use the ratios, since
//! client and server share the machine.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "it measures, and tells what it has measured")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache_core::clock::Timestamp;
use cache_core::{CacheTier, Entry, Key, Value};
use cache_redis::RedisTier;
use cache_testing::RedisServer;
use redis::IntoConnectionInfo;
use redis::aio::MultiplexedConnection;

const KEYS: usize = 10_000;
const VALUE_BYTES: usize = 100;
const ROUNDS: usize = 11;
const ROUND: Duration = Duration::from_millis(300);
const MANY: usize = 100;

#[derive(Clone)]
struct Subjects {
    tier: RedisTier,
    raw: MultiplexedConnection,
    keys: Arc<[Key]>,
    names: Arc<[String]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Tier,
    Raw,
}

/// Calls a second, and how long they took.
struct Round {
    rate: f64,
    p50: Duration,
    p99: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let server = RedisServer::start();
    let subjects = subjects(&server).await;
    let mut failed = false;
    let mut check = |what: &str, ratio: f64, limit: f64| {
        let missed = ratio < limit;
        failed |= missed;
        println!("{what}: {ratio:.2} x, at least {limit} x{}", if missed { "  MISSED" } else { "" });
    };
    println!("| tasks | raw /s | tier /s | ratio | raw p50, p99 us | tier p50, p99 us |\n|---|---|---|---|---|---|");
    let mut ratios = Vec::new();
    for (tasks, limit) in [(1, 0.95), (16, 0.95), (64, 1.15), (256, 1.4)] {
        let (mut raw, mut tier) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            raw.push(singles(&subjects, Subject::Raw, tasks).await);
            tier.push(singles(&subjects, Subject::Tier, tasks).await);
        }
        let ratio = median(raw.iter().zip(&tier).map(|(raw, tier)| tier.rate / raw.rate));
        let us =
            |rounds: &[Round], at: fn(&Round) -> Duration| median(rounds.iter().map(|r| at(r).as_secs_f64() * 1e6));
        println!(
            "| {tasks} | {:.0} | {:.0} | {ratio:.2} | {:.0}, {:.0} | {:.0}, {:.0} |",
            median(raw.iter().map(|round| round.rate)),
            median(tier.iter().map(|round| round.rate)),
            us(&raw, |round| round.p50),
            us(&raw, |round| round.p99),
            us(&tier, |round| round.p50),
            us(&tier, |round| round.p99),
        );
        let p99 = median(raw.iter().zip(&tier).map(|(raw, tier)| raw.p99.as_secs_f64() / tier.p99.as_secs_f64()));
        ratios.push((format!("{tasks} tasks, calls a second"), ratio, limit));
        if tasks >= 64 {
            ratios.push((format!("{tasks} tasks, p99 of raw against ours"), p99, 1.0));
        }
    }
    let mut many = Vec::new();
    for _ in 0..ROUNDS {
        many.push((
            batches(&subjects, Subject::Raw).await,
            batches(&subjects, Subject::Tier).await,
            in_turn(&subjects).await,
        ));
    }
    ratios.push((
        format!("get_many of {MANY} against MGET"),
        median(many.iter().map(|(raw, ours, _)| ours / raw)),
        0.9,
    ));
    let against_single = median(many.iter().map(|(_, ours, single)| ours / single));
    ratios.push((format!("get_many of {MANY} against as many GETs in turn"), against_single, 10.0));
    println!();
    ratios.iter().for_each(|(what, ratio, limit)| check(what, *ratio, *limit));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn subjects(server: &RedisServer) -> Subjects {
    let tier = RedisTier::new(server.url()).unwrap();
    let keys: Arc<[Key]> = (0..KEYS).map(|n| Key::new(format!("key:{n}")).unwrap()).collect();
    let names = keys.iter().map(|key| format!("cache:{key}")).collect();
    let value = Value::Encoded { bytes: Bytes::from(vec![b'x'; VALUE_BYTES]), codec: 1 };
    let entry = Entry::new(value, Timestamp::from_millis(1), Timestamp::MAX);
    let entries = keys.iter().map(|key| (key.clone(), entry.clone(), Duration::from_secs(3_600)));
    tier.set_many(entries.collect()).await.unwrap();
    // As the tier's own connection: without it, a command waits for the answer to the one before.
    let server = server.url().into_connection_info().unwrap();
    let tcp = server.tcp_settings().clone().set_nodelay(true);
    let client = redis::Client::open(server.set_tcp_settings(tcp)).unwrap();
    let raw = client.get_multiplexed_async_connection().await.unwrap();
    Subjects { tier, raw, keys, names }
}

/// `tasks` callers that each read one key after the other.
async fn singles(subjects: &Subjects, subject: Subject, tasks: usize) -> Round {
    let started = Instant::now();
    let callers: Vec<_> =
        (0..tasks).map(|task| tokio::spawn(caller(subjects.clone(), subject, task, started + ROUND))).collect();
    let mut taken = Vec::new();
    for caller in callers {
        taken.extend(caller.await.unwrap());
    }
    let rate = taken.len() as f64 / started.elapsed().as_secs_f64();
    taken.sort_unstable();
    let at = |percent: usize| taken[(taken.len() * percent / 100).min(taken.len() - 1)];
    Round { rate, p50: at(50), p99: at(99) }
}

async fn caller(mut subjects: Subjects, subject: Subject, task: usize, end: Instant) -> Vec<Duration> {
    let (mut taken, mut at, mut now) = (Vec::new(), task * 7_919, Instant::now());
    while now < end {
        at = (at + 1) % KEYS;
        match subject {
            Subject::Tier => assert!(subjects.tier.get(&subjects.keys[at]).await.unwrap().is_some()),
            Subject::Raw => {
                let name = &subjects.names[at];
                let bytes: Vec<u8> = redis::cmd("GET").arg(name).query_async(&mut subjects.raw).await.unwrap();
                assert!(!bytes.is_empty());
            }
        }
        let then = Instant::now();
        taken.push(then - now);
        now = then;
    }
    taken
}

/// Batches a second.
async fn batches(subjects: &Subjects, subject: Subject) -> f64 {
    let mut raw = subjects.raw.clone();
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < ROUND {
        let at = count * MANY % KEYS;
        match subject {
            Subject::Tier => {
                let found = subjects.tier.get_many(&subjects.keys[at..at + MANY]).await.unwrap();
                assert!(found.iter().all(Option::is_some));
            }
            Subject::Raw => {
                let mut command = redis::cmd("MGET");
                command.arg(&subjects.names[at..at + MANY]);
                let found: Vec<Vec<u8>> = command.query_async(&mut raw).await.unwrap();
                assert_eq!(found.len(), MANY);
            }
        }
        count += 1;
    }
    count as f64 / started.elapsed().as_secs_f64()
}

/// As many single reads one after the other: rounds of [`MANY`] a second.
async fn in_turn(subjects: &Subjects) -> f64 {
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < ROUND {
        assert!(subjects.tier.get(&subjects.keys[count % KEYS]).await.unwrap().is_some());
        count += 1;
    }
    count as f64 / MANY as f64 / started.elapsed().as_secs_f64()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
