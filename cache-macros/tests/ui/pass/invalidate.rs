//! Every argument of `#[cache_invalidate]`.
#![deny(warnings)]

use cache_aside::{CachingService, cache_invalidate};

#[cache_invalidate(
    key = "user:{id}",
    keys = ["a:{name}", "b"],
    pattern = "list:{name}:*",
    tags = ["org:{id}"],
    when = id > 1,
    before = true,
    cache = cache,
    crate = cache_aside,
)]
pub async fn remove(cache: &CachingService, id: u64, name: &str) -> Result<(), String> {
    let _ = (cache, name);
    Err(id.to_string())
}

#[cache_invalidate(keys = ids.iter().map(|id| format!("user:{id}")), around = true)]
pub async fn remove_all(ids: Vec<u64>) -> usize {
    ids.len()
}

#[cache_invalidate(pattern = "user:*", when = |result| result.is_ok())]
pub async fn remove_users() -> Result<u64, String> {
    Ok(1)
}

fn main() {}
