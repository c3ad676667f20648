use cache_aside::cached;

#[cached(key = "")]
async fn empty() -> u64 {
    1
}

#[cached(key = "user:{id")]
async fn unclosed(id: u64) -> u64 {
    id
}

#[cached(key = "user:{id + 1}")]
async fn computed(id: u64) -> u64 {
    id
}

#[cached(key = format!("user:{id}"))]
async fn not_a_literal(id: u64) -> u64 {
    id
}

#[cached("user:{id}")]
async fn unnamed(id: u64) -> u64 {
    id
}

#[cached(key = "user:{token:hash}")]
async fn hashed(token: String) -> usize {
    token.len()
}

fn main() {}
