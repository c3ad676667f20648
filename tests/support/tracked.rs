//! A node that tracks foreign writes, and other programs that write.

use cache_aside::{CachingService, LocalTier, Policy, RedisTierBuilder};
use cache_testing::RedisServer;

use super::{MINUTE, eventually, hears_invalidations, near};

/// A bound that holds on a machine that is busy with other things.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

pub(crate) async fn tracking(remote: RedisTierBuilder) -> CachingService {
    let remote = remote.track_foreign_writes(true).connect_timeout(PATIENCE).response_timeout(PATIENCE);
    let builder = CachingService::builder().local(LocalTier::new(1_000)).remote(remote.build().unwrap());
    let node = builder.tier_timeout(PATIENCE).default_policy(Policy::new(MINUTE)).build().await.unwrap();
    hears_invalidations(&node).await;
    node
}

/// Has `{tag}` near, whatever the node has yet to hear of its own writes. `server` has the slot of that key.
pub(crate) async fn have(node: &CachingService, server: &RedisServer, tag: &str) {
    let key = format!("{{{tag}}}");
    eventually("it is near, and stays so", || async {
        if node.get::<String>(&key).await.is_none() {
            node.set(&key, "v".to_owned()).await;
        }
        has_heard(node, server, tag).await;
        near(node, &key).await.is_some()
    })
    .await;
}

/// Returns when the node has taken in everything that was written to `server` up to now.
async fn has_heard(node: &CachingService, server: &RedisServer, tag: &str) {
    let mark = format!("{{{tag}}}:mark-of-the-test");
    node.entry(&mark).local_only().set(String::new()).await;
    server.cli(&["SET", &format!("cache:{mark}"), "x"]);
    eventually("the node hears of the mark", || async { near(node, &mark).await.is_none() }).await;
}

/// Has `{tag}` near, lets `write` happen, and waits until it is not near any more.
pub(crate) async fn is_dropped(node: &CachingService, server: &RedisServer, tag: &str, write: impl FnOnce(&str)) {
    have(node, server, tag).await;
    write(&format!("cache:{{{tag}}}"));
    eventually("it is dropped", || async { near(node, &format!("{{{tag}}}")).await.is_none() }).await;
}
