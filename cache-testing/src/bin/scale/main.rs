//! What coherence costs the Redis server: one invalidation with up to 10,000 listening nodes, the records that one journal
//! takes in a second, a node at rest, and an entry's memory.
//!
//! ```text
//! cargo run --release -p cache-testing --bin scale
//! ```
//!
//! Work is given as processor time of the server's main thread (`INFO cpu`), which does not depend on what else the machine
//! does, and is the resource that runs out: a Redis server executes on one core.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

mod audience;
mod processor;

use std::error::Error;
use std::time::{Duration, Instant};

use cache_core::{BusStatus, CachingService, Policy};
use cache_local::LocalTier;
use cache_redis::RedisTier;
use cache_testing::RedisServer;

use audience::Audience;
use processor::Processor;

type Failure = Box<dyn Error + Send + Sync>;
type Node = CachingService<()>;

const NAMESPACE: &str = "scale";
const CHANNEL: &str = "{scale}!bus";
/// Enough to keep the server busy.
const WRITERS: usize = 64;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    fan_out().await?;
    journal().await?;
    at_rest().await?;
    memory().await
}

fn server() -> RedisServer {
    RedisServer::builder()
        .directive("maxclients", "12000")
        .directive("client-output-buffer-limit", "pubsub 0 0 0")
        .start()
}

async fn node(server: &RedisServer) -> Result<Node, Failure> {
    let tier = RedisTier::builder(server.url()).response_timeout(Duration::from_secs(5)).build()?;
    let builder = Node::builder().namespace(NAMESPACE).local(LocalTier::new(1_000)).remote(tier);
    let node = builder
        .default_policy(Policy::new(Duration::from_secs(600)))
        .tier_timeout(Duration::from_secs(10))
        .build()
        .await?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while node.status().await.bus != BusStatus::Healthy {
        if Instant::now() > deadline {
            return Err("the node does not hear of invalidations".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(node)
}

/// One invalidation of one key, by the number of nodes that hear of it: one after the other, and many at a time, when the
/// server sends what has gathered for a node in one piece.
async fn fan_out() -> Result<(), Failure> {
    println!("| nodes | server time of an invalidation, one at a time | {WRITERS} at a time | so one server ends at |");
    println!("|---|---|---|---|");
    for nodes in [1, 10, 100, 1_000, 10_000] {
        let server = server();
        let writer = node(&server).await?;
        let alone = invalidations(&server, &writer, nodes, 1, (20_000 / nodes).clamp(20, 2_000)).await?;
        let together = invalidations(&server, &writer, nodes, WRITERS, (20_000 / nodes).clamp(10, 2_000)).await?;
        let (alone, together) = (micros(alone), micros(together));
        println!("| {nodes} | {alone:.1} us | {together:.1} us | {:.0}/s |", 1e6 / together);
        writer.shutdown().await;
    }
    println!();
    Ok(())
}

/// What the server spends on each of `rounds` invalidations by each of `writers` tasks, until `nodes` nodes have heard.
async fn invalidations(
    server: &RedisServer,
    writer: &Node,
    nodes: usize,
    writers: usize,
    rounds: usize,
) -> Result<Duration, Failure> {
    let audience = Audience::gather(server.address(), CHANNEL, nodes - 1).await?;
    let work = async {
        let invalidate = |number: usize| {
            let writer = writer.clone();
            tokio::spawn(async move {
                for _ in 0..rounds {
                    writer.invalidate(format!("key:{number}")).await;
                }
            })
        };
        for task in (0..writers).map(invalidate).collect::<Vec<_>>() {
            task.await?;
        }
        audience.drain(server).await
    };
    let spent = Processor::of(server).during(work).await?;
    Ok(spent / u32::try_from(writers * rounds)?)
}

/// What the journal holds when it is full.
async fn journal() -> Result<(), Failure> {
    let server = server();
    let writer = node(&server).await?;
    invalidations(&server, &writer, 1, WRITERS, 200).await?;
    let bytes: f64 = server.cli(&["MEMORY", "USAGE", "{scale}!journal", "SAMPLES", "0"]).parse()?;
    let kept: f64 = server.cli(&["XLEN", "{scale}!journal"]).parse()?;
    println!("journal: {:.0} bytes for each of {kept} records, {:.1} MB.", bytes / kept, bytes / 1e6);
    writer.shutdown().await;
    Ok(())
}

/// What a node asks of the server that nobody calls.
async fn at_rest() -> Result<(), Failure> {
    const NODES: usize = 50;
    const SPAN: Duration = Duration::from_secs(10);
    let server = server();
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(node(&server).await?);
    }
    let idle = RedisServer::start();
    let span = async || {
        tokio::time::sleep(SPAN).await;
        Ok(())
    };
    let spent = Processor::of(&server).during(span()).await?;
    let nothing = Processor::of(&idle).during(span()).await?;
    let share = spent.saturating_sub(nothing).as_secs_f64() / SPAN.as_secs_f64() / NODES as f64;
    println!(
        "at rest: {:.1} us of the server a second for each node, so 10,000 nodes take {:.1} % of it.\n",
        share * 1e6,
        share * 1e6
    );
    for node in nodes {
        node.shutdown().await;
    }
    Ok(())
}

/// What an entry takes on the server beyond its key and its value.
async fn memory() -> Result<(), Failure> {
    const BYTES: usize = 200;
    let server = server();
    let node = node(&server).await?;
    node.set("key:1", "x".repeat(BYTES)).await;
    let plain = "x".repeat(BYTES + 2);
    server.cli(&["SET", "scale:key:2", &plain, "EX", "600"]);
    let used = |key: &str| server.cli(&["MEMORY", "USAGE", key]).parse::<u64>();
    let (framed, plain) = (used("scale:key:1")?, used("scale:key:2")?);
    println!("memory: an entry with {BYTES} bytes takes {framed} bytes of the server, SET with the same JSON {plain}.");
    node.shutdown().await;
    Ok(())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
