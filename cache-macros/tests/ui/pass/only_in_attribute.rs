//! Arguments that only the attribute uses are not unused, also where there are no companions.
#![deny(unused)]

use cache_aside::cached;
use std::future::Future;

pub struct Users;

pub struct Path<T>(pub T);

#[allow(async_fn_in_trait)]
pub trait Finds: Sync {
    async fn by_key(&self, id: u64, path: Path<u64>) -> u64;

    async fn by_all(&self, id: u64, org: String, fresh: bool, seconds: u64) -> u64;

    fn by_future(&self, id: u64) -> impl Future<Output = u64> + Send;
}

impl Finds for Users {
    #[cached(key = "a:{id}:{number}", companions = none)]
    async fn by_key(&self, id: u64, Path(number): Path<u64>) -> u64 {
        1
    }

    #[cached(
        key = "b:{id}",
        tags = ["org:{org}"],
        when = !fresh,
        ttl = std::time::Duration::from_secs(seconds),
        skip(org, fresh, seconds),
        companions = none
    )]
    async fn by_all(&self, id: u64, org: String, fresh: bool, seconds: u64) -> u64 {
        1
    }

    #[cached(key = "c:{id}", companions = none)]
    fn by_future(&self, id: u64) -> impl Future<Output = u64> + Send {
        async move { 1 }
    }
}

fn main() {}
