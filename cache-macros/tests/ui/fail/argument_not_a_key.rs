use cache_aside::cached;

struct Database;

#[cached]
async fn find_user(database: &Database, id: u64) -> u64 {
    let _ = database;
    id
}

#[cached(key = "user:{database}:{id}")]
async fn find_other(database: &Database, id: u64) -> u64 {
    let _ = database;
    id
}

fn main() {}
