//! A name for default keys.
#![deny(warnings)]

use cache_aside::cached;

#[cached(name = "users", skip(flag))]
pub async fn find(id: u64, flag: bool) -> Option<u64> {
    flag.then_some(id)
}

fn main() {}
