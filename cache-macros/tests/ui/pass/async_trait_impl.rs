//! Functions that `async_trait` rewrites.
#![deny(warnings)]

use async_trait::async_trait;
use cache_aside::{CachingService, cache_invalidate, cached};

#[async_trait]
pub trait Finds: Sync {
    async fn find(&self, id: u64, name: &str) -> Result<u64, String>;

    #[cached(key = "default:{id}")]
    async fn find_by_default(&self, id: u64) -> Option<u64> {
        self.find(id, "").await.ok()
    }

    async fn remove(&mut self, id: u64);
}

pub struct Users {
    cache: CachingService,
}

#[async_trait]
impl Finds for Users {
    #[cached(key = "find:{id}:{name}", cache = self.cache)]
    async fn find(&self, id: u64, name: &str) -> Result<u64, String> {
        Ok(id + u64::try_from(name.len()).map_err(|error| error.to_string())?)
    }

    #[cache_invalidate(pattern = "find:{id}:*", cache = self.cache)]
    async fn remove(&mut self, id: u64) {
        let _ = id;
    }
}

fn main() {}
