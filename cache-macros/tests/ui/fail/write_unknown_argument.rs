use cache_aside::{cache_invalidate, cache_put};

#[cache_invalidate(kye = "user:{id}", patern = "user:*", load_timeout = "1s")]
async fn remove(id: u64) -> u64 {
    id
}

#[cache_put(key = "user:{id}", valeu = |id| *id, key = "twice", around = true)]
async fn save(id: u64) -> u64 {
    id
}

fn main() {
    let _ = (remove(1), save(1));
}
