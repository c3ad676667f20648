//! How a service uses the cache by explicit calls: a repository before a database, with errors of its own.
//!
//! `cargo run --example user_profiles` starts a redis-server of its own, and kills it half-way; one that `CACHE_REDIS_URL`
//! names is left alone.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod server;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cache_aside::{BusStatus, CachingService, LoadError, LocalTier, Policy, Receipt, RedisTier, TierState};
use serde::{Deserialize, Serialize};
use server::Server;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Profile {
    id: u64,
    name: String,
}

/// What callers of the repository get. It says nothing of the cache, whose faults are not theirs.
#[derive(Clone, Debug, thiserror::Error)]
enum ProfileError {
    #[error("the database cannot be reached")]
    Database,
    #[error("the profile could not be read in time")]
    Load,
}

impl From<LoadError<ProfileError>> for ProfileError {
    fn from(error: LoadError<ProfileError>) -> Self {
        // One load answers many callers, so its error is shared; the other causes are a timeout or a panic of the loader.
        error.source_error().cloned().unwrap_or(Self::Load)
    }
}

/// The profiles of one tenant: reads go through the cache, writes go to the database and then invalidate.
#[derive(Clone)]
struct Profiles {
    tenant: &'static str,
    cache: CachingService,
    database: Database,
}

impl Profiles {
    fn key(&self, id: u64) -> String {
        format!("profile:{}:{id}", self.tenant)
    }

    /// `None` is remembered for ten seconds, so that asking again and again for what is not there spares the database.
    async fn find(&self, id: u64) -> Result<Option<Arc<Profile>>, ProfileError> {
        let database = self.database.clone();
        let load = move || async move { database.select(id).await };
        let key = self.key(id);
        Ok(self.cache.entry(&key).negative_ttl(Duration::from_secs(10)).get_or_load_optional(load).await?)
    }

    /// One query for all that the cache does not have.
    async fn find_many(&self, ids: &[u64]) -> Result<Vec<Option<Arc<Profile>>>, ProfileError> {
        let wanted: HashMap<String, u64> = ids.iter().map(|&id| (self.key(id), id)).collect();
        let keys: Vec<String> = ids.iter().map(|&id| self.key(id)).collect();
        let database = self.database.clone();
        let load = move |missing: Vec<String>| async move {
            let ids: Vec<u64> = missing.iter().map(|key| wanted[key]).collect();
            let rows = database.select_many(&ids).await?;
            Ok::<_, ProfileError>(missing.into_iter().zip(rows).filter_map(|(key, row)| Some((key, row?))).collect())
        };
        Ok(self.cache.get_or_load_many(&keys, load).await?)
    }

    /// The database first, the invalidation second: the other way round, a reader in between would cache the old profile.
    async fn update(&self, profile: Profile) -> Result<Receipt, ProfileError> {
        let key = self.key(profile.id);
        self.database.upsert(profile).await?;
        Ok(self.cache.invalidate(key).await)
    }

    async fn delete(&self, id: u64) -> Result<Receipt, ProfileError> {
        self.database.delete(id).await?;
        Ok(self.cache.invalidate(self.key(id)).await)
    }

    /// After a change to all profiles of the tenant at once.
    async fn invalidate_all(&self) -> Result<Receipt, cache_aside::Error> {
        self.cache.invalidate_pattern(format!("profile:{}:*", self.tenant)).await
    }
}

/// Stands in for a database: 20 ms for each query.
#[derive(Clone, Default)]
struct Database {
    rows: Arc<Mutex<HashMap<u64, Profile>>>,
    queries: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
}

impl Database {
    async fn query<R>(&self, run: impl FnOnce(&mut HashMap<u64, Profile>) -> R) -> Result<R, ProfileError> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
        if self.down.load(Ordering::Relaxed) {
            return Err(ProfileError::Database);
        }
        Ok(run(&mut self.rows.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    async fn select(&self, id: u64) -> Result<Option<Profile>, ProfileError> {
        self.query(|rows| rows.get(&id).cloned()).await
    }

    async fn select_many(&self, ids: &[u64]) -> Result<Vec<Option<Profile>>, ProfileError> {
        self.query(|rows| ids.iter().map(|id| rows.get(id).cloned()).collect()).await
    }

    async fn upsert(&self, profile: Profile) -> Result<(), ProfileError> {
        self.query(|rows| drop(rows.insert(profile.id, profile))).await
    }

    async fn delete(&self, id: u64) -> Result<(), ProfileError> {
        self.query(|rows| drop(rows.remove(&id))).await
    }

    fn queries(&self) -> usize {
        self.queries.load(Ordering::Relaxed)
    }
}

/// Runs a step, and prints what it gave, how long it took and how many queries it cost.
async fn step<R: std::fmt::Debug>(profiles: &Profiles, what: &str, run: impl Future<Output = R>) {
    let (queries, started) = (profiles.database.queries(), Instant::now());
    let result = run.await;
    let (took, queries) = (started.elapsed(), profiles.database.queries() - queries);
    println!("  {what}: {result:?}\n    {took:.1?}, database queries: {queries}");
}

async fn everyday(profiles: &Profiles) {
    println!("\nEvery day:");
    step(profiles, "find 1", profiles.find(1)).await;
    step(profiles, "find 1 again", profiles.find(1)).await;
    step(profiles, "find 99, which is not there", profiles.find(99)).await;
    step(profiles, "find 99 again", profiles.find(99)).await;
    step(profiles, "find 1, 2, 3 and 99 at once", profiles.find_many(&[1, 2, 3, 99])).await;
    step(profiles, "rename 1", profiles.update(Profile { id: 1, name: "Ada Lovelace".to_owned() })).await;
    step(profiles, "find 1", profiles.find(1)).await;
    let calls = futures_util::future::join_all((0..50).map(|_| profiles.find(4)));
    step(profiles, "50 callers find 4 at once", async { calls.await.iter().filter(|found| found.is_ok()).count() })
        .await;
    step(profiles, "delete 4", profiles.delete(4)).await;
    step(profiles, "find 4", profiles.find(4)).await;
    step(profiles, "invalidate the tenant", profiles.invalidate_all()).await;
    profiles.database.down.store(true, Ordering::Relaxed);
    step(profiles, "find 2 with the database down", profiles.find(2)).await;
    profiles.database.down.store(false, Ordering::Relaxed);
    step(profiles, "find 2 with the database back, since no error is cached", profiles.find(2)).await;
}

async fn with_redis_killed(profiles: &Profiles, server: &cache_testing::RedisServer) {
    println!("\nRedis is killed. Callers are answered:");
    server.kill();
    step(profiles, "find 2, which is in memory", profiles.find(2)).await;
    step(profiles, "find 3, which is not", profiles.find(3)).await;
    step(profiles, "rename 3", profiles.update(Profile { id: 3, name: "Grace Hopper".to_owned() })).await;
    step(profiles, "find 3", profiles.find(3)).await;
    print_status(&profiles.cache).await;

    println!("\nRedis is back:");
    server.restart();
    let (started, limit) = (Instant::now(), Duration::from_secs(10));
    while !is_well(&profiles.cache).await && started.elapsed() < limit {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("  mended after {:.1?}", started.elapsed());
    print_status(&profiles.cache).await;
}

async fn is_well(cache: &CachingService) -> bool {
    let status = cache.status().await;
    status.queued_invalidations == 0
        && status.bus == BusStatus::Healthy
        && status.tiers.iter().all(|tier| tier.state == TierState::Up)
}

async fn print_status(cache: &CachingService) {
    let status = cache.status().await;
    for tier in &status.tiers {
        let answer = tier.latency.map_or("no answer".to_owned(), |latency| format!("answers in {latency:.1?}"));
        println!("  status: {} is {:?}, {answer}", tier.name, tier.state);
        if let Some(error) = &tier.last_error {
            println!("    last error: {error}");
        }
    }
    let bus = match status.bus {
        BusStatus::Healthy => "healthy",
        BusStatus::Isolated { .. } => "isolated",
        _ => "absent",
    };
    println!("  status: bus {bus}, queued invalidations: {}", status.queued_invalidations);
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = Server::find()?;
    let cache = CachingService::builder()
        .namespace("user-profiles")
        .local(LocalTier::new(10_000))
        .remote(RedisTier::new(server.url())?)
        .default_policy(Policy::new(Duration::from_secs(300)))
        .build()
        .await?;
    let names = [(1, "Ada"), (2, "Barbara"), (3, "Grace"), (4, "Hedy")];
    let rows = names.map(|(id, name)| (id, Profile { id, name: name.to_owned() }));
    let database = Database { rows: Arc::new(Mutex::new(rows.into())), ..Database::default() };
    let profiles = Profiles { tenant: "acme", cache, database };
    profiles.invalidate_all().await?; // What an earlier run may have left.

    print_status(&profiles.cache).await;
    everyday(&profiles).await;
    match &server {
        Server::Own(server) => with_redis_killed(&profiles, server).await,
        Server::Given(_) => println!("\nRedis belongs to someone else, so it is not killed here."),
    }
    let stats = profiles.cache.stats();
    println!("\nin all: {} loads, {} callers that shared one", stats.loads, stats.coalesced);
    profiles.cache.shutdown().await;
    Ok(())
}
