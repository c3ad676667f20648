use cache_aside::cached;

#[cached(key = "user:{user_id}:{nmae.len()}")]
async fn find_user(id: u64, name: String) -> u64 {
    id + name.len() as u64
}

#[cached(key = "config:{region}")]
async fn load_config() -> u64 {
    1
}

fn main() {
    let _ = (find_user::key(1, String::new()), load_config::key());
}
