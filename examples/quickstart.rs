//! The first steps. `cargo run --example quickstart` needs no server; with `CACHE_REDIS_URL=redis://127.0.0.1:6379`, or
//! `REDIS_HOST=127.0.0.1`, the values are also kept in Redis, for all processes.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::{Duration, Instant};

use cache_aside::{CachingService, cached};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
}

/// Stands in for a database.
async fn query_user(id: u64) -> Result<User, std::io::Error> {
    println!("    (querying the database for user {id})");
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(User { id, name: "Ada".to_owned() })
}

/// The same as an annotation: the body is the loader, and `price::invalidate` and others stand beside the function.
#[cached(key = "price:{sku}", ttl = "5m")]
async fn price(sku: u32) -> u64 {
    println!("    (querying the database for the price of {sku})");
    1_999
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cache = CachingService::from_env().await?;
    cache.clone().install_global()?; // What annotated functions use.
    let tiers = cache.status().await.tiers;
    let is_local = tiers.len() == 1;
    for tier in tiers {
        let error = tier.last_error.map(|error| format!(" ({error})")).unwrap_or_default();
        println!("tier {}: {:?}{error}", tier.name, tier.state);
    }
    if is_local {
        println!("neither CACHE_REDIS_URL nor REDIS_HOST is set: values are kept in this process only");
    } else {
        cache.invalidate_many(&["user:7", "user:8", "price:3"]).await; // An earlier run may have left them in Redis.
    }

    println!("\nThe first call loads, the second is answered from memory:");
    for _ in 0..2 {
        let started = Instant::now();
        let user = cache.get_or_load("user:7", || query_user(7)).await?;
        println!("  {user:?} after {:.1?}", started.elapsed());
    }

    println!("\n100 callers at once share one load:");
    let calls = (0..100).map(|_| cache.get_or_load("user:8", || query_user(8)));
    let started = Instant::now();
    let users = futures_util::future::try_join_all(calls).await?;
    println!("  {} answers after {:.1?}", users.len(), started.elapsed());

    println!("\nAfter an invalidation the next call loads again:");
    let receipt = cache.invalidate("user:7").await;
    println!("  removed: {}, delivery: {:?}", receipt.removed, receipt.delivery);
    println!("  {:?}", cache.get_or_load("user:7", || query_user(7)).await?);

    println!("\nA function annotated with #[cached]:");
    println!("  {} cents", price(3).await);
    println!("  {} cents", price(3).await);
    println!("  invalidated: {:?}", price::invalidate(3).await);
    println!("  {} cents", price(3).await);

    let stats = cache.stats();
    println!("\nloads: {}, callers that shared one: {}", stats.loads, stats.coalesced);
    for tier in stats.tiers {
        println!("tier {}: {} hits, {} misses, {} errors", tier.name, tier.hits, tier.misses, tier.errors);
    }
    cache.shutdown().await;
    Ok(())
}
