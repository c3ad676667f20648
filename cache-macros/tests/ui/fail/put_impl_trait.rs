use cache_aside::cache_put;

#[cache_put(key = "user:{id}")]
async fn save_user(id: u64) -> Result<impl ToString, String> {
    Ok(id)
}

fn main() {}
