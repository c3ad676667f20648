//! Aliases of `Result`.
#![deny(warnings)]

use cache_aside::cached;

pub type Found = Result<u64, String>;
pub type Fallible<T> = Result<T, String>;

#[cached(key = "a:{id}")]
pub async fn whole(id: u64) -> Found {
    Ok(id)
}

#[cached(key = "b:{id}")]
pub async fn generic(id: u64) -> Fallible<Option<u64>> {
    Ok(Some(id))
}

fn main() {}
