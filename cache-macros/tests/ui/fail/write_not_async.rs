use cache_aside::{cache_invalidate, cache_put};

#[cache_invalidate(key = "user:{id}")]
fn remove(id: u64) -> u64 {
    id
}

#[cache_put(key = "user")]
struct User;

#[cache_put(key = "user")]
async fn without_body() -> u64;

fn main() {
    let _ = remove(1);
}
