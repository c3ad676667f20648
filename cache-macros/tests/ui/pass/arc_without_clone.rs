//! An `Arc` of what cannot be cloned.
#![deny(warnings)]

use cache_aside::cached;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Serialize, Deserialize)]
pub struct Unique(u64);

#[cached(key = "a:{id}")]
pub async fn plain(id: u64) -> Arc<Unique> {
    Arc::new(Unique(id))
}

#[cached(key = "b:{id}")]
pub async fn nested(id: &str) -> Result<Option<Arc<Unique>>, String> {
    Ok(id.parse().ok().map(Unique).map(Arc::new))
}

fn main() {}
