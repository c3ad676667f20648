use cache_aside::cached;

#[cached(key = "user:{id}")]
async fn find_user(id: u64) -> impl ToString {
    id
}

#[cached(key = "raw:{id}")]
async unsafe fn raw(id: u64) -> u64 {
    id
}

fn main() {}
