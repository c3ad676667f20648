//! Several attributes on one function.
#![deny(warnings)]

use cache_aside::{cache_invalidate, cache_put, cached};

#[cache_put(key = "user:{id}")]
#[cache_invalidate(key = "list:{name}")]
#[cache_invalidate(tags = ["a"])]
#[must_use]
pub async fn write(id: u64, mut name: String) -> u64 {
    name.push('a');
    id + name.len() as u64
}

#[cached(key = "read:{id}")]
#[cache_invalidate(key = "seen:{id}")]
pub async fn read(id: u64) -> u64 {
    id
}

#[cache_invalidate(key = "seen:{id}")]
#[cached(key = "above:{id}")]
pub async fn above(id: u64) -> u64 {
    id
}

fn main() {}
