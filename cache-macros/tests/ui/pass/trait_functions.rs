//! Functions of traits without `async_trait`.
#![deny(warnings)]

use cache_aside::cached;

#[allow(async_fn_in_trait)]
pub trait Finds: Sync {
    #[cached(companions = none)]
    async fn find_by_default(&self, id: u64) -> u64 {
        id
    }

    async fn find(&self, pair: (u64, u64)) -> Option<u64>
    where
        Self: Sized;
}

pub struct Generic<T>(T);

impl<T: Sync> Finds for Generic<T> {
    #[cached(key = "{T}:{a}:{b}", companions = none)]
    async fn find(&self, (a, b): (u64, u64)) -> Option<u64> {
        let _ = &self.0;
        a.checked_add(b)
    }
}

fn main() {}
