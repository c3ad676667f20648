//! Raw and awkward names.
#![deny(warnings)]

use cache_aside::cached;

#[cached(key = "a:{r#type}")]
pub async fn r#match(r#type: u64) -> u64 {
    r#type
}

#[cached(key = "b:{key}:{value}:{entry}")]
pub async fn names(key: u64, value: u64, entry: u64) -> u64 {
    key + value + entry
}

fn main() {}
