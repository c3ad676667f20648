//! The invalidation of 1,000,000 keys of 2,000,000 by one pattern, and what other clients feel of it.
//!
//! ```text
//! cargo run --release -p cache-redis --example pattern_scale [keys]
//! ```
//! Starts a redis-server of its own. Prints when the pattern took effect, how long its scan took, and how long GETs of another
//! client took at rest and meanwhile, and fails where their p99 is more than twice that at rest.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "it measures, and tells what it has measured")]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cache_core::{CacheTier, Namespace, Pattern};
use cache_redis::RedisTier;
use cache_testing::RedisServer;

#[tokio::main]
async fn main() -> ExitCode {
    let keys: usize = std::env::args().nth(1).map_or(2_000_000, |keys| keys.parse().unwrap());
    let server = RedisServer::builder().directive("enable-debug-command", "local").start();
    populate(&server, keys);
    let tier = RedisTier::new(server.url()).unwrap();
    tier.bind(&Namespace::new("app").unwrap()).unwrap();
    tier.ping().await.unwrap();

    let before = read_for(&server, Duration::from_secs(5)).await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(read_until(client(&server).await, Arc::clone(&done)));
    let progress = tokio::spawn(report(tier.clone(), Arc::clone(&done)));
    let started = Instant::now();
    let removed = tier.invalidate_pattern(&Pattern::new("user:*").unwrap()).await.unwrap();
    let took = started.elapsed();
    done.store(true, Ordering::SeqCst);
    let during = reader.await.unwrap();
    progress.await.unwrap();
    let after = read_for(&server, Duration::from_secs(5)).await;

    println!("{removed} keys of {keys} removed in {took:.1?}: {:.0} a second", removed as f64 / took.as_secs_f64());
    println!("| GETs of another client | p50 us | p99 us |\n|---|---|---|");
    for (when, taken) in [("at rest, before", &before), ("during the scan", &during), ("at rest, after", &after)] {
        println!("| {when} | {} | {} |", at(taken, 50).as_micros(), at(taken, 99).as_micros());
    }
    // The quieter of the two, so that a disturbance at rest hides nothing.
    let ratio = at(&during, 99).as_secs_f64() / at(&before, 99).min(at(&after, 99)).as_secs_f64();
    println!("p99 during the scan is {ratio:.2} x that at rest, at most 2 x");
    if ratio <= 2.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Half of the keys match.
fn populate(server: &RedisServer, keys: usize) {
    let mut connection = server.connect().unwrap();
    for (part, prefix) in (0..20).flat_map(|part| [(part, "app:user"), (part, "app:order")]) {
        let count = (keys / 40).to_string();
        connection.command(&["DEBUG", "POPULATE", &count, &format!("{prefix}:{part}"), "100"]).unwrap();
    }
    connection.command(&["SET", "other", "x"]).unwrap();
}

async fn report(tier: RedisTier, done: Arc<AtomicBool>) {
    while !done.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        println!("{} removed so far", tier.counters().swept);
    }
}

async fn client(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn read_for(server: &RedisServer, time: Duration) -> Vec<Duration> {
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(read_until(client(server).await, Arc::clone(&done)));
    tokio::time::sleep(time).await;
    done.store(true, Ordering::SeqCst);
    reader.await.unwrap()
}

/// How long GETs take, one after the other.
async fn read_until(mut connection: redis::aio::MultiplexedConnection, done: Arc<AtomicBool>) -> Vec<Duration> {
    let mut taken = Vec::new();
    while !done.load(Ordering::SeqCst) {
        let asked = Instant::now();
        let _: String = redis::cmd("GET").arg("other").query_async(&mut connection).await.unwrap();
        taken.push(asked.elapsed());
    }
    taken.sort_unstable();
    taken
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}
