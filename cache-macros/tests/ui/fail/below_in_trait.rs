use cache_aside::{cache_invalidate, cached};

struct Users;

trait Finds {
    async fn find(&self, id: u64) -> u64;
}

impl Finds for Users {
    #[cached(key = "user:{id}", companions = none)]
    #[cache_invalidate(key = "seen:{id}")]
    #[inline]
    async fn find(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
