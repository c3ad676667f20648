//! What calls cost: hits in the process, reads of Redis, misses with their fills, invalidations.
//!
//! ```text
//! cargo bench --bench tiers
//! ```
//! Starts a redis-server of its own. Beside other caches, in one run: `benches/peers`.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, reason = "a panic is how a benchmark fails")]

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache_aside::{CachingService, LocalTier, RedisTier, cached};
use cache_testing::RedisServer;
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use tokio::runtime::Runtime;

criterion_group!(benches, hits, redis);
criterion_main!(benches);

#[cached(key = "user:{tenant}:{id}", ttl = "1h")]
async fn find_user(tenant: &str, id: u64) -> Arc<u64> {
    Arc::new(id + tenant.len() as u64)
}

fn hits(criterion: &mut Criterion) {
    let cache = CachingService::builder().local(LocalTier::new(10_000)).build().now_or_never().unwrap().unwrap();
    cache.clone().install_global().unwrap();
    let key = find_user::key("tenant-1", 4_711);
    cache.set::<u64>(&key, 7).now_or_never().unwrap();
    let mut group = criterion.benchmark_group("L1 hit");
    group.bench_function("get", |bencher| {
        bencher.iter(|| cache.get::<u64>(black_box(key.as_str())).now_or_never().flatten().expect("a hit"));
    });
    group.bench_function("get_or_load", |bencher| {
        let load = || async { Ok::<_, Infallible>(7) };
        bencher.iter(|| cache.get_or_load(black_box(key.as_str()), load).now_or_never().expect("a hit"));
    });
    group.bench_function("#[cached]", |bencher| {
        bencher.iter(|| find_user(black_box("tenant-1"), black_box(4_711)).now_or_never().expect("a hit"));
    });
    group.finish();
}

fn redis(criterion: &mut Criterion) {
    let (runtime, server) = (Runtime::new().unwrap(), RedisServer::start());
    let far = runtime.block_on(node(&server, None));
    let both = runtime.block_on(node(&server, Some(LocalTier::new(100_000))));
    runtime.block_on(far.set("there", "x".repeat(100)));
    let mut fresh = 0_u64;
    let mut group = criterion.benchmark_group("Redis");
    group.measurement_time(Duration::from_secs(3));
    group.bench_function("L2 get", |bencher| {
        bencher.iter_custom(|calls| {
            runtime.block_on(async {
                let began = Instant::now();
                for _ in 0..calls {
                    far.get::<String>(black_box("there")).await.expect("a hit");
                }
                began.elapsed()
            })
        });
    });
    group.bench_function("miss and fill", |bencher| {
        bencher.iter_custom(|calls| {
            runtime.block_on(async {
                let began = Instant::now();
                for _ in 0..calls {
                    fresh += 1;
                    let load = || async { Ok::<_, Infallible>("x".repeat(100)) };
                    both.get_or_load(format!("fresh:{fresh}"), load).await.expect("it loads");
                }
                began.elapsed()
            })
        });
    });
    group.bench_function("invalidate", |bencher| {
        bencher.iter_custom(|calls| {
            runtime.block_on(async {
                let began = Instant::now();
                for _ in 0..calls {
                    both.invalidate(black_box("there")).await;
                }
                began.elapsed()
            })
        });
    });
    group.finish();
}

async fn node(server: &RedisServer, near: Option<LocalTier>) -> CachingService {
    let builder = CachingService::builder().remote(RedisTier::new(server.url()).unwrap());
    let node = match near {
        Some(near) => builder.local(near).build().await,
        None => builder.build().await,
    };
    node.unwrap()
}
