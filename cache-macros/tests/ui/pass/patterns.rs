//! Patterns as arguments.
#![deny(warnings)]

use cache_aside::cached;

pub struct Path<T>(pub T);

#[cached(key = "{id}:{a}:{b}:{first}:{c}")]
pub async fn find(Path(mut id): Path<u64>, (a, b): (u64, u64), [first, ..]: [u8; 3], &c: &u64) -> u64 {
    id += a;
    id + b + u64::from(first) + c
}

fn main() {}
