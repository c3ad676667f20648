use cache_aside::cached;

struct Database;

#[cached(key = "user:{id}")]
async fn find_user(database: &Database, id: u64, locale: &str, _: bool) -> String {
    let _ = database;
    format!("{id}{locale}")
}

struct User {
    id: u64,
}

#[cached(key = "user:{user.id}:{name.len()}")]
async fn find_as(user: &User, id: u64, name: &str, len: usize) -> String {
    format!("{} {id} {name} {len}", user.id)
}

fn main() {
    let _ = find_as(&User { id: 1 }, 2, "en", 2);
    let _ = find_user(&Database, 1, "en", true);
}
