//! A pattern is invalidated that covers 5,000 keys.
//!
//! How long that takes depends on the machine more than anything else here, so it is also done by hand in the same run: keys
//! are scanned for and removed over a bare connection, and what the process holds is removed from a near tier without a
//! service around it.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache_core::clock::Timestamp;
use cache_core::{Entry, Key, NearTier, Value};
use cache_local::LocalTier;
use cache_testing::RedisServer;
use redis::Client;
use redis::aio::MultiplexedConnection;
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
    let (mut times, mut by_hand, mut left) = (Vec::new(), Vec::new(), 0);
    let mut hand = Hand::new(&redis.url()).await?;
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
        by_hand.push(hand.round().await?);
        left += usize::from(near(&b, "user:7").await.is_some());
    }
    let (time, by_hand) = (median(times), median(by_hand));
    let old = if left == 0 { "" } else { ", old value left on the other node" };
    let text = format!("{} (by hand in the same run {}){old}", shown(time), shown(by_hand));
    Ok(Cell::new(left == 0 && time <= OTHERS.max(by_hand), text))
}

/// The same without a service.
struct Hand {
    near: LocalTier,
    connection: MultiplexedConnection,
}

impl Hand {
    async fn new(url: &str) -> Result<Self, Failure> {
        let connection = Client::open(url)?.get_multiplexed_async_connection().await?;
        Ok(Self { near: LocalTier::new(10_000), connection })
    }

    /// Fills both tiers, and tells how long it takes to empty them.
    async fn round(&mut self) -> Result<Duration, Failure> {
        let mut batch = redis::pipe();
        for number in 0..KEYS {
            let key = Key::new(format!("user:{number}"))?;
            let value: Arc<dyn Any + Send + Sync> = Arc::new("value".to_owned());
            let entry = Entry::new(Value::Typed(value), Timestamp::ZERO, Timestamp::MAX);
            batch.cmd("SET").arg(format!("hand:{key}")).arg("\"value\"").ignore();
            self.near.insert(&key, entry, Duration::from_secs(60));
        }
        batch.exec_async(&mut self.connection).await?;
        let began = Instant::now();
        self.near.remove_matching(&|key, _| key.as_str().starts_with("user:"));
        let mut cursor = 0;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg("hand:user:*").arg("COUNT").arg(250);
            let (next, names): (u64, Vec<Vec<u8>>) = scan.query_async(&mut self.connection).await?;
            if !names.is_empty() {
                redis::cmd("UNLINK").arg(names).exec_async(&mut self.connection).await?;
            }
            if next == 0 {
                return Ok(began.elapsed());
            }
            cursor = next;
        }
    }
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
