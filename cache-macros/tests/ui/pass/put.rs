//! `#[cache_put]` on every shape.
#![deny(warnings)]

use cache_aside::cache_put;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Clone, Serialize, Deserialize)]
pub struct User {
    pub id: u64,
    pub org: String,
}

#[cache_put(key = "user:{user.id}", ttl = "5m", tags = ["org:{user.org}"])]
pub async fn plain(user: User) -> User {
    user
}

#[cache_put(key = "user:{id}", value = |user| user.clone())]
pub async fn fallible(id: u64) -> Result<User, std::convert::Infallible> {
    Ok(User { id, org: String::new() })
}

#[cache_put(key = "user:{id}", when = id > 1)]
pub async fn shared(id: u64) -> Result<Option<Arc<User>>, String> {
    Err(id.to_string())
}

fn main() {}
