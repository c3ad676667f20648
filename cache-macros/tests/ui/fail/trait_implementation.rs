use cache_aside::cached;

trait Finds {
    async fn find(&self, id: u64) -> u64;
}

struct Users;

impl Finds for Users {
    #[cached(key = "user:{id}")]
    async fn find(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
