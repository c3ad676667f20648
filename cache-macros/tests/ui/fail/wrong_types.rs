use cache_aside::cached;

#[cached(key = "a:{id}", ttl = 5 * 60, schema = 1.5, when = id)]
async fn find_user(id: u64) -> u64 {
    id
}

#[cached(key = "b:{id}", cache = id)]
async fn find_other(id: u64) -> u64 {
    id
}

#[cached(key = "c:{id}", policy = 7)]
async fn find_third(id: u64) -> u64 {
    id
}

fn main() {}
