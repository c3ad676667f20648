//! The clients, each used as its own documentation recommends.
//!
//! All read the same keys, which hold what this project stores: a frame with a JSON text of 100 bytes. Only the service
//! decodes it; `RedisTier` reads the frame, and the others hand out bytes.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::Context;
use cache_aside::{CacheTier, CachingService, Key, Namespace, RedisTier};
use cache_testing::RedisServer;
use deadpool_redis::Runtime::Tokio1;
use fred::interfaces::{ClientLike, KeysInterface};
use redis::IntoConnectionInfo;
use redis::aio::MultiplexedConnection;

use super::{FRED, KEYS, NAMESPACE, POOL, RAW, SERVICE, TIER, VALUE_BYTES};

#[derive(Clone)]
pub(super) struct Client {
    kind: Kind,
    keys: Arc<[Key]>,
    /// The keys as Redis has them.
    names: Arc<[String]>,
}

#[derive(Clone)]
enum Kind {
    /// A service whose only tier is Redis: breaker, single flight and decoding are part of the call.
    Service(CachingService),
    /// The tier by itself.
    Tier(RedisTier),
    /// One connection that all tasks clone, as its documentation recommends, with `TCP_NODELAY` like all others here: without it
    /// a command waits for the answer to the one before.
    Raw(MultiplexedConnection),
    /// A pool as `Config::create_pool` makes it, from which each command takes a connection: the example of its README.
    Pool(deadpool_redis::Pool),
    /// One client that all tasks clone, with `TCP_NODELAY`, as in its README.
    Fred(fred::clients::Client),
}

/// All clients, over keys that are there.
pub(super) async fn all(server: &RedisServer) -> anyhow::Result<Vec<(&'static str, Client)>> {
    let url = server.url();
    let keys: Arc<[Key]> = (0..KEYS).map(|n| Key::new(format!("key:{n}"))).collect::<Result<_, _>>()?;
    let names: Arc<[String]> = keys.iter().map(|key| format!("{NAMESPACE}:{key}")).collect();
    let service = CachingService::builder().namespace(NAMESPACE).remote(RedisTier::new(&url)?).build().await?;
    for key in keys.iter() {
        service.set(key, "x".repeat(VALUE_BYTES)).await;
    }
    let tier = RedisTier::new(&url)?;
    tier.bind(&Namespace::new(NAMESPACE)?)?;
    let raw = without_delay(&url)?.get_multiplexed_async_connection().await?;
    let pool = deadpool_redis::Config::from_url(&url).create_pool(Some(Tokio1))?;
    let client = |kind| Client { kind, keys: Arc::clone(&keys), names: Arc::clone(&names) };
    let clients = vec![
        (RAW, client(Kind::Raw(raw))),
        (SERVICE, client(Kind::Service(service))),
        (TIER, client(Kind::Tier(tier))),
        (FRED, client(Kind::Fred(fred(&url).await?))),
        (POOL, client(Kind::Pool(pool))),
    ];
    for (name, client) in &clients {
        client.clone().get(0).await.with_context(|| format!("{name} cannot read"))?;
    }
    Ok(clients)
}

fn without_delay(url: &str) -> redis::RedisResult<redis::Client> {
    let server = url.into_connection_info()?;
    let tcp = server.tcp_settings().clone().set_nodelay(true);
    redis::Client::open(server.set_tcp_settings(tcp))
}

async fn fred(url: &str) -> anyhow::Result<fred::clients::Client> {
    let mut builder = fred::types::Builder::from_config(fred::types::config::Config::from_url(url)?);
    builder.with_connection_config(|config| config.tcp.nodelay = Some(true));
    let client = builder.build()?;
    client.init().await?;
    Ok(client)
}

impl Client {
    /// Reads one key, which is there.
    pub(super) async fn get(&mut self, at: usize) -> anyhow::Result<()> {
        let (key, name) = (&self.keys[at % KEYS], self.names[at % KEYS].as_str());
        let found = match &mut self.kind {
            Kind::Service(service) => black_box(service.get::<String>(key).await).is_some(),
            Kind::Tier(tier) => black_box(tier.get(key).await?).is_some(),
            Kind::Raw(connection) => {
                let bytes: Option<Vec<u8>> = redis::cmd("GET").arg(name).query_async(connection).await?;
                black_box(bytes).is_some()
            }
            Kind::Pool(pool) => {
                let mut connection = pool.get().await?;
                let bytes: Option<Vec<u8>> = redis::cmd("GET").arg(name).query_async(&mut connection).await?;
                black_box(bytes).is_some()
            }
            Kind::Fred(client) => !black_box(client.get::<fred::types::Value, _>(name).await?).is_null(),
        };
        anyhow::ensure!(found, "{name} is not there");
        Ok(())
    }

    /// Reads so many keys, which are there, by one call.
    pub(super) async fn get_many(&mut self, from: usize, count: usize) -> anyhow::Result<()> {
        let from = from % (KEYS - count);
        let (keys, names) = (&self.keys[from..from + count], &self.names[from..from + count]);
        let found = match &mut self.kind {
            Kind::Service(service) => {
                black_box(service.get_many::<String>(keys).await).iter().filter(|found| found.is_some()).count()
            }
            Kind::Tier(tier) => black_box(tier.get_many(keys).await?).iter().filter(|found| found.is_some()).count(),
            Kind::Raw(connection) => {
                let all: Vec<Option<Vec<u8>>> = redis::cmd("MGET").arg(names).query_async(connection).await?;
                black_box(all).iter().filter(|found| found.is_some()).count()
            }
            Kind::Pool(pool) => {
                let mut connection = pool.get().await?;
                let all: Vec<Option<Vec<u8>>> = redis::cmd("MGET").arg(names).query_async(&mut connection).await?;
                black_box(all).iter().filter(|found| found.is_some()).count()
            }
            Kind::Fred(client) => {
                let all: Vec<fred::types::Value> = client.mget(names.to_vec()).await?;
                black_box(all).iter().filter(|found| !found.is_null()).count()
            }
        };
        anyhow::ensure!(found == count, "{found} of {count} keys are there");
        Ok(())
    }
}
