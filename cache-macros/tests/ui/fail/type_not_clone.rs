use cache_aside::cached;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct User {
    id: u64,
}

#[cached(key = "user:{id}")]
async fn find_user(id: u64) -> Option<User> {
    Some(User { id })
}

fn main() {}
