use cache_aside::cached;

#[derive(Clone)]
struct NotFound;

#[cached(key = "user:{id}", load_timeout = "2s")]
async fn find_user(id: u64) -> Result<u64, NotFound> {
    if id > 0 { Ok(id) } else { Err(NotFound) }
}

#[cached(key = "count", load_timeout = "2s")]
async fn count() -> u64 {
    1
}

fn main() {}
