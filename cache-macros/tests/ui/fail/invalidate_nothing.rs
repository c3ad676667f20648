use cache_aside::cache_invalidate;

#[cache_invalidate(when = id > 1)]
async fn save(id: u64) -> u64 {
    id
}

fn main() {
    let _ = save(1);
}
