//! The conformance suite on every tier: our own, and one that was written from the public documentation alone.
#![cfg(all(feature = "local", feature = "redis"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use cache_aside::{LocalTier, RedisTier};
#[cfg(feature = "cluster")]
use cache_testing::RedisCluster;
#[cfg(feature = "sentinel")]
use cache_testing::RedisSentinels;
use cache_testing::RedisServer;
use cache_testing::conformance::Subject;

/// A bound that holds on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(10);

// Its `main` is not called here.
#[allow(dead_code, unreachable_pub)]
#[path = "../examples/custom_tier.rs"]
mod custom_tier;

async fn local_by_entries() -> Subject {
    Subject::new(LocalTier::new(10_000))
}

async fn local_by_bytes() -> Subject {
    Subject::new(LocalTier::builder().max_bytes(64 << 20).build())
}

async fn redis() -> Subject {
    let server = RedisServer::start();
    let builder = RedisTier::builder(server.url()).connect_timeout(PATIENCE).response_timeout(PATIENCE);
    Subject::new(builder.build().unwrap()).keeping(server)
}

/// The user of docs/redis.md, with the namespace of the suite.
fn documented_user() -> String {
    let text = include_str!("../docs/redis.md");
    let blocks = text.split("ACL SETUSER cache-aside").skip(1).filter_map(|rest| rest.split("```").next());
    let rules: Vec<&str> = blocks.flat_map(str::split_whitespace).collect();
    rules.join(" ").replace("app:", "cache:").replace("{app}", "{cache}")
}

async fn redis_with_least_privilege() -> Subject {
    let server = RedisServer::builder().user("cache-aside", &documented_user()).start();
    let url = format!("redis://cache-aside:password@127.0.0.1:{}", server.port());
    let builder = RedisTier::builder(url).connect_timeout(PATIENCE).response_timeout(PATIENCE);
    Subject::new(builder.build().unwrap()).keeping(server)
}

#[cfg(feature = "cluster")]
async fn cluster() -> Subject {
    let cluster = RedisCluster::start();
    let builder = RedisTier::cluster(cluster.urls()).connect_timeout(PATIENCE).response_timeout(PATIENCE);
    Subject::new(builder.build().unwrap()).keeping(cluster)
}

#[cfg(feature = "sentinel")]
async fn sentinel() -> Subject {
    let sentinels = RedisSentinels::start();
    let builder = RedisTier::sentinel(sentinels.service(), sentinels.urls());
    let builder = builder.connect_timeout(PATIENCE).response_timeout(PATIENCE);
    Subject::new(builder.build().unwrap()).keeping(sentinels)
}

async fn custom() -> Subject {
    Subject::new(custom_tier::MapTier::default())
}

cache_testing::conformance!(local_tier: local_by_entries);
cache_testing::conformance!(local_tier_bounded_by_bytes: local_by_bytes);
cache_testing::conformance!(shared keeping writes redis_tier: redis);
cache_testing::conformance!(shared keeping writes redis_tier_with_least_privilege: redis_with_least_privilege);
#[cfg(feature = "cluster")]
cache_testing::conformance!(shared redis_cluster: cluster);
#[cfg(feature = "sentinel")]
cache_testing::conformance!(shared keeping writes redis_sentinel: sentinel);
cache_testing::conformance!(map_tier: custom);
