//! Batches: one read and one load for many keys.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::global::in_scope;
use super::lease::Lease;
use super::load::Store;
use super::near::Near;
use super::read::{FarRead, Missing};
use super::store::Origin;
use super::{Cacheable, Inner, Plan};
use crate::error::LoadError;
use crate::key::Key;

impl Inner {
    pub(super) async fn get_or_load_many<T, E, F, Fut>(
        self: &Arc<Self>,
        keys: &[impl AsRef<str>],
        plan: Plan,
        batch_loader: F,
    ) -> Result<Vec<Option<Arc<T>>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce(Vec<String>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<HashMap<String, T>, E>> + Send + 'static,
    {
        let mut found: HashMap<String, Option<Arc<T>>> = HashMap::with_capacity(keys.len());
        let mut missing = Vec::new();
        for key in keys.iter().map(AsRef::as_ref) {
            if found.contains_key(key) || missing.iter().any(|known| known == key) {
                continue;
            }
            match self.look_near_as(key, &plan) {
                Near::Hit(value) => drop(found.insert(key.to_owned(), Some(value))),
                Near::Absent => drop(found.insert(key.to_owned(), None)),
                Near::Miss => missing.push(key.to_owned()),
            }
        }
        if !missing.is_empty() {
            self.start(None);
            let (inner, (send, receive)) = (Arc::clone(self), oneshot::channel());
            let flight = async move {
                // A caller that went away cancels nothing: the values are stored.
                let _ = send.send(inner.resolve_many(missing, &plan, batch_loader).await);
            };
            self.tasks.spawn("batch load", in_scope(flight));
            found.extend(receive.await.unwrap_or(Err(LoadError::Cancelled))?);
        }
        Ok(keys.iter().map(|key| found.get(key.as_ref()).cloned().flatten()).collect())
    }

    async fn resolve_many<T, E, F, Fut>(
        self: &Arc<Self>,
        keys: Vec<String>,
        plan: &Plan,
        batch_loader: F,
    ) -> Result<HashMap<String, Option<Arc<T>>>, LoadError<E>>
    where
        T: Cacheable,
        F: FnOnce(Vec<String>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<HashMap<String, T>, E>> + Send + 'static,
    {
        let mut found = HashMap::with_capacity(keys.len());
        let mut invalid = Vec::new();
        let mut valid = Vec::with_capacity(keys.len());
        for key in keys {
            match Key::new(&key) {
                Ok(key) => valid.push(key),
                Err(_) => {
                    self.note_invalid_key(&key);
                    invalid.push(key);
                }
            }
        }
        let mut missing = Vec::new();
        for (key, read) in valid.iter().zip(self.read_far_many(&valid, plan).await) {
            match read {
                FarRead::Found(value) => drop(found.insert(key.as_str().to_owned(), value)),
                FarRead::Missing(found) => missing.push((key.clone(), found)),
            }
        }
        let mut leased = Vec::with_capacity(missing.len());
        for ((key, _), store) in missing.iter().zip(self.lease_many(&missing, plan).await) {
            match store {
                BatchLease::Filled(value) => drop(found.insert(key.as_str().to_owned(), value)),
                BatchLease::Load(store) => leased.push((key.clone(), store)),
            }
        }
        if !leased.is_empty() || !invalid.is_empty() {
            self.load_many(leased, invalid, plan, batch_loader, &mut found).await?;
        }
        Ok(found)
    }

    /// Takes the leases that are free, all at once. It never waits for one: two batches could wait for each other.
    async fn lease_many<T: Cacheable>(self: &Arc<Self>, missing: &[(Key, Missing)], plan: &Plan) -> Vec<BatchLease<T>> {
        join_all(missing.iter().map(|(key, missing)| self.try_permit(key, plan, *missing))).await
    }

    async fn load_many<T, E, F, Fut>(
        &self,
        leased: Vec<(Key, Store)>,
        invalid: Vec<String>,
        plan: &Plan,
        batch_loader: F,
        found: &mut HashMap<String, Option<Arc<T>>>,
    ) -> Result<(), LoadError<E>>
    where
        T: Cacheable,
        F: FnOnce(Vec<String>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<HashMap<String, T>, E>> + Send + 'static,
    {
        let names: Vec<String> =
            leased.iter().map(|(key, _)| key.as_str().to_owned()).chain(invalid.iter().cloned()).collect();
        let origins: Vec<_> = leased.iter().map(|(key, _)| self.origin(key)).collect();
        let leases: Vec<(&Lease, &Origin)> =
            leased.iter().zip(&origins).filter_map(|((_, store), origin)| Some((store.lease()?, origin))).collect();
        let keep = async {
            join_all(leases.iter().map(|(lease, origin)| lease.keep(plan.policy.tag_slots(), origin))).await;
            std::future::pending().await
        };
        let mut loaded = self.run_keeping(None, plan, keep, move || batch_loader(names)).await?;
        let mut stores = Vec::with_capacity(leased.len());
        for ((key, store), origin) in leased.into_iter().zip(origins) {
            let value = loaded.remove(key.as_str()).map(Arc::new);
            found.insert(key.as_str().to_owned(), value.clone());
            stores.push(async move { self.store(&key, plan, store, origin, value).await });
        }
        join_all(stores).await;
        for key in invalid {
            let value = loaded.remove(&key).map(Arc::new);
            found.insert(key, value);
        }
        Ok(())
    }
}

/// What is to be done about one key of a batch.
pub(super) enum BatchLease<T> {
    Filled(Option<Arc<T>>),
    Load(Store),
}
