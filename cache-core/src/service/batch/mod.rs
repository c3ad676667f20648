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
use super::lease::Permit;
use super::near::{self, Near};
use super::read::{FarRead, Wanted};
use super::stale::Need;
use super::store::{Origin, Store};
use super::{Cacheable, Inner, Loaded, Plan};
use crate::coherence::AtHand;
use crate::erased::{self, AnyError, AnyValue, Types, ValueType};
use crate::error::LoadError;
use crate::flight::{End, Leader, Role};
use crate::key::Key;

pub use builder::BatchBuilder;
pub(super) use loader::{Again, BatchLoader, Once};

/// What is known of the keys of a batch: `None` for an absence.
type Found<T> = HashMap<String, Option<Arc<T>>>;

/// A key of which this batch leads the flight.
type Led = (Key, Leader);

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
            let near = self.look_near_as(key, &plan);
            plan.count_near(&near);
            match near {
                Near::Hit(value) | Near::Due(value, _) => drop(found.insert(key, Some(value))),
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
        let types = Types::of::<T, E>();
        let mut found = Found::with_capacity(keys.len());
        let (mut open, mut invalid) = self.divide(keys);
        while !open.is_empty() || !invalid.is_empty() {
            let (mut led, mut followed) = (Vec::with_capacity(open.len()), Vec::new());
            for key in open.drain(..) {
                match self.coherence.join(&key, types.pair, plan.access, plan.policy.load_limit()) {
                    Role::Leads(leader) => led.push((key, leader)),
                    Role::Follows(follower) => followed.push((key, follower)),
                }
            }
            self.lead_many(led, std::mem::take(&mut invalid), plan, &mut loader, &mut found).await?;
            for (key, follower) in followed {
                let (wanted, offers) = (Wanted { key: &key, plan, of: types.value }, follower.offers());
                let ended = async {
                    let end = follower.wait(&*self.clock).await?;
                    self.counters.coalesced.increment();
                    Some(end)
                };
                match self.wait(wanted, offers, ended).await {
                    Some(outcome) => {
                        let value = erased::outcome(outcome)?;
                        found.insert(key.as_str().to_owned(), value);
                    }
                    // Its leader went away without one, or did not load it after all.
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
        led: Vec<Led>,
        invalid: Vec<String>,
        plan: &Plan,
        loader: &mut impl BatchLoader<T, E>,
        found: &mut Found<T>,
    ) -> Result<(), LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
    {
        let of = ValueType::of::<T>();
        let mut open = Vec::with_capacity(led.len());
        for (key, leader) in led {
            // The flight before this one may have ended since the caller looked.
            match self.find_near(Wanted { key: &key, plan, of }) {
                Some(near::Found::Value(value, at_hand)) if at_hand.entry.fresh_until > self.clock.now() => {
                    end(found, &key, leader, Some(value));
                }
                Some(near::Found::Absent) => end(found, &key, leader, None),
                Some(near::Found::Value(_, at_hand)) => open.push((key, leader, Some(at_hand))),
                None => open.push((key, leader, None)),
            }
        }
        let keys: Vec<Key> = open.iter().map(|(key, ..)| key.clone()).collect();
        let mut missing = Vec::with_capacity(open.len());
        for ((key, leader, near), read) in open.into_iter().zip(self.read_far_many(&keys, plan, of).await) {
            match read {
                FarRead::Found(value) => end(found, &key, leader, value),
                FarRead::Missing(what) => missing.push((key, leader, near, what)),
            }
        }
        let wanted = |key| Wanted { key, plan, of };
        let mut due = Vec::with_capacity(missing.len());
        for (key, leader, near, what) in missing {
            let at_hand = near.map(|near| near.fresher(what.at_hand.clone())).or_else(|| what.at_hand.clone());
            if let Some(at_hand) = &at_hand {
                leader.offer(at_hand);
            }
            let held = self.throttles.hold(&key, self.clock.now());
            let leader = if held { self.withhold(found, &key, leader, at_hand.as_ref(), plan) } else { Some(leader) };
            due.extend(leader.map(|leader| (key, leader, at_hand, what)));
        }
        let permits = join_all(due.iter().map(|(key, .., what)| self.try_permit(wanted(key), what))).await;
        let mut leased = Vec::with_capacity(due.len());
        for ((key, leader, at_hand, _), permit) in due.into_iter().zip(permits) {
            match permit {
                Permit::Filled(value) => end(found, &key, leader, value),
                Permit::Store(store) => leased.push(Leased { key, leader, store, at_hand }),
                Permit::Withheld => {
                    let leader = self.withhold(found, &key, leader, at_hand.as_ref(), plan);
                    leased.extend(leader.map(|leader| Leased { key, leader, store: Store::Nowhere, at_hand }));
                }
            }
        }
        if leased.is_empty() && invalid.is_empty() {
            return Ok(());
        }
        self.load_many(leased, invalid, plan, loader, found).await
    }

    /// Ends the flight of a key whose load has failed a moment ago, with what is at hand. Gives the leader back where that may not be
    /// served: then this caller loads.
    fn withhold<T: Cacheable>(
        &self,
        found: &mut Found<T>,
        key: &Key,
        leader: Leader,
        at_hand: Option<&AtHand>,
        plan: &Plan,
    ) -> Option<Leader> {
        let wanted = Wanted { key, plan, of: ValueType::of::<T>() };
        let Some(Ok(value)) = self.settle(wanted, at_hand, End::Withheld) else { return Some(leader) };
        drop(leader.end(End::Withheld));
        self.counters.throttled.increment();
        found.insert(key.as_str().to_owned(), value.map(erased::value));
        None
    }

    /// Loads in one call, stores each value as far as it may be, and ends each flight with what became of it.
    async fn load_many<T, E>(
        &self,
        mut leased: Vec<Leased>,
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
        // A loader that can be called but once, and was, has nothing for those whose leader went away since.
        let Some(load) = loader.loads(names) else { return Err(LoadError::Cancelled) };
        for Leased { key, at_hand, .. } in &mut leased {
            *at_hand = self.to_replace(key, at_hand.take());
        }
        let keep = async {
            let rights = leased.iter().zip(&origins);
            join_all(rights.map(|(leased, origin)| leased.store.keep(plan.policy.tag_slots(), origin))).await;
            std::future::pending().await
        };
        let load = async move { load().await.map_err(|error| Arc::new(error) as Arc<AnyError>) };
        let mut loaded = match self.run(None, plan, keep, load).await {
            Ok(loaded) => loaded,
            Err(error) => return self.fail_many(leased, &invalid, plan, error, found),
        };
        let of = ValueType::of::<T>();
        let values: Vec<_> = leased.iter().map(|leased| loaded.remove(leased.key.as_str()).map(Arc::new)).collect();
        let stores = leased.into_iter().zip(origins).zip(values).map(|((leased, origin), value)| async move {
            let Leased { key, leader, store, at_hand } = leased;
            let wanted = Wanted { key: &key, plan, of };
            let loaded = value.clone().map(|value| Loaded { value, kept: true }.into());
            let closed = matches!(store, Store::Nowhere);
            let stored = self.store(wanted, store, origin, loaded, at_hand.as_ref()).await;
            if value.is_none() && !stored && !closed && at_hand.is_some() {
                self.forget(wanted).await;
            }
            drop(leader.end(End::Value(value.clone().map(|value| value as AnyValue))));
            (key.as_str().to_owned(), value)
        });
        found.extend(join_all(stores).await);
        found.extend(invalid.into_iter().map(|key| {
            let value = loaded.remove(&key).map(Arc::new);
            (key, value)
        }));
        Ok(())
    }

    /// Ends the flights of a load that failed. What is at hand is given instead, if there is something for every key.
    fn fail_many<T, E>(
        &self,
        leased: Vec<Leased>,
        invalid: &[String],
        plan: &Plan,
        error: LoadError<AnyError>,
        found: &mut Found<T>,
    ) -> Result<(), LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
    {
        let mut fallbacks = Vec::with_capacity(leased.len());
        let mut whole = invalid.is_empty();
        for Leased { key, leader, store, at_hand } in leased {
            let wanted = Wanted { key: &key, plan, of: ValueType::of::<T>() };
            if at_hand.is_some() {
                self.note_refresh_failure(wanted, store);
            }
            whole &= self.servable(wanted, at_hand.as_ref(), Need::Fallback).is_some();
            drop(leader.end(End::Failed(error.clone())));
            fallbacks.push((key, at_hand));
        }
        if !whole {
            return Err(erased::error(error));
        }
        for (key, at_hand) in fallbacks {
            let wanted = Wanted { key: &key, plan, of: ValueType::of::<T>() };
            let end = End::Failed(error.clone());
            let Some(Ok(value)) = self.settle(wanted, at_hand.as_ref(), end) else { return Err(erased::error(error)) };
            found.insert(key.as_str().to_owned(), value.map(erased::value));
        }
        Ok(())
    }
}

/// A key that is to be loaded.
struct Leased {
    key: Key,
    leader: Leader,
    store: Store,
    /// What there is to serve if the load fails, and to replace.
    at_hand: Option<AtHand>,
}

fn end<T: Cacheable>(found: &mut Found<T>, key: &Key, leader: Leader, value: Option<AnyValue>) {
    drop(leader.end(End::Value(value.clone())));
    found.insert(key.as_str().to_owned(), value.map(erased::value));
}
