use cache_aside::cache_put;

#[cache_put(ttl = "5m", local_ttl = "5 parsecs")]
async fn save(id: u64) -> u64 {
    id
}

fn main() {
    let _ = save(1);
}
