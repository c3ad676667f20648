use cache_aside::cached;

#[cached(key = "user:{id}", skip(databse, id))]
async fn find_user(database: &str, id: u64) -> u64 {
    id + database.len() as u64
}

#[cached(key = "user:{id}", skip = database)]
async fn find_other(database: &str, id: u64) -> u64 {
    id + database.len() as u64
}

fn main() {}
