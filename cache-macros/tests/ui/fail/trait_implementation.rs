use cache_aside::cached;

trait Finds {
    #[cached(key = "default:{id}")]
    async fn by_default(&self, id: u64) -> u64 {
        id
    }

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
