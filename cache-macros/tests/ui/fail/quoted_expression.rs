use cache_aside::cached;

#[cached(key = "user:{id}", when = "id > 10", schema)]
async fn find_user(id: u64) -> u64 {
    id
}

fn main() {}
