use cache_aside::cached;

#[cached(key = "user:{id}", unless = |user| user.is_empty())]
async fn find_user(id: u64) -> Option<u64> {
    Some(id)
}

fn main() {
    let _ = find_user(1);
}
