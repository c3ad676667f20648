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

fn main() {
    let _ = find::<String, str>("a");
    let _ = find::key::<String, _>("a");
    let _ = by_default::<String, u8, 2>([1, 2]);
}
