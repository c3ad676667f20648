use cache_aside::cache_put;

#[cache_put(key = "user:{id}", when = |id| *id > 1, value = id)]
async fn save(id: u64) -> u64 {
    id
}

fn main() {
    let _ = save(1);
}
