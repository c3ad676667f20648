//! Every argument.

use cache_aside::{CachingService, Policy, cached};
use std::sync::Arc;
use std::time::Duration;

const TTL: Duration = Duration::from_secs(5);

struct Context {
    cache: Arc<CachingService>,
}

fn policy(id: u64) -> Policy {
    Policy::new(Duration::from_secs(id))
}

#[cached(
    key = "user:{id}",
    ttl = TTL * 2,
    local_ttl = "1s",
    negative_ttl = "30s",
    load_timeout = "2s",
    jitter = 0.2,
    schema = 1,
    policy = policy(id),
    cache = context.cache,
    when = id > 1,
    skip(flag),
    crate = cache_aside,
)]
async fn find_user(context: &Context, id: u64, flag: bool) -> anyhow::Result<Option<u64>> {
    Ok(Some(id).filter(|_| flag))
}

#[cached()]
async fn nothing() {}

fn main() {
    let _ = nothing();
    let _ = |context: &Context| drop((find_user::key(1), find_user::get(context, 1), find_user::invalidate(context, 1)));
}
