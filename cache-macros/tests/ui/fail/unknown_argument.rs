use cache_aside::cached;

#[cached(key = "user:{id}", tll = "5m", expires = "5m", tags = ["org"])]
async fn find_user(id: u64) -> u64 {
    id
}

fn main() {
    let _ = (find_user(1), find_user::key(1), find_user::invalidate(1));
}
