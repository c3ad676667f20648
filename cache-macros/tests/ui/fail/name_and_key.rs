use cache_aside::cached;

#[cached(name = "users", key = "user:{id}")]
async fn find_user(id: u64) -> u64 {
    id
}

#[cached(name = users)]
async fn find_other(id: u64) -> u64 {
    id
}

fn main() {
    let _ = (find_user(1), find_user::key(1), find_other(1));
}
