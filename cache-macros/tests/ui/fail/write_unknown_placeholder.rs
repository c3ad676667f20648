use cache_aside::{cache_invalidate, cache_put};

#[cache_invalidate(keys = ["user:{di}", "b:{id}"], pattern = "list:{nmae}:*", tags = ["org:{id}{name}"])]
async fn remove(id: u64, name: &str) -> u64 {
    id + name.len() as u64
}

#[cache_put(key = "user:{self.id}")]
async fn save(id: u64) -> u64 {
    id
}

fn main() {
    let _ = (remove(1, ""), save(1));
}
