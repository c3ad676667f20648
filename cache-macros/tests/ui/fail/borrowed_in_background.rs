use cache_aside::cached;
use std::sync::Arc;

#[cached(key = "user:{name}", stale_while_revalidate = "1m")]
async fn find_user(name: &str) -> String {
    name.to_owned()
}

#[cached(key = "user:{id}", soft_timeout = "50ms", stale_if_error = "1h", refresh_ahead)]
async fn with_any<T: std::fmt::Display + Send + Sync>(id: T) -> String {
    id.to_string()
}

struct Users;

impl Users {
    #[cached(key = "user:{id}", refresh_ahead = 1.5)]
    async fn find(&self, id: u64) -> u64 {
        id
    }

    #[cached(key = "owned:{id}", refresh_ahead = 1.5)]
    async fn find_owned(self: Arc<Self>, id: u64) -> u64 {
        id
    }
}

fn main() {}
