//! Every kind of error type.
#![deny(warnings)]

use cache_aside::cached;
use cache_aside::SharedError;
use std::convert::Infallible;

#[derive(Debug)]
pub enum Own {
    Shared(SharedError),
}

impl From<SharedError> for Own {
    fn from(error: SharedError) -> Self {
        Self::Shared(error)
    }
}

pub struct Alone(pub std::cell::Cell<u8>);

#[cached(key = "a:{id}", load_timeout = "1s")]
pub async fn any(id: u64) -> anyhow::Result<u64> {
    Ok(id)
}

#[cached(key = "b:{id}", load_timeout = "1s")]
pub async fn boxed(id: u64) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    Ok(id)
}

#[cached(key = "c:{id}")]
pub async fn own(id: u64) -> Result<u64, Own> {
    Ok(id)
}

#[cached(key = "d:{id}")]
pub async fn infallible(id: u64) -> Result<u64, Infallible> {
    Ok(id)
}

#[cached(key = "e:{id}")]
pub async fn alone(id: u64) -> Result<u64, Alone> {
    Ok(id)
}

fn main() {}
