//! A keyspace: typed keys with loaders of their own, and three ways to write through it.
//!
//! `cargo run --example keyspace` starts a redis-server of its own, or uses the one that `CACHE_REDIS_URL` names.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod server;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_aside::{CacheKey, CachingService, Keyspace, LoadedBy, LocalTier, PendingWrite, Policy, RedisTier};
use serde::{Deserialize, Serialize};
use server::Server;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, CacheKey)]
struct PriceKey {
    product: u64,
    country: String,
}

impl PriceKey {
    fn new(product: u64, country: &str) -> Self {
        Self { product, country: country.to_owned() }
    }
}

/// Stands for a database.
#[derive(Clone, Default)]
struct Prices(Arc<Mutex<HashMap<PriceKey, u64>>>);

impl Prices {
    fn rows(&self) -> MutexGuard<'_, HashMap<PriceKey, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn query(&self, keys: Vec<PriceKey>) -> Result<HashMap<PriceKey, u64>, std::io::Error> {
        println!("  the database is asked for {} price(s)", keys.len());
        let rows = self.rows();
        Ok(keys.into_iter().filter_map(|key| rows.get(&key).map(|price| (key.clone(), *price))).collect())
    }

    async fn update(&self, key: PriceKey, price: u64) -> Result<(), std::io::Error> {
        self.rows().insert(key, price);
        Ok(())
    }
}

type PriceSpace = Keyspace<PriceKey, u64, LoadedBy<std::io::Error>>;

async fn read(prices: &PriceSpace) -> anyhow::Result<()> {
    let (german, french) = (PriceKey::new(7, "DE"), PriceKey::new(7, "FR"));
    println!("\none key: {}", prices.key(&german));
    println!("  {:?}", prices.get(&german).await?);
    println!("three keys, one of them cached and one that does not exist:");
    println!("  {:?}", prices.get_many(&[german, french, PriceKey::new(8, "FR")]).await?);
    Ok(())
}

async fn write(prices: &PriceSpace, database: &Prices) -> anyhow::Result<()> {
    let key = PriceKey::new(7, "DE");
    println!("\nwrite_through: the database first, then the cache");
    let update = |price: Arc<u64>| database.update(key.clone(), *price);
    prices.write_through(&key, 1_100, update).await?;
    println!("  {:?}", prices.get(&key).await?);

    println!("\nwrite_around: the database, and nothing old stays in the cache");
    prices.write_around(&key, || database.update(key.clone(), 1_200)).await?;
    println!("  {:?}", prices.get(&key).await?);
    Ok(())
}

async fn write_behind(prices: &PriceSpace, database: &Prices) -> anyhow::Result<()> {
    let key = PriceKey::new(7, "DE");
    println!("\nwrite_behind: acknowledged when Redis has it, and in the database later");
    let behind = prices.write_behind().build()?;
    for price in [1_300, 1_350] {
        if let Err(error) = behind.put(&key, price).await {
            println!("  not taken, since a write that only this process knows would be lost with it: {error}");
            return Ok(());
        }
    }
    println!("  read: {:?}, database: {:?}", prices.get(&key).await?, database.rows().get(&key));
    let database_of_workers = database.clone();
    behind.apply_with(move |writes: Vec<PendingWrite<PriceKey, u64>>| {
        let database = database_of_workers.clone();
        async move {
            println!("  a worker writes {:?}", writes.iter().map(|write| write.value).collect::<Vec<_>>());
            for write in writes {
                database.update(write.key, write.value).await?;
            }
            Ok::<_, std::io::Error>(())
        }
    })?;
    while behind.backlog().await?.pending > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("  read: {:?}, database: {:?}", prices.get(&key).await?, database.rows().get(&key));
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = Server::find()?;
    let builder = CachingService::builder().namespace("keyspace-example").local(LocalTier::new(1_000));
    let cache = builder.remote(RedisTier::new(server.url())?).build().await?;
    cache.clear().await;
    let database = Prices::default();
    database.rows().extend([(PriceKey::new(7, "DE"), 1_000), (PriceKey::new(7, "FR"), 1_050)]);

    let source = database.clone();
    let prices: PriceSpace = cache
        .keyspace("price")
        .policy(Policy::new(Duration::from_secs(60)))
        .batch_loader(move |keys| {
            let database = source.clone();
            async move { database.query(keys).await }
        })
        .build()?;
    read(&prices).await?;
    write(&prices, &database).await?;
    write_behind(&prices, &database).await?;
    println!("\nin memory: {:?}", prices.stats());
    cache.shutdown().await;
    Ok(())
}
