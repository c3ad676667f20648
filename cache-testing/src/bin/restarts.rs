//! Load on a service while Redis is killed and started again and again: no call fails, and memory stays flat.
//!
//! ```text
//! cargo run --release -p cache-testing --bin restarts -- --minutes 60
//! ```
//! Starts a redis-server of its own. Callers load, read, write and invalidate through two nodes in this process. After every
//! restart it prints how many calls were made and failed, the slowest, and the memory of the process. It fails where a call
//! failed, or took longer than `--bound-ms`, or where the memory of the last quarter is more than that of the second.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cache_core::{BusStatus, CachingService, Policy};
use cache_local::LocalTier;
use cache_redis::RedisTier;
use cache_testing::RedisServer;
use clap::Parser;
use tokio::time::MissedTickBehavior;

type Failure = Box<dyn Error + Send + Sync>;

const CALLERS: u64 = 8;
const KEYS: u64 = 20_000;
/// Calls that a caller makes before it rests.
const BURST: u64 = 100;
/// How long Redis is away each time.
const AWAY: Duration = Duration::from_millis(500);
/// Memory may be so much more than it was, for what is not the service's: the allocator's, and the runtime's.
const SLACK_KIB: f64 = 4_096.0;

#[derive(Debug, Parser)]
#[command(
    about = "Restarts Redis again and again under load, and checks that no call fails and that memory stays flat."
)]
struct Options {
    /// How long, in minutes.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// How many restarts instead, whatever time they take.
    #[arg(long, conflicts_with = "minutes")]
    restarts: Option<u64>,
    /// Milliseconds from one restart to the next.
    #[arg(long, default_value_t = 60_000)]
    every_ms: u64,
    /// How many calls a second at most, of all callers together.
    #[arg(long, default_value_t = 100_000)]
    calls: u64,
    /// How many milliseconds the slowest call may take.
    #[arg(long, default_value_t = 2_000)]
    bound_ms: u64,
}

/// What callers have seen.
#[derive(Debug, Default)]
struct Seen {
    calls: AtomicU64,
    failed: AtomicU64,
    loads: AtomicU64,
    slowest_micros: AtomicU64,
    done: AtomicBool,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let options = Options::parse();
    let every = Duration::from_millis(options.every_ms);
    let restarts = options.restarts.unwrap_or_else(|| (options.minutes * 60_000).div_ceil(options.every_ms.max(1)));
    let server = RedisServer::start();
    let nodes = [node(&server).await?, node(&server).await?];
    let seen = Arc::new(Seen::default());
    let pace = Duration::from_secs(1).mul_f64((CALLERS * BURST) as f64 / options.calls.max(1) as f64);
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| tokio::spawn(call(nodes[caller as usize % 2].clone(), caller, pace, Arc::clone(&seen))))
        .collect();

    println!("| restarts | calls | failed | loads | slowest call | memory, KiB |\n|---|---|---|---|---|---|");
    let mut memory = Vec::new();
    for restart in 1..=restarts {
        tokio::time::sleep(every.saturating_sub(AWAY)).await;
        tokio::task::block_in_place(|| server.kill());
        tokio::time::sleep(AWAY).await;
        tokio::task::block_in_place(|| server.restart());
        memory.push(resident_kib()?);
        report(restart, &seen, memory.last().copied().unwrap_or_default());
    }
    for node in &nodes {
        until_well(node).await;
    }
    seen.done.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await?;
    }

    let failed = seen.failed.load(Ordering::Relaxed);
    let slowest = Duration::from_micros(seen.slowest_micros.load(Ordering::Relaxed));
    let growth = growth_kib(&memory);
    println!("\n{failed} failed calls; the slowest took {slowest:.1?}, at most {} ms", options.bound_ms);
    println!(
        "memory, last quarter against second: {growth:+.0} KiB, at most {SLACK_KIB}; {:+.1} KiB a restart",
        slope(&memory)
    );
    let good = failed == 0 && slowest <= Duration::from_millis(options.bound_ms) && growth <= SLACK_KIB;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A short time to live, so that the shared tier and the source are asked all the time.
async fn node(server: &RedisServer) -> Result<CachingService<()>, Failure> {
    let (near, far) = (LocalTier::new(KEYS / 2), RedisTier::new(server.url())?);
    let policy = Policy::new(Duration::from_secs(3)).jitter(0.2);
    let builder = CachingService::builder().namespace("restarts").default_policy(policy);
    let node = builder.local(near).remote(far).build().await?;
    until_well(&node).await;
    Ok(node)
}

async fn until_well(node: &CachingService<()>) {
    while node.status().await.bus != BusStatus::Healthy {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Mostly loads, some reads, and now and then a write or an invalidation, in bursts that begin `pace` after one another.
async fn call(node: CachingService<()>, caller: u64, pace: Duration, seen: Arc<Seen>) {
    let mut at = caller * 7_919;
    let mut bursts = tokio::time::interval(pace);
    bursts.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !seen.done.load(Ordering::Relaxed) {
        bursts.tick().await;
        for _ in 0..BURST {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Low keys are asked for more often than high ones.
            let key = format!("key:{}", (at >> 33) % ((at >> 20) % KEYS + 1));
            let began = Instant::now();
            let failed = match at >> 54 {
                0 => {
                    node.invalidate(&key).await;
                    false
                }
                1 => {
                    node.set(&key, at).await;
                    false
                }
                2..64 => {
                    node.get::<u64>(&key).await;
                    false
                }
                _ => {
                    let seen = Arc::clone(&seen);
                    let load = move || async move {
                        seen.loads.fetch_add(1, Ordering::Relaxed);
                        Ok::<_, std::convert::Infallible>(at)
                    };
                    node.get_or_load(&key, load).await.is_err()
                }
            };
            let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            seen.slowest_micros.fetch_max(micros, Ordering::Relaxed);
            seen.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
            seen.calls.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn report(restart: u64, seen: &Seen, memory: f64) {
    let [calls, failed, loads] = [&seen.calls, &seen.failed, &seen.loads].map(|count| count.load(Ordering::Relaxed));
    let slowest = Duration::from_micros(seen.slowest_micros.load(Ordering::Relaxed));
    println!("| {restart} | {calls} | {failed} | {loads} | {slowest:.1?} | {memory:.0} |");
}

/// The memory of this process.
fn resident_kib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .ok_or("the system does not say how much memory this process uses")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?)
}

/// How much more the last quarter is than the second, by their medians. The first is spent on filling tiers and tables.
fn growth_kib(memory: &[f64]) -> f64 {
    let quarter = memory.len().div_ceil(4);
    median(&memory[memory.len() - quarter..]) - median(memory.get(quarter..2 * quarter).unwrap_or(memory))
}

fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// The growth by restart after the first quarter, by least squares.
fn slope(memory: &[f64]) -> f64 {
    let settled = &memory[memory.len() / 4..];
    let count = settled.len() as f64;
    let middle = (count - 1.0) / 2.0;
    let mean = settled.iter().sum::<f64>() / count;
    let (mut rise, mut run) = (0.0, 0.0);
    for (at, figure) in settled.iter().enumerate() {
        let from_middle = at as f64 - middle;
        rise += from_middle * (figure - mean);
        run += from_middle * from_middle;
    }
    if run == 0.0 { 0.0 } else { rise / run }
}
