//! Generic types.
#![deny(warnings)]

use cache_aside::cached;
use serde::{Serialize, de::DeserializeOwned};

pub struct Store<T>(T);

impl<T> Store<T>
where
    T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    #[cached]
    pub async fn find(&self, id: u64) -> Option<T> {
        (id > 0).then(|| self.0.clone())
    }

    #[cached(key = "{T}:{id}:{N}")]
    pub async fn nth<const N: usize>(&self, id: [u8; N]) -> T {
        let _ = id;
        self.0.clone()
    }

    #[cached]
    pub async fn made(value: u64) -> Option<u64>
    where
        Self: Sized,
    {
        Some(value)
    }
}

fn main() { let _ = Store::<u8>::made_get(1); }
