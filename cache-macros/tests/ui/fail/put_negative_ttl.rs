use cache_aside::cache_put;

#[cache_put(key = "user:{id}", negative_ttl = "1m")]
async fn save(id: u64) -> Option<u64> {
    Some(id)
}

fn main() {}
