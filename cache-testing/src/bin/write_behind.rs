//! Kills the workers of a write-behind, and restarts Redis, while writes go through it, and checks that none is lost and that
//! the writes of each key reach the source in order.
//!
//! `cargo run --release -p cache-testing --bin write_behind -- --writes 100000 --kills 100 --restarts 10`
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cache_core::coherence::Position;
use cache_core::{CachingService, PendingWrite, Policy, WriteBehind};
use cache_local::LocalTier;
use cache_redis::RedisTier;
use cache_testing::{Process, RedisServer};
use clap::{Args, Parser, Subcommand};
use redis::aio::MultiplexedConnection;

type Failure = Box<dyn Error + Send + Sync>;

const PRODUCERS: u64 = 16;
const KEYS_EACH: u64 = 4;

/// A bound on a hang, never a pause.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Parser)]
#[command(about = "Kills the workers of a write-behind, restarts Redis, and checks what reached the source.")]
struct Command {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    worker: Option<Worker>,
}

/// What the program becomes when it starts itself.
#[derive(Debug, Subcommand)]
enum Worker {
    #[command(hide = true)]
    Worker { cache: String, source: String },
}

#[derive(Clone, Debug, Args)]
struct Options {
    /// How many writes are made.
    #[arg(long, default_value_t = 100_000)]
    writes: u64,
    /// How many processes with workers run at once.
    #[arg(long, default_value_t = 3)]
    processes: usize,
    /// How often one of them is killed, with SIGKILL, and another started.
    #[arg(long, default_value_t = 100)]
    kills: u64,
    /// How often Redis is killed and started again.
    #[arg(long, default_value_t = 10)]
    restarts: u64,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let Command { options, worker } = Command::parse();
    if let Some(Worker::Worker { cache, source }) = worker {
        work(&cache, &source).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let good = run(options).await?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn open(url: &str) -> Result<(CachingService, WriteBehind<u64, u64>), Failure> {
    let builder = CachingService::<()>::builder().local(LocalTier::new(10_000)).remote(RedisTier::new(url)?);
    let service = builder.default_policy(Policy::new(Duration::from_secs(600))).build().await?;
    let numbers = service.keyspace::<u64, u64>("number").build()?;
    // Killed workers count as attempts, and here nothing is to be given up.
    let behind = numbers.write_behind().worker_lease(Duration::from_millis(500)).max_attempts(1_000_000);
    let behind = behind.retry_delay(Duration::from_millis(5)).poll_interval(Duration::from_millis(20)).build()?;
    Ok((service, behind))
}

/// A process with workers. Each write is added to a list of its key, also if it is there already, and one call in a hundred
/// says that it failed after it has written.
async fn work(cache: &str, source: &str) -> Result<(), Failure> {
    let (_service, behind) = open(cache).await?;
    let source = redis::Client::open(source)?.get_multiplexed_async_connection().await?;
    behind.apply_with(move |writes: Vec<PendingWrite<u64, u64>>| {
        let mut source = source.clone();
        async move {
            let mut batch = redis::pipe();
            for PendingWrite { id, key, value, .. } in &writes {
                batch.cmd("RPUSH").arg(format!("source:{key}")).arg(format!("{id} {value}")).ignore();
            }
            batch.query_async::<()>(&mut source).await.map_err(Failure::from)?;
            if fastrand::u32(..100) == 0 { Err(Failure::from("it fails on purpose")) } else { Ok(()) }
        }
    })?;
    std::future::pending().await
}

async fn run(options: Options) -> Result<bool, Failure> {
    // The append-only file is rewritten now and then, as it would be in operation, or reading it takes ever longer.
    let cache = RedisServer::builder().append_only().directive("auto-aof-rewrite-percentage", "100");
    let cache = Arc::new(cache.directive("auto-aof-rewrite-min-size", "2mb").start());
    let source = RedisServer::start();
    let (_service, behind) = open(&cache.url()).await?;
    let started = Instant::now();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let refused = Arc::new(AtomicU64::new(0));
    let each = options.writes.div_ceil(PRODUCERS * KEYS_EACH);
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|at| {
            let counts = (Arc::clone(&acknowledged), Arc::clone(&refused));
            tokio::spawn(produce(behind.clone(), at * KEYS_EACH, each, counts))
        })
        .collect();
    let faults = Faults { options, cache: cache.url(), source: source.url(), total: each * PRODUCERS * KEYS_EACH };
    let kills = faults.inject(&cache, &acknowledged, &behind).await?;
    for producer in producers {
        producer.await?;
    }
    let written = started.elapsed();
    let source = redis::Client::open(source.url())?.get_multiplexed_async_connection().await?;
    let summary = audit(source, each).await?;
    let Summary { entries, distinct, lost, disorder, .. } = summary;
    println!("writes acknowledged: {} in {written:.1?}", acknowledged.load(Ordering::SeqCst));
    println!("writes refused and made again: {}", refused.load(Ordering::SeqCst));
    println!("workers killed: {kills}, Redis restarted: {}", faults.options.restarts);
    println!("calls that reached the source: {entries}, of them repeated under their id: {}", entries - distinct);
    println!("lost: {lost}, out of order: {disorder}");
    Ok(lost == 0 && disorder == 0)
}

/// Writes 1, 2, 3 .. under each of its keys, and each of them until it is acknowledged.
async fn produce(
    behind: WriteBehind<u64, u64>,
    first: u64,
    each: u64,
    (acknowledged, refused): (Arc<AtomicU64>, Arc<AtomicU64>),
) {
    for value in 1..=each {
        for key in first..first + KEYS_EACH {
            while behind.put(&key, value).await.is_err() {
                refused.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }
}

struct Faults {
    options: Options,
    cache: String,
    source: String,
    total: u64,
}

impl Faults {
    fn spawn(&self) -> Result<Process, Failure> {
        let builder = Process::builder(std::env::current_exe()?);
        Ok(builder.argument("worker").argument(&self.cache).argument(&self.source).spawn())
    }

    /// Spreads kills and restarts over the writes, and goes on killing until all of them have reached the source.
    async fn inject(
        &self,
        cache: &RedisServer,
        acknowledged: &AtomicU64,
        behind: &WriteBehind<u64, u64>,
    ) -> Result<u64, Failure> {
        let mut workers = (0..self.options.processes).map(|_| self.spawn()).collect::<Result<Vec<_>, _>>()?;
        let mut kill = |at: usize| -> Result<(), Failure> {
            let victim = at % workers.len();
            workers[victim].kill();
            workers[victim] = self.spawn()?;
            Ok(())
        };
        let share = |count: u64, of: u64| (1..=count).map(move |at| at * of / (count + 1));
        let kills = share(self.options.kills, self.total).map(|at| (at, false));
        let mut plan: Vec<(u64, bool)> =
            kills.chain(share(self.options.restarts, self.total).map(|at| (at, true))).collect();
        plan.sort_unstable();
        for (number, (at, restart)) in plan.into_iter().enumerate() {
            until("writes go on", async || acknowledged.load(Ordering::SeqCst) >= at).await?;
            if restart {
                cache.kill();
                cache.restart();
            } else {
                kill(number + fastrand::usize(..2))?;
            }
        }
        until("all writes are made", async || acknowledged.load(Ordering::SeqCst) >= self.total).await?;
        let mut more = 0;
        while behind.backlog().await.map_or(1, |backlog| backlog.pending) > 0 && more < self.options.kills / 4 {
            kill(fastrand::usize(..self.options.processes))?;
            more += 1;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        until("all writes reach the source", async || behind.backlog().await.is_ok_and(|backlog| backlog.pending == 0))
            .await?;
        Ok(self.options.kills + more)
    }
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) -> Result<(), Failure> {
    let started = Instant::now();
    while !condition().await {
        if started.elapsed() > PATIENCE {
            return Err(format!("waited {PATIENCE:?} in vain: {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn audit(mut source: MultiplexedConnection, each: u64) -> Result<Summary, Failure> {
    let mut sum = Summary::default();
    for key in 0..PRODUCERS * KEYS_EACH {
        let list = format!("source:{key}");
        let lines: Vec<String> = redis::cmd("LRANGE").arg(list).arg(0).arg(-1).query_async(&mut source).await?;
        let calls =
            lines.iter().map(|line| read(line)).collect::<Option<Vec<_>>>().ok_or("a line that no worker wrote")?;
        let of_key = check(&calls, each);
        if of_key.lost + of_key.disorder > 0 {
            println!("key {key}: {of_key:?}");
        }
        sum.entries += of_key.entries;
        sum.distinct += of_key.distinct;
        sum.lost += of_key.lost;
        sum.disorder += of_key.disorder;
    }
    Ok(sum)
}

fn read(line: &str) -> Option<(Position, u64)> {
    let (id, value) = line.split_once(' ')?;
    Some((id.parse().ok()?, value.parse().ok()?))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Summary {
    /// Writes that were carried out, also again.
    entries: u64,
    /// Of them, with different ids.
    distinct: u64,
    /// Values that never reached the source.
    lost: u64,
    /// Writes that reached it for the first time after a later one, and values that a source which goes by ids would have
    /// after later ones.
    disorder: u64,
}

/// Checks what reached the source of one key under which 1, 2, 3 .. `each` were written. A value may be there under several
/// ids: its writer was refused, and wrote it again.
fn check(calls: &[(Position, u64)], each: u64) -> Summary {
    let mut sum = Summary { entries: calls.len() as u64, ..Summary::default() };
    let (mut ids, mut values) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    let mut newest: Option<(Position, u64)> = None;
    for &(id, value) in calls {
        values.insert(value);
        if !ids.insert(id) {
            continue;
        }
        sum.distinct += 1;
        if newest.is_some_and(|(last, newer)| id < last || value < newer) {
            sum.disorder += 1;
        }
        newest = newest.max(Some((id, value)));
    }
    sum.lost = (1..=each).filter(|value| !values.contains(value)).count() as u64;
    if newest.is_none_or(|(_, last)| last != each) {
        sum.lost += 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(calls: &[(u64, u64)], each: u64) -> (u64, u64, u64) {
        let calls: Vec<_> = calls.iter().map(|(id, value)| (Position::new(*id, 0), *value)).collect();
        let Summary { entries, distinct, lost, disorder } = check(&calls, each);
        (entries - distinct, lost, disorder)
    }

    #[test]
    fn repeated_writes_are_allowed_under_their_ids() {
        assert_eq!(checked(&[(1, 1), (2, 2), (5, 3)], 3), (0, 0, 0));
        assert_eq!(checked(&[(1, 1), (2, 2), (1, 1), (2, 2), (5, 3)], 3), (2, 0, 0));
        assert_eq!(checked(&[(1, 1), (2, 2), (3, 2), (5, 3)], 3), (0, 0, 0), "written again under another");
    }

    #[test]
    fn bad_histories_are_rejected() {
        assert_eq!(checked(&[(1, 1), (5, 3)], 3), (0, 1, 0), "lost");
        assert_eq!(checked(&[(1, 1), (2, 2)], 3), (0, 2, 0), "the last one lost");
        assert_eq!(checked(&[], 1), (0, 2, 0), "all lost");
        assert_eq!(checked(&[(1, 1), (5, 3), (2, 2)], 3), (0, 0, 1), "first seen too late");
        assert_eq!(checked(&[(1, 1), (2, 3), (3, 2), (4, 3)], 3), (0, 0, 1), "kept in the wrong order");
    }
}
