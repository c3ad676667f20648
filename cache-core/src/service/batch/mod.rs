//! Batches: one read and one load for many keys.
//!
//! A batch takes part in the flights of its keys. It leads those that nobody else in this node leads, loads what is missing
//! of them in one call and ends each of these flights; only then does it wait for the keys that others lead. So no leader
//! ever waits for another flight, and two batches cannot wait for each other.

mod builder;
mod loader;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::global::in_scope;
use super::lease::Lease;
use super::load::Store;
use super::near::Near;
use super::read::FarRead;
use super::store::Origin;
use super::{Cacheable, Inner, Plan};
use crate::error::LoadError;
use crate::flight::{Leader, Role};
use crate::key::Key;
use crate::selection::Tier;

pub use builder::BatchBuilder;
pub(super) use loader::{Again, BatchLoader, Once};

/// What is known of the keys of a batch: `None` for an absence.
type Found<T> = HashMap<String, Option<Arc<T>>>;

/// A key of which this batch leads the flight.
type Led<T, E> = (Key, Leader<T, E>);

impl Inner {
    pub(super) async fn get_or_load_many<T, E>(
        self: &Arc<Self>,
        keys: &[impl AsRef<str>],
        plan: Plan,
        loader: impl BatchLoader<T, E>,
    ) -> Result<Vec<Option<Arc<T>>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
    {
        let mut found: HashMap<&str, Option<Arc<T>>> = HashMap::with_capacity(keys.len());
        let mut missing = HashSet::new();
        for key in keys.iter().map(AsRef::as_ref) {
            if found.contains_key(key) || missing.contains(key) {
                continue;
            }
            match self.look_near_as(key, &plan) {
                Near::Hit(value) => drop(found.insert(key, Some(value))),
                Near::Absent => drop(found.insert(key, None)),
                Near::Miss => drop(missing.insert(key)),
            }
        }
        let mut loaded = Found::new();
        if !missing.is_empty() {
            self.start(None);
            // In the order in which they were asked for.
            let mut names = Vec::with_capacity(missing.len());
            names.extend(keys.iter().map(AsRef::as_ref).filter(|key| missing.remove(key)).map(str::to_owned));
            let (inner, (send, receive)) = (Arc::clone(self), oneshot::channel());
            let flight = async move {
                // A caller that went away cancels nothing: the values are stored.
                let _ = send.send(inner.resolve_many(names, &plan, loader).await);
            };
            self.tasks.spawn("batch load", in_scope(flight));
            loaded = receive.await.unwrap_or(Err(LoadError::Cancelled))?;
        }
        let value = |key| found.get(key).or_else(|| loaded.get(key)).cloned().flatten();
        Ok(keys.iter().map(|key| value(key.as_ref())).collect())
    }

    async fn resolve_many<T, E>(
        self: &Arc<Self>,
        keys: Vec<String>,
        plan: &Plan,
        mut loader: impl BatchLoader<T, E>,
    ) -> Result<Found<T>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
    {
        let mut found = Found::with_capacity(keys.len());
        let (mut open, mut invalid) = self.divide(keys);
        while !open.is_empty() || !invalid.is_empty() {
            let (mut led, mut followed) = (Vec::with_capacity(open.len()), Vec::new());
            for key in open.drain(..) {
                match self.coherence.join::<T, E>(&key, plan.access) {
                    Role::Leads(leader) => led.push((key, leader)),
                    Role::Follows(follower) => followed.push((key, follower)),
                }
            }
            self.lead_many(led, std::mem::take(&mut invalid), plan, &mut loader, &mut found).await?;
            for (key, follower) in followed {
                match follower.wait().await {
                    Some(outcome) => {
                        self.counters.coalesced.increment();
                        found.insert(key.as_str().to_owned(), outcome?);
                    }
                    // Its leader went away without one.
                    None => open.push(key),
                }
            }
        }
        Ok(found)
    }

    /// The valid keys, and the others.
    fn divide(&self, keys: Vec<String>) -> (Vec<Key>, Vec<String>) {
        let (mut valid, mut invalid) = (Vec::with_capacity(keys.len()), Vec::new());
        for key in keys {
            if let Ok(key) = Key::new(&key) {
                valid.push(key);
            } else {
                self.note_invalid_key(&key);
                invalid.push(key);
            }
        }
        (valid, invalid)
    }

    /// Ends the flights that this batch leads: by what the tiers have, and by one load of the rest.
    async fn lead_many<T, E>(
        self: &Arc<Self>,
        led: Vec<Led<T, E>>,
        invalid: Vec<String>,
        plan: &Plan,
        loader: &mut impl BatchLoader<T, E>,
        found: &mut Found<T>,
    ) -> Result<(), LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
    {
        let mut open = Vec::with_capacity(led.len());
        for (key, leader) in led {
            // The flight before this one may have ended since the caller looked.
            let reads_near = plan.access.reads(Tier::NEAR);
            match if reads_near { self.peek_near(key.as_str(), plan.policy.schema_version()) } else { Near::Miss } {
                Near::Hit(value) => end(found, &key, leader, Some(value)),
                Near::Absent => end(found, &key, leader, None),
                Near::Miss => open.push((key, leader)),
            }
        }
        let keys: Vec<Key> = open.iter().map(|(key, _)| key.clone()).collect();
        let mut missing = Vec::with_capacity(open.len());
        for ((key, leader), read) in open.into_iter().zip(self.read_far_many(&keys, plan).await) {
            match read {
                FarRead::Found(value) => end(found, &key, leader, value),
                FarRead::Missing(of) => missing.push((key, leader, of)),
            }
        }
        let permits = join_all(missing.iter().map(|(key, _, of)| self.try_permit(key, plan, *of))).await;
        let mut leased = Vec::with_capacity(missing.len());
        for ((key, leader, _), permit) in missing.into_iter().zip(permits) {
            match permit {
                BatchLease::Filled(value) => end(found, &key, leader, value),
                BatchLease::Load(store) => leased.push(Leased { key, leader, store }),
            }
        }
        if leased.is_empty() && invalid.is_empty() {
            return Ok(());
        }
        self.load_many(leased, invalid, plan, loader, found).await
    }

    /// Loads in one call, stores each value as far as it may be, and ends each flight with what became of it.
    async fn load_many<T, E>(
        &self,
        leased: Vec<Leased<T, E>>,
        invalid: Vec<String>,
        plan: &Plan,
        loader: &mut impl BatchLoader<T, E>,
        found: &mut Found<T>,
    ) -> Result<(), LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
    {
        let names = leased.iter().map(|leased| leased.key.as_str()).chain(invalid.iter().map(String::as_str));
        let names: Vec<String> = names.map(str::to_owned).collect();
        let origins: Vec<Origin> = leased.iter().map(|leased| self.origin(&leased.key)).collect();
        let held = leased.iter().zip(&origins).filter_map(|(leased, origin)| Some((leased.store.lease()?, origin)));
        let held: Vec<(&Lease, &Origin)> = held.collect();
        let keep = async {
            join_all(held.iter().map(|(lease, origin)| lease.keep(plan.policy.tag_slots(), origin))).await;
            std::future::pending().await
        };
        // A loader that can be called but once, and was, has nothing for those whose leader went away since.
        let Some(load) = loader.loads(names) else { return Err(LoadError::Cancelled) };
        let mut loaded = match self.run_keeping(None, plan, keep, load).await {
            Ok(loaded) => loaded,
            Err(error) => {
                leased.into_iter().for_each(|leased| drop(leased.leader.end(Err(error.clone()))));
                return Err(error);
            }
        };
        let values: Vec<_> = leased.iter().map(|leased| loaded.remove(leased.key.as_str()).map(Arc::new)).collect();
        let stores = leased.into_iter().zip(origins).zip(values).map(|((leased, origin), value)| async move {
            let Leased { key, leader, store } = leased;
            self.store(&key, plan, store, origin, value.clone()).await;
            drop(leader.end(Ok(value.clone())));
            (key.as_str().to_owned(), value)
        });
        found.extend(join_all(stores).await);
        found.extend(invalid.into_iter().map(|key| {
            let value = loaded.remove(&key).map(Arc::new);
            (key, value)
        }));
        Ok(())
    }
}

/// A key that is to be loaded.
struct Leased<T: Cacheable, E: Send + Sync + 'static> {
    key: Key,
    leader: Leader<T, E>,
    store: Store,
}

fn end<T: Cacheable, E: Send + Sync + 'static>(
    found: &mut Found<T>,
    key: &Key,
    leader: Leader<T, E>,
    value: Option<Arc<T>>,
) {
    drop(leader.end(Ok(value.clone())));
    found.insert(key.as_str().to_owned(), value);
}

/// What is to be done about one key of a batch.
pub(super) enum BatchLease<T> {
    Filled(Option<Arc<T>>),
    Load(Store),
}
