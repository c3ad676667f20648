use cache_aside::cached;

struct Database;

#[cached(key = "user:{id}")]
async fn find_user(database: &Database, id: u64, locale: &str, _: bool) -> String {
    let _ = database;
    format!("{id}{locale}")
}

fn main() {
    let _ = find_user(&Database, 1, "en", true);
}
