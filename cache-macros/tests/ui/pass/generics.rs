//! Lifetimes, type and constant parameters, `impl Trait` and `where`.

use cache_aside::{CacheKey, cached};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Display;

trait Model: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl Model for String {}

#[cached(key = "model:{T}:{id}")]
async fn find<'a, T, K: ?Sized>(id: &'a K) -> Option<T>
where
    T: Model,
    K: Display + Sync + 'a,
{
    let _ = id.to_string();
    None
}

#[cached]
async fn by_default<T: Model, K: CacheKey + Send + Sync, const N: usize>(ids: [K; N]) -> Vec<T> {
    let _ = ids;
    Vec::new()
}

#[cached(key = "{id}:{name}", skip(database))]
async fn anonymous(database: impl Sync + Send, id: impl Display + Send + Sync, name: &(dyn Display + Sync)) -> u64
where
{
    let _ = (database, id, name.to_string());
    1
}

#[cached(key = "top:{N}:{T}")]
async fn in_key_alone<T: Send, const N: usize>() -> usize {
    N + size_of::<T>()
}

#[cached(key = "count:{id}", skip(repository, T))]
async fn shared<R: Sync, T: Send>(repository: &R, id: u64) -> u64 {
    let _ = repository;
    id
}

#[cached(key = "by:{id}", skip(load))]
async fn by<F, Fut: Future<Output = u64> + Send + 'static>(id: u64, load: F) -> u64
where
    F: Fn(u64) -> Fut + Send + Sync + 'static,
{
    load(id).await
}

fn main() {
    let _ = by(1, |id| async move { id });
    let _ = in_key_alone::<u8, 2>();
    let _ = in_key_alone::key::<u8, 2>();
    let _ = shared::<_, u8>(&1, 2);
    let _ = shared::key(2);
    let _ = find::<String, str>("a");
    let _ = find::key::<String, _>("a");
    let _ = by_default::<String, u8, 2>([1, 2]);
}
