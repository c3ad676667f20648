//! A stampede: 1,000 callers in 8 processes ask for one cold key at the same moment, and its loader takes 200 ms.
//!
//! `cargo run --release --example stampede` starts a redis-server of its own, or uses the one that `CACHE_REDIS_URL`
//! names. The example starts itself eight times; each process is a node.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod server;

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use cache_aside::{CachingService, LocalTier, RedisTier, TierState};
use cache_testing::Process;
use futures_util::future::join_all;
use server::Server;
use tokio::io::{AsyncBufReadExt, BufReader};

const PROCESSES: usize = 8;
const CALLERS_PER_PROCESS: usize = 125;
const LOAD_TIME: Duration = Duration::from_millis(200);
const ROUNDS: usize = 5;

/// A clock that all processes of a machine share.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Loads `key` for all callers of this process, and tells how long after `released` the last one had the value.
async fn call(cache: &CachingService, key: &str, released: Duration) -> anyhow::Result<Duration> {
    let load = || async {
        tokio::time::sleep(LOAD_TIME).await;
        Ok::<_, Infallible>("value".to_owned())
    };
    let callers = (0..CALLERS_PER_PROCESS).map(|_| {
        let (cache, key) = (cache.clone(), key.to_owned());
        tokio::spawn(async move { cache.get_or_load(key, load).await.map(|_| now()) })
    });
    let mut slowest = Duration::ZERO;
    for caller in join_all(callers).await {
        slowest = slowest.max(caller??.saturating_sub(released));
    }
    Ok(slowest)
}

/// One of the processes: for each line `key release-time` it makes its calls, and answers `loads slowest`.
async fn node(url: &str) -> anyhow::Result<()> {
    let cache = CachingService::builder()
        .namespace("stampede")
        .local(LocalTier::new(1_000))
        .remote(RedisTier::new(url)?)
        .build()
        .await?;
    let is_up = cache.status().await.tiers.iter().all(|tier| tier.state == TierState::Up);
    println!("{}", if is_up { "ready" } else { "ready, without Redis" });
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let (key, released) = line.split_once(' ').context("expected: key release-time")?;
        let before = cache.stats().loads;
        let slowest = call(&cache, key, Duration::from_micros(released.parse()?)).await?;
        println!("{} {}", cache.stats().loads - before, slowest.as_micros());
    }
    cache.shutdown().await;
    Ok(())
}

/// Releases all callers on a key that nobody has, and tells how many loads there were and how long the slowest caller
/// took.
async fn round(nodes: &mut [Process], number: usize) -> anyhow::Result<(usize, Duration)> {
    let released = now().as_micros();
    // Each reads its line on its own; the time of all counts from before the first is sent.
    for node in nodes.iter_mut() {
        node.send(&format!("cold:{released}:{number} {released}")).await;
    }
    let (mut loads, mut slowest) = (0, Duration::ZERO);
    for node in nodes {
        let answer = node.receive().await.context("a process has ended")?;
        let (node_loads, node_slowest) = answer.split_once(' ').context("expected: loads slowest")?;
        loads += node_loads.parse::<usize>()?;
        slowest = slowest.max(Duration::from_micros(node_slowest.parse()?));
    }
    Ok((loads, slowest))
}

async fn stampede(url: &str) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let mut nodes: Vec<Process> = (0..PROCESSES)
        .map(|_| Process::builder(&program).argument("node").variable("CACHE_REDIS_URL", url).spawn())
        .collect();
    let mut all_up = true;
    for node in &mut nodes {
        all_up &= node.receive().await.as_deref() == Some("ready");
    }
    if !all_up {
        println!("Redis cannot be reached: every process will load for itself");
    }
    println!("{} callers in {PROCESSES} processes, a loader of {LOAD_TIME:?}", PROCESSES * CALLERS_PER_PROCESS);
    let mut times = Vec::new();
    for number in 1..=ROUNDS {
        let (loads, slowest) = round(&mut nodes, number).await?;
        println!("round {number}: loads: {loads}, slowest caller: {} ms", slowest.as_millis());
        times.push(slowest);
    }
    times.sort_unstable();
    println!("median of the slowest caller: {} ms", times[ROUNDS / 2].as_millis());
    for node in nodes {
        node.finish().await;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["node"] => node(&std::env::var("CACHE_REDIS_URL")?).await,
        [] => stampede(&Server::find()?.url()).await,
        _ => anyhow::bail!("it takes no arguments"),
    }
}
