//! Measures what `refresh_ahead` (XFetch) does for a hot key in real time: who waits, how many loads there are, and how early.
//!
//! `cargo run --release -p cache-testing --bin refresh_ahead`
//!
//! XFetch is by Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", PVLDB 8(8), 2015. A hit
//! that comes `r` before the end of a value that took `c` to load begins a refresh with the probability `exp(-r / (beta * c))`.
//! So, of hits that come at the rate `l`, the first to begin one comes no more than `r` before the end with the probability
//! `exp(-l * beta * c * exp(-r / (beta * c)))`: a Gumbel distribution, whose mean is `beta * c * (ln(l * beta * c) + 0.577)`.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cache_core::{CachingService, Policy};
use cache_local::LocalTier;
use cache_redis::RedisTier;
use cache_testing::RedisServer;
use clap::Parser;
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

/// Euler's constant.
const EULER: f64 = 0.577_215_664_9;

#[derive(Clone, Debug, Parser)]
#[command(about = "Measures who waits for a hot key that is refreshed ahead, how many loads there are, and how early.")]
struct Options {
    /// How many nodes share the value.
    #[arg(long, default_value_t = 4)]
    nodes: usize,
    /// How many callers ask each node, one call after the other.
    #[arg(long, default_value_t = 4)]
    callers: usize,
    /// How long a caller pauses between two calls, in milliseconds.
    #[arg(long, default_value_t = 2)]
    pause: u64,
    /// The time to live, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    ttl: u64,
    /// How long a load takes, in milliseconds.
    #[arg(long, default_value_t = 100)]
    cost: u64,
    /// The factor of `refresh_ahead`; 0 shows how it is without.
    #[arg(long, default_value_t = 1.0)]
    beta: f64,
    /// For how long it measures, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// A source that takes its time, and knows when it was asked.
struct Source {
    cost: Duration,
    /// When each load began and ended. Loads do not overlap, unless something is wrong.
    loads: Mutex<Vec<(Instant, Option<Instant>)>>,
    running: AtomicU64,
    overlapping: AtomicU64,
}

impl Source {
    /// Gives the number of the load.
    async fn load(self: Arc<Self>) -> Result<usize, Failure> {
        if self.running.fetch_add(1, Ordering::SeqCst) > 0 {
            self.overlapping.fetch_add(1, Ordering::SeqCst);
        }
        let number = {
            let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
            loads.push((Instant::now(), None));
            loads.len() - 1
        };
        tokio::time::sleep(self.cost).await;
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)[number].1 = Some(Instant::now());
        self.running.fetch_sub(1, Ordering::SeqCst);
        Ok(number)
    }

    /// Whether a load ended after `asked`. Whoever is given what was not there yet when it asked has waited for it.
    fn ended_after(&self, number: usize, asked: Instant) -> bool {
        let loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        loads[number].1.is_some_and(|ended| asked < ended)
    }
}

/// What the callers of the key have seen.
#[derive(Default)]
struct Seen {
    calls: u64,
    waited: u64,
    slowest: Duration,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let redis = RedisServer::start();
    let (ttl, cost) = (Duration::from_millis(options.ttl), Duration::from_millis(options.cost));
    let policy = Policy::new(ttl).jitter(0.0).refresh_ahead(options.beta);
    let mut nodes = Vec::with_capacity(options.nodes);
    for _ in 0..options.nodes {
        let builder = CachingService::<()>::builder().local(LocalTier::new(100)).remote(RedisTier::new(redis.url())?);
        nodes.push(builder.default_policy(policy.clone()).build().await?);
    }
    let source =
        Arc::new(Source { cost, loads: Mutex::default(), running: AtomicU64::new(0), overlapping: AtomicU64::new(0) });
    // The first load of all, for which everybody would have to wait.
    for node in &nodes {
        call(node, &source).await?;
    }
    let (began, until) = (Instant::now(), Instant::now() + Duration::from_secs(options.seconds));
    let mut callers = JoinSet::new();
    for node in &nodes {
        for _ in 0..options.callers {
            callers.spawn(ask(node.clone(), Arc::clone(&source), options.clone(), until));
        }
    }
    let mut seen = Seen::default();
    while let Some(one) = callers.join_next().await {
        let one = one??;
        seen.calls += one.calls;
        seen.waited += one.waited;
        seen.slowest = seen.slowest.max(one.slowest);
    }
    report(&options, &source, &seen, began.elapsed());
    Ok(())
}

async fn call(node: &CachingService, source: &Arc<Source>) -> Result<usize, Failure> {
    let source = Arc::clone(source);
    let value = node.get_or_load("hot", move || source.load()).await.map_err(|error| error.to_string())?;
    Ok(*value)
}

/// Asks for the key over and over, until it is time.
async fn ask(node: CachingService, source: Arc<Source>, options: Options, until: Instant) -> Result<Seen, Failure> {
    let mut seen = Seen::default();
    while Instant::now() < until {
        let asked = Instant::now();
        let number = call(&node, &source).await?;
        let took = asked.elapsed();
        seen.calls += 1;
        seen.slowest = seen.slowest.max(took);
        seen.waited += u64::from(source.ended_after(number, asked));
        // Spread, so that callers do not ask in step.
        tokio::time::sleep(Duration::from_millis(options.pause).mul_f64(fastrand::f64() + 0.5)).await;
    }
    Ok(seen)
}

fn report(options: &Options, source: &Source, seen: &Seen, took: Duration) {
    let loads = source.loads.lock().unwrap_or_else(PoisonError::into_inner);
    let ttl = options.ttl as f64 / 1_000.0;
    let took_each = loads.iter().filter_map(|(began, ended)| Some((*ended)?.duration_since(*began).as_secs_f64()));
    let cost = took_each.sum::<f64>() / loads.len() as f64;
    let rate = seen.calls as f64 / took.as_secs_f64();
    // Of each load but the first: how long before the value it replaces would have run out. Negative: after that.
    let ahead: Vec<f64> = loads
        .windows(2)
        .filter_map(|pair| {
            let end = pair[0].1? + Duration::from_millis(options.ttl);
            let early = end.saturating_duration_since(pair[1].0).as_secs_f64();
            Some(early - pair[1].0.saturating_duration_since(end).as_secs_f64())
        })
        .collect();
    let early = ahead.iter().filter(|ahead| **ahead > 0.0).count();
    println!("calls: {} ({rate:.0}/s on {} nodes)", seen.calls, options.nodes);
    println!("callers that waited: {}", seen.waited);
    println!("slowest call: {:.1} ms", seen.slowest.as_secs_f64() * 1_000.0);
    println!("a load takes: {:.1} ms", cost * 1_000.0);
    println!("loads after the first: {}, of them early: {early}", ahead.len());
    println!("loads at the same time: {}", source.overlapping.load(Ordering::SeqCst));
    if options.beta <= 0.0 || early == 0 {
        return;
    }
    let mean = ahead.iter().sum::<f64>() / ahead.len() as f64;
    let scale = options.beta * cost;
    let predicted = (scale * ((rate * scale).ln() + EULER)).clamp(0.0, ttl);
    println!("early by, on average: {:.0} ms; predicted: {:.0} ms", mean * 1_000.0, predicted * 1_000.0);
    let cycle = |ahead: f64| ttl - ahead + cost;
    println!(
        "loads an hour: {:.0}; predicted: {:.0}; without refresh_ahead: {:.0}",
        3_600.0 / cycle(mean),
        3_600.0 / cycle(predicted),
        3_600.0 / cycle(0.0),
    );
}
