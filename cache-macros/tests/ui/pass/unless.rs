//! Closures over the value.
#![deny(warnings)]

use cache_aside::cached;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
pub struct User {
    pub id: u64,
    pub org: String,
}

#[cached(key = "a:{id}", unless = |user| user.org.is_empty())]
pub async fn inferred(id: u64) -> Result<Option<User>, String> {
    Ok(Some(User { id, org: String::new() }))
}

#[cached(key = "b:{id}", unless = |user: &User| user.id == 0)]
pub async fn written(id: &u64) -> User {
    User { id: *id, org: String::new() }
}

fn main() {}
