//! A near hit: without allocating, suspending, or asking Redis.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::convert::Infallible;

use allocation_counter::measure;
use cache_testing::RedisServer;
use futures_util::FutureExt;
use support::{local_only, node};

#[tokio::test]
async fn a_near_hit_neither_allocates_nor_suspends() {
    let redis = RedisServer::start();
    for cache in [local_only().await, node(&redis.url()).await] {
        cache.set("k", 7_u32).await;
        // moka keeps house now and then, and allocates for it: not for every hit, and not because of it.
        let mut spared = 0;
        for _ in 0..100 {
            let work = measure(|| {
                assert_eq!(*cache.get::<u32>("k").now_or_never().unwrap().unwrap(), 7);
                let load = || async { Err::<u32, _>("not asked") };
                assert_eq!(*cache.get_or_load("k", load).now_or_never().unwrap().unwrap(), 7);
                assert_eq!(*cache.entry("k").get::<u32>().now_or_never().unwrap().unwrap(), 7);
                let load = || async { Ok::<Option<u32>, Infallible>(None) };
                assert_eq!(*cache.entry("k").get_or_load_optional(load).now_or_never().unwrap().unwrap().unwrap(), 7);
            });
            spared += usize::from(work.count_total == 0);
        }
        assert!(spared >= 90, "{spared} of 100 rounds without an allocation");
    }
}
