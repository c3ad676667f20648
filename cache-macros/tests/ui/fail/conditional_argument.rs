use cache_aside::cached;

#[cached(key = "user:{id}")]
async fn find_user(id: u64, #[cfg(debug_assertions)] debug: bool) -> u64 {
    id
}

struct Users;

impl Users {
    #[cached(key = "user:{id}")]
    async fn find(&self, #[cfg_attr(test, allow(unused))] id: u64) -> u64 {
        id
    }
}

fn main() {}
