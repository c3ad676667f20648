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

/// What an `impl` block has in common for its functions may be named in their templates.
pub struct Shelf<T, const N: u64>(T);

impl<T: Send, const N: u64> Shelf<T, N> {
    #[cache_invalidate(key = "shelf:{Self}:{T}:{N:04}:{N.pow(2)}:{id}", pattern = "list:{T:hash}:*", tags = ["{T}"])]
    pub async fn remove(id: u64) -> u64 {
        id
    }
}

/// A write needs no name for what it returns.
#[cache_invalidate(key = "user:{id}")]
pub async fn remove_opaque(id: &u64) -> Result<impl Iterator<Item = impl Send>, String> {
    let id = id.to_string().parse::<u64>().map_err(|error| error.to_string())?;
    Ok(std::iter::once(id))
}

fn main() {}
