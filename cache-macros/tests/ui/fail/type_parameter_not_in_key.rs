use cache_aside::cached;
use serde::{Serialize, de::DeserializeOwned};

#[cached(key = "row:{id}")]
async fn find_row<T>(id: u64) -> Option<T>
where
    T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let _ = id;
    None
}

#[cached(key = "top")]
async fn top<const N: usize>() -> usize {
    N
}

#[cached(key = "count:{id}")]
async fn count<T: Send, K: std::fmt::Display + Sync>(id: &K) -> usize {
    let _ = id;
    size_of::<T>()
}

fn main() {}
