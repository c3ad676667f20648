//! A pattern is invalidated that covers 5,000 keys.

use std::time::{Duration, Instant};

use cache_testing::RedisServer;
use tokio::task::JoinSet;

use crate::node::{Node, heard, near, node};
use crate::options::Options;
use crate::table::{Cell, median, shown};
use crate::{Failure, Heading};

pub(crate) const HEADING: Heading = ("pattern invalidation of 5,000 keys", "7.6 ms");

const OTHERS: Duration = Duration::from_micros(7_600);

const KEYS: usize = 5_000;

pub(crate) async fn run(options: &Options) -> Result<Cell, Failure> {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await?, node(&redis.url()).await?);
    let (mut times, mut left) = (Vec::new(), 0);
    for _ in 0..options.choose(9, 2) {
        fill(&a).await?;
        heard(&a, &[&b]).await?;
        b.get::<String>("user:7").await.ok_or("the value is there to be read")?;
        let began = Instant::now();
        let receipt = a.invalidate_pattern("user:*").await?;
        times.push(began.elapsed());
        if receipt.removed != KEYS as u64 {
            return Err(format!("{} keys were removed, not {KEYS}", receipt.removed).into());
        }
        heard(&a, &[&b]).await?;
        left += usize::from(near(&b, "user:7").await.is_some());
    }
    let time = median(times);
    let old = if left == 0 { "" } else { ", old value left on the other node" };
    Ok(Cell::new(left == 0 && time <= OTHERS, format!("{}{old}", shown(time))))
}

async fn fill(node: &Node) -> Result<(), Failure> {
    let mut writers = JoinSet::new();
    for first in 0..50 {
        let node = node.clone();
        writers.spawn(async move {
            for number in (first..KEYS).step_by(50) {
                node.set(format!("user:{number}"), "value".to_owned()).await;
            }
        });
    }
    while let Some(written) = writers.join_next().await {
        written?;
    }
    Ok(())
}
