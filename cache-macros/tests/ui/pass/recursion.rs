//! A body that calls its own function.
#![deny(warnings)]

use cache_aside::cached;

#[cached(key = "{n}")]
pub async fn fibonacci(n: u64) -> u64 {
    match n {
        0 | 1 => n,
        _ => fibonacci(n - 1).await + fibonacci(n - 2).await,
    }
}

fn main() {}
