use cache_aside::cached;

#[cached(key = "user:{id}", ttl = "5m", ttl = "6m", skip(flag, flag))]
async fn find_user(id: u64, flag: bool) -> u64 {
    id + u64::from(flag)
}

fn main() {}
