//! The tiers of this build, for [`CachingService::from_env`](crate::CachingService::from_env): the one thing that only the
//! crate that knows all tiers can say.

use std::sync::Arc;

use cache_core::{Backends, CacheTier, Error, NearTier};

/// The tiers that this build has, by its features.
#[derive(Debug)]
pub enum Standard {}

impl Backends for Standard {
    fn local(max_entries: u64) -> Option<Arc<dyn NearTier>> {
        #[cfg(feature = "local")]
        return Some(Arc::new(cache_local::LocalTier::new(max_entries)));
        #[cfg(not(feature = "local"))]
        {
            let _ = max_entries;
            None
        }
    }

    fn remote(url: &str) -> Option<Result<Arc<dyn CacheTier>, Error>> {
        #[cfg(feature = "redis")]
        return Some(cache_redis::RedisTier::new(url).map(|tier| Arc::new(tier) as Arc<dyn CacheTier>));
        #[cfg(not(feature = "redis"))]
        {
            let _ = url;
            None
        }
    }
}
