use cache_aside::cached;

#[cached(key = "a:{id}", ttl = "5 minutes", local_ttl = 30, negative_ttl = "0s", load_timeout = "")]
async fn find_user(id: u64) -> Result<u64, String> {
    Ok(id)
}

#[cached(key = "b:{id}", ttl = "5")]
async fn find_order(id: u64) -> u64 {
    id
}

fn main() {
    let _ = (find_user::key(1), find_order::key(1));
}
