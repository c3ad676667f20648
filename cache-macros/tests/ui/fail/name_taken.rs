use cache_aside::cached;

mod find_user {}

#[cached(key = "user:{id}")]
async fn find_user(id: u64) -> u64 {
    id
}

fn main() {}
