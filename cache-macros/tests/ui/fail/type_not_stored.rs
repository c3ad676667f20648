use cache_aside::cached;

#[derive(Clone)]
struct User {
    id: u64,
}

#[cached(key = "user:{id}")]
async fn find_user(id: u64) -> Result<User, String> {
    Ok(User { id })
}

fn main() {
    let _ = User { id: 1 }.id;
}
