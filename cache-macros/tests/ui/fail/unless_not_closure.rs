use cache_aside::cached;

#[cached(key = "user:{id}", unless = id > 1, tags = "org")]
async fn find_user(id: u64) -> u64 {
    id
}

fn main() {
    let _ = (find_user(1), find_user::get(1));
}
