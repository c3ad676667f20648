//! Functions that return a future.
#![deny(warnings)]

use cache_aside::{cache_invalidate, cached};
use std::future::Future;
use std::pin::Pin;

#[cached(key = "a:{id}")]
pub fn plain(id: u64) -> impl Future<Output = Result<u64, String>> + Send {
    async move { Ok(id) }
}

#[cached(key = "b:{id}")]
pub fn boxed(id: &str) -> Pin<Box<dyn Future<Output = usize> + Send + '_>> {
    Box::pin(async move { id.len() })
}

#[cache_invalidate(key = "c:{id}")]
pub fn write(id: u64) -> impl Future<Output = u64> + Send {
    async move { id }
}

fn main() {}
