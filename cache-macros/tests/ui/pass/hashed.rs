//! Hashed and formatted placeholders.
#![deny(warnings)]

use cache_aside::cached;

#[cached(key = "{token:hash}:{id:08x}:{parts:hash}:{T:hash}")]
pub async fn find<T: Default + Send>(token: &str, id: u64, parts: Vec<u8>) -> u64 {
    let _ = T::default();
    id + token.len() as u64 + parts.len() as u64
}

fn main() {}
