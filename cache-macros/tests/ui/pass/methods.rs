//! Methods, associated functions, and functions of traits.
#![deny(warnings)]

use cache_aside::{CachingService, cached};
use std::future::Future;
use std::sync::Arc;

pub struct Users<'d, D: Sync> {
    database: &'d D,
    cache: CachingService,
}

impl<'d, D: Sync> Users<'d, D> {
    /// Borrows.
    #[cached(key = "a:{id}", ttl = "5m", cache = self.cache)]
    pub async fn by_reference(&self, id: u64) -> u64 {
        let _ = &self.database;
        id
    }

    #[cached(key = "b:{id}", cache = self.cache)]
    pub(crate) async fn by_exclusive_reference(&mut self, id: u64) -> Option<u64> {
        Some(id)
    }

    #[cached(key = "c:{self.name()}:{id}")]
    pub async fn with_lifetime<'a>(&'a self, id: &'a str) -> Result<String, String>
    where
        D: 'a,
    {
        Ok(id.to_owned())
    }

    #[cached]
    pub async fn without_receiver(id: u64) -> Option<u64>
    where
        Self: Sized,
    {
        Some(id)
    }

    #[cached(key = "d:{id}", companions = associated)]
    pub async fn said_to_be_associated(id: u64) -> u64 {
        id
    }

    fn name(&self) -> &str {
        "users"
    }
}

pub struct Owned;

impl Owned {
    #[cached(key = "e:{id}")]
    pub async fn shared(self: Arc<Self>, id: u64) -> u64 {
        id
    }

    #[cached(key = "f:{id}")]
    pub async fn by_value(mut self, id: u64) -> u64 {
        self = Self;
        let _ = self;
        id
    }

    #[cached(key = "g:{id}")]
    pub fn future(&self, id: u64) -> impl Future<Output = u64> + Send {
        async move { id }
    }
}

pub trait Finds: Sync {
    fn find(&self, id: u64) -> impl Future<Output = u64> + Send;
}

impl Finds for Owned {
    #[cached(companions = none)]
    async fn find(&self, id: u64) -> u64 {
        id
    }
}

fn main() {
    let _ = Owned::future_key(1);
    let _ = Owned::future_get(1);
    let _ = Users::<u8>::with_lifetime_key;
}
