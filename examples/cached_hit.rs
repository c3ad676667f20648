//! What `#[cached]` adds to a hit: a call with a key of two arguments against `get` with a ready key, in turns.
//!
//! `cargo run --release --example cached_hit`

#![allow(clippy::print_stdout, reason = "it prints its figures")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use cache_aside::{CachingService, LocalTier, cached};

const ROUNDS: usize = 301;
const CALLS: u32 = 10_000;

#[cached(key = "user:{tenant}:{id}", ttl = "1h")]
async fn find_user(tenant: &str, id: u64) -> Arc<String> {
    Arc::new(format!("{tenant} {id}"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), cache_aside::Error> {
    let cache = CachingService::builder().local(LocalTier::new(1_000)).build().await?;
    cache.clone().install_global()?;
    find_user("tenant-1", 4_711).await;
    let key = find_user::key("tenant-1", 4_711);

    let (mut ready, mut annotated) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..CALLS {
            black_box(cache.get::<String>(black_box(&key)).await);
        }
        ready.push(began.elapsed() / CALLS);

        let began = Instant::now();
        for _ in 0..CALLS {
            black_box(find_user(black_box("tenant-1"), black_box(4_711)).await);
        }
        annotated.push(began.elapsed() / CALLS);
    }
    ready.sort_unstable();
    annotated.sort_unstable();
    let (ready, annotated) = (ready[ROUNDS / 2], annotated[ROUNDS / 2]);
    let ratio = annotated.as_secs_f64() / ready.as_secs_f64();
    println!("get: {ready:?}, #[cached]: {annotated:?}, ratio of the medians: {ratio:.2}");
    Ok(())
}
