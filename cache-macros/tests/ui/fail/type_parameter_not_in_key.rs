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

fn main() {}
