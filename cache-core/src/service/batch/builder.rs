//! Calls for many keys with a policy of their own.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::{Cacheable, Inner, Plan};
use super::Once;
use crate::error::LoadError;
use crate::policy::Policy;

/// How to treat many keys: made by [`CachingService::batch`](crate::CachingService::batch).
///
/// Settings not made here are those of the service's default policy.
#[must_use = "it does nothing until one of its async calls is awaited"]
#[derive(Clone)]
pub struct BatchBuilder<'a> {
    inner: &'a Arc<Inner>,
    policy: Option<Policy>,
}

impl<'a> BatchBuilder<'a> {
    pub(in crate::service) const fn new(inner: &'a Arc<Inner>) -> Self {
        Self { inner, policy: None }
    }

    /// Uses `policy` in place of the service's default.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    fn plan(self) -> Plan {
        self.policy.map_or_else(|| self.inner.plan(), |policy| self.inner.plan_of(policy))
    }

    /// As [`CachingService::get_many`](crate::CachingService::get_many).
    pub async fn get<T: Cacheable>(self, keys: &[impl AsRef<str>]) -> Vec<Option<Arc<T>>> {
        let inner = self.inner;
        inner.get_many(keys, &self.plan()).await
    }

    /// As [`CachingService::get_or_load_many`](crate::CachingService::get_or_load_many).
    ///
    /// # Errors
    /// As there.
    pub async fn get_or_load<T, E, F, Fut>(
        self,
        keys: &[impl AsRef<str>],
        batch_loader: F,
    ) -> Result<Vec<Option<Arc<T>>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce(Vec<String>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<HashMap<String, T>, E>> + Send + 'static,
    {
        let inner = self.inner;
        inner.get_or_load_many(keys, self.plan(), Once(Some(batch_loader))).await
    }
}
