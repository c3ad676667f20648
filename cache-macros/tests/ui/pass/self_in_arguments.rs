//! `self` in keys, tags, policies and `when`.
#![deny(warnings)]

use cache_aside::{CachingService, cached};
use std::time::Duration;

pub struct Users {
    cache: CachingService,
    tenant: String,
    ttl: Duration,
}

impl Users {
    #[cached(
        key = "{self.tenant}:{id}",
        tags = ["tenant:{self.tenant}"],
        ttl = self.ttl,
        when = !self.tenant.is_empty(),
        cache = self.cache
    )]
    pub async fn find(&self, id: u64) -> u64 {
        id
    }
}

fn main() { let _ = (Users::find_get, Users::find_put, Users::find_key); }
