use cache_aside::cache_put;

struct User {
    id: u64,
}

#[cache_put(key = "user:{id}")]
async fn save(id: u64) -> User {
    User { id }
}

#[cache_put(key = "user:{id}", value = |user| User { id: user.id })]
async fn save_other(id: u64) -> User {
    User { id }
}

fn main() {
    let _ = (save(1), save_other(1));
}
