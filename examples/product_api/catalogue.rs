//! The catalogue with its cache: everything that this example has to say about caching.

use std::sync::Arc;
use std::time::Duration;

use cache_aside::{CachingService, LoadError, LocalTier, Policy, RedisTier, Stats};
use serde_json::{Value, json};

use crate::database::{Database, DatabaseError};
use crate::product::{ProductChange, ProductPage};

const TTL: Duration = Duration::from_secs(300);
const MAX_LOCAL_ENTRIES: u64 = 100_000;

/// Product pages from the cache if there is one, else from the database.
pub(crate) struct Catalogue {
    database: Database,
    cache: Option<CachingService>,
}

/// Why there is no page, or no change.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProductError {
    #[error(transparent)]
    Load(#[from] LoadError<DatabaseError>),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the change was cut off; whether it was committed is unknown")]
    CutOff(#[from] tokio::task::JoinError),
}

/// A cache with an L1 in this process and, given a URL, an L2 in Redis.
pub(crate) async fn cache(namespace: &str, redis_url: Option<&str>) -> Result<CachingService, cache_aside::Error> {
    let mut builder = CachingService::builder()
        .namespace(namespace)
        .local(LocalTier::new(MAX_LOCAL_ENTRIES))
        .default_policy(Policy::new(TTL));
    if let Some(url) = redis_url {
        builder = builder.remote(RedisTier::new(url)?);
    }
    builder.build().await
}

impl Catalogue {
    pub(crate) fn new(database: Database, cache: Option<CachingService>) -> Self {
        Self { database, cache }
    }

    /// The product's page, loaded at most once for all who ask for it at the same time.
    pub(crate) async fn product(&self, id: u32) -> Result<Arc<ProductPage>, ProductError> {
        let database = self.database.clone();
        let load = move || async move { database.page(id).await };
        match &self.cache {
            Some(cache) => Ok(cache.get_or_load(key(id), load).await?),
            None => Ok(Arc::new(load().await?)),
        }
    }

    /// Commits the change, then invalidates the page: the other way round, a reader could load the old one in between.
    /// In a task of its own, because a client that hangs up cancels its handler, and must not do so between the two.
    pub(crate) async fn change(&self, id: u32, change: ProductChange) -> Result<u32, ProductError> {
        let (database, cache) = (self.database.clone(), self.cache.clone());
        let write = async move {
            let version = database.change(id, change).await?;
            if let Some(cache) = cache {
                cache.invalidate(key(id)).await;
            }
            Ok(version)
        };
        tokio::spawn(write).await?
    }

    pub(crate) async fn status(&self) -> Value {
        match &self.cache {
            Some(cache) => json!({ "status": cache.status().await, "stats": cache.stats() }),
            None => json!({ "status": "without cache" }),
        }
    }

    pub(crate) fn stats(&self) -> Option<Stats> {
        self.cache.as_ref().map(CachingService::stats)
    }

    /// Delivers the invalidations that still wait for Redis.
    pub(crate) async fn shutdown(&self) {
        if let Some(cache) = &self.cache {
            cache.clone().shutdown().await;
        }
    }
}

impl ProductError {
    pub(crate) fn is_no_such_product(&self) -> bool {
        let error = match self {
            Self::Load(LoadError::Source(error)) => error,
            Self::Database(error) => error,
            _ => return false,
        };
        matches!(error, DatabaseError::NoSuchProduct(_))
    }
}

fn key(id: u32) -> String {
    format!("product:{id}")
}
