use cache_aside::cached;

#[derive(Clone)]
struct User {
    id: u64,
}

#[cached(key = "user:{id}")]
async fn find_user(id: u64) -> Result<User, String> {
    Ok(User { id })
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct SearchResult<T>(Vec<T>);

#[cached(key = "search:{words}")]
async fn search(words: String) -> SearchResult<String> {
    SearchResult(vec![words])
}

fn main() {
    let _ = User { id: 1 }.id;
}
