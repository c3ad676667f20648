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

#[path = "conformance/privileges.rs"]
mod privileges;
mod support;

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

async fn redis_with_least_privilege() -> Subject {
    let server = RedisServer::builder().user("cache-aside", &privileges::rules(&[])).start();
    let builder = RedisTier::builder(privileges::url(&server)).connect_timeout(PATIENCE).response_timeout(PATIENCE);
    Subject::new(builder.build().unwrap()).keeping(server)
}

/// As the least privileged user: what it may do is all that the tier does.
#[cfg(feature = "cluster")]
async fn cluster() -> Subject {
    let cluster = RedisCluster::start();
    privileges::admit(cluster.primaries(), &privileges::rules(&["a cluster"]));
    let builder = RedisTier::cluster(cluster.primaries().iter().map(privileges::url));
    Subject::new(builder.connect_timeout(PATIENCE).response_timeout(PATIENCE).build().unwrap()).keeping(cluster)
}

/// As the least privileged user.
#[cfg(feature = "sentinel")]
async fn sentinel() -> Subject {
    let sentinels = RedisSentinels::start();
    privileges::admit_at_sentinels(sentinels.sentinels());
    privileges::admit(std::slice::from_ref(sentinels.primary()), &privileges::rules(&[]));
    let urls: Vec<String> = sentinels.sentinels().iter().map(privileges::url).collect();
    let builder = RedisTier::sentinel(sentinels.service(), urls).servers("redis://cache-aside:password@any");
    Subject::new(builder.connect_timeout(PATIENCE).response_timeout(PATIENCE).build().unwrap()).keeping(sentinels)
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
