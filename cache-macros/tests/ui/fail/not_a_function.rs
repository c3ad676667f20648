use cache_aside::cached;

#[cached(ttl = "5m")]
struct User {
    id: u64,
}

#[cached]
const LIMIT: u64 = 1;

fn main() {
    let _ = (User { id: 1 }.id, LIMIT);
}
