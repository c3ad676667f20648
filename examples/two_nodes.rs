//! Two nodes over one Redis: what one stores the other reads, and an invalidation reaches both.
//!
//! `cargo run --example two_nodes` starts a redis-server of its own, or uses the one that `CACHE_REDIS_URL` names. The
//! nodes share nothing but Redis, so they could as well be two processes on two machines.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod server;

use std::time::{Duration, Instant};

use cache_aside::{CachingService, LocalTier, RedisTier, TierState};
use server::Server;

const KEY: &str = "greeting";

async fn node(url: &str) -> anyhow::Result<CachingService> {
    let node = CachingService::builder()
        .namespace("two-nodes")
        .local(LocalTier::new(1_000))
        .remote(RedisTier::new(url)?)
        .build()
        .await?;
    // A node that cannot reach Redis works on by itself, which would show nothing here.
    match node.status().await.tiers.iter().find(|tier| tier.state != TierState::Up) {
        None => Ok(node),
        Some(tier) => anyhow::bail!(
            "{} is away, so the nodes cannot hear of each other: {}",
            tier.name,
            tier.last_error.as_deref().unwrap_or_default()
        ),
    }
}

/// Reads until `node` has `expected`, and tells how long that took.
async fn sees(node: &CachingService, expected: Option<&str>) -> anyhow::Result<Duration> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        if node.get::<String>(KEY).await.as_deref().map(String::as_str) == expected {
            return Ok(started.elapsed());
        }
        tokio::task::yield_now().await;
    }
    let status = node.status().await;
    anyhow::bail!("{expected:?} was not seen within 5 s; bus: {:?}, tiers: {:?}", status.bus, status.tiers)
}

async fn run(url: &str) -> anyhow::Result<()> {
    let (a, b) = (node(url).await?, node(url).await?);

    println!("\nA sets \"hello\"");
    let receipt = a.set(KEY, "hello".to_owned()).await;
    println!("  delivery: {:?}", receipt.delivery);
    println!("  B reads it from Redis in {:.1?}", sees(&b, Some("hello")).await?);
    println!("  B reads it from its own memory in {:.1?}", sees(&b, Some("hello")).await?);

    println!("\nA sets \"good morning\", while B still has \"hello\" in its memory");
    a.set(KEY, "good morning".to_owned()).await;
    println!("  B has the new value {:.1?} after the call returned", sees(&b, Some("good morning")).await?);

    println!("\nB invalidates");
    let receipt = b.invalidate(KEY).await;
    println!("  removed: {}, delivery: {:?}", receipt.removed, receipt.delivery);
    println!("  B has nothing {:.1?} after the call returned", sees(&b, None).await?);
    println!("  A has nothing {:.1?} after that", sees(&a, None).await?);

    for (name, node) in [("A", a), ("B", b)] {
        let stats = node.stats();
        println!(
            "\n{name}: invalidations sent: {}, received: {}; hits in memory: {}, in Redis: {}",
            stats.invalidations_sent, stats.invalidations_received, stats.tiers[0].hits, stats.tiers[1].hits
        );
        node.shutdown().await;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = Server::find()?;
    match &server {
        Server::Given(_) => println!("using the Redis of CACHE_REDIS_URL"),
        Server::Own(own) => println!("started a redis-server on port {}", own.port()),
    }
    run(&server.url()).await
}
