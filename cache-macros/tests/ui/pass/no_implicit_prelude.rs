//! No expansion takes a name from the prelude.
#![no_implicit_prelude]
#![deny(warnings)]

use ::cache_aside::{CachingService, cache_invalidate, cache_put, cached};

#[cached(key = "user:{id}-{org}", tags = ["org:{org}"], ttl = "5m", negative_ttl = "1m", when = id > 1)]
pub async fn find(id: u64, org: &str) -> ::core::option::Option<u64> {
    let _ = org;
    ::core::option::Option::Some(id)
}

#[cached(cache = cache, skip(cache))]
pub async fn find_by_default(cache: &CachingService, id: u64) -> ::core::result::Result<u64, ::std::string::String> {
    let _ = cache;
    ::core::result::Result::Ok(id)
}

#[cache_put(key = "user:{id}-{org}", tags = ["org:{org}"], ttl = "5m", cache = cache)]
pub async fn save(cache: &CachingService, id: u64, org: &str) -> u64 {
    let _ = (cache, org);
    id
}

#[cache_put(key = "user:{id}", value = |saved| *saved)]
pub async fn save_made(id: u64) -> u64 {
    id
}

#[cache_invalidate(key = "user:{id}")]
pub async fn remove(id: u64) -> u64 {
    id
}

#[cache_invalidate(key = "user:{id}", keys = ["a:{id}", "b"], tags = ["c"], pattern = "list:{id}:*", cache = cache)]
pub async fn remove_all(cache: &CachingService, id: u64) -> u64 {
    let _ = cache;
    id
}

#[cache_invalidate(keys = ids, around = true)]
pub async fn remove_around(ids: &[&str]) -> usize {
    ids.len()
}

fn main() {}
