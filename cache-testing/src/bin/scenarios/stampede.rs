//! 1,000 callers in 8 processes ask for one cold key at the same moment. The program starts itself eight times.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache_testing::{Process, RedisServer};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinSet;

use crate::options::Options;
use crate::table::{Cell, median, shown};
use crate::{Failure, Heading};

pub(crate) const HEADING: Heading =
    ("1,000 callers in 8 processes, cold key, loader of 200 ms: loads (slowest caller)", "1 (1.2 s)");

const OTHERS_SLOWEST: Duration = Duration::from_millis(1_200);

const PROCESSES: usize = 8;
const CALLERS_PER_PROCESS: usize = 125;
const LOAD_TIME: Duration = Duration::from_millis(200);

pub(crate) async fn run(options: &Options) -> Result<Cell, Failure> {
    let redis = RedisServer::start();
    let program = std::env::current_exe()?;
    let mut nodes: Vec<Process> = (0..PROCESSES)
        .map(|_| Process::builder(&program).argument("node").variable("CACHE_REDIS_URL", redis.url()).spawn())
        .collect();
    for node in &mut nodes {
        node.receive().await.ok_or("a process ended before it was ready")?;
    }
    let (mut most_loads, mut times) = (0, Vec::new());
    for number in 0..options.choose(5, 2) {
        let (loads, slowest) = round(&mut nodes, number).await?;
        most_loads = most_loads.max(loads);
        times.push(slowest);
    }
    for node in nodes {
        node.finish().await;
    }
    let slowest = median(times);
    Ok(Cell::new(most_loads == 1 && slowest <= OTHERS_SLOWEST, format!("{most_loads} ({})", shown(slowest))))
}

/// Releases all callers, and tells how many loads there were and how long the slowest caller took.
async fn round(nodes: &mut [Process], number: usize) -> Result<(usize, Duration), Failure> {
    let released = now().as_micros();
    // Each process reads its line on its own; the time of all counts from before the first is sent.
    for node in nodes.iter_mut() {
        node.send(&format!("cold:{number} {released}")).await;
    }
    let (mut loads, mut slowest) = (0, Duration::ZERO);
    for node in nodes {
        let answer = node.receive().await.ok_or("a process has ended")?;
        let (node_loads, node_slowest) = answer.split_once(' ').ok_or("expected: loads slowest")?;
        loads += node_loads.parse::<usize>()?;
        slowest = slowest.max(Duration::from_micros(node_slowest.parse()?));
    }
    Ok((loads, slowest))
}

/// One of the processes: for each line `key release-time` it makes its calls, and answers `loads slowest`.
pub(crate) async fn node(url: &str) -> Result<(), Failure> {
    let cache = crate::node::node(url).await?;
    println!("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let (key, released) = line.split_once(' ').ok_or("expected: key release-time")?;
        let before = cache.stats().loads;
        let slowest = call(&cache, key, Duration::from_micros(released.parse()?)).await?;
        println!("{} {}", cache.stats().loads - before, slowest.as_micros());
    }
    cache.shutdown().await;
    Ok(())
}

/// Loads `key` for all callers of this process, and tells how long after `released` the last one had the value.
async fn call(cache: &crate::node::Node, key: &str, released: Duration) -> Result<Duration, Failure> {
    let load = || async {
        tokio::time::sleep(LOAD_TIME).await;
        Ok::<_, Infallible>("value".to_owned())
    };
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS_PER_PROCESS {
        let (cache, key) = (cache.clone(), key.to_owned());
        callers.spawn(async move { cache.get_or_load(key, load).await.map(|_| now()) });
    }
    let mut slowest = Duration::ZERO;
    while let Some(answered) = callers.join_next().await {
        slowest = slowest.max(answered??.saturating_sub(released));
    }
    Ok(slowest)
}

/// A clock that all processes of a machine share.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
