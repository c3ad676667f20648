use cache_aside::{cache_invalidate, cached};

#[cached(key = "user:{id}")]
async fn find_user(id: u64) -> u64 {
    id.
}

#[cache_invalidate(key = "user:{id}")]
async fn remove_user(id: u64) -> u64 {
    let _ = ;
    id
}

fn main() {
    let _ = (find_user(1), find_user::get(1), remove_user(1));
}
