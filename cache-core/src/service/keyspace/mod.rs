//! Keyspaces: typed keys under one prefix, with a policy and loaders of their own.

mod builder;
mod look_ups;
mod preload;
mod source;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::FutureExt;

use super::batch::{Again, Once};
use super::loaded::{Loader, erased as erased_load};
use super::near::{Caller, Near};
use super::write_behind::WriteBehindBuilder;
use super::{Cacheable, Inner, Loaded, Plan};
use crate::coherence::Change;
use crate::erased::{self, ValueType};
use crate::error::LoadError;
use crate::far::Manner;
use crate::macro_support::{CacheKey, KeyBuffer};
use crate::pattern::Pattern;
use crate::policy::Policy;
use crate::selection::{Access, Tier};
use crate::stats::KeyspaceStats;
use crate::status::Receipt;

pub use builder::KeyspaceBuilder;
pub(super) use look_ups::{LookUps, Registry};
pub use source::{KeyspaceSource, LoadedBy, NoLoader};

/// What the keys of a keyspace must be: everything that is a [`CacheKey`] and can be cloned, hashed and shared.
pub trait KeyspaceKey: CacheKey + Clone + Eq + Hash + Send + Sync + 'static {}

impl<K: CacheKey + Clone + Eq + Hash + Send + Sync + 'static> KeyspaceKey for K {}

/// The values of one kind, under typed keys: made by [`CachingService::keyspace`](crate::CachingService::keyspace).
///
/// The value of key `7` in the keyspace `user` is under `user:7`, and that of `(7, "en")` under `user:7:en`. What is
/// reserved in a part is escaped. So two keys never share a value, unless the prefix of another keyspace goes on where
/// this one ends (`user` and `user:1`); give such keyspaces prefixes of which none begins the other.
///
/// `#[cached(key = "user:{id}:{language}")]` makes the same keys, so both see the same values, where every part has a
/// placeholder of its own and is a number, a `bool`, a `char`, a text, an address or a `Uuid`. Of other types a
/// placeholder writes what they display, if they do, and a keyspace what their [`CacheKey`] writes: those agree only
/// where these two do. What has several parts itself is written with marks where it stands in one placeholder: with
/// `key = "user:{key}"` the key `(7, "en")` is `user:%l7%ien%i%z`.
///
/// With a loader it is read-through: [`Keyspace::get`] loads what no tier has. Cloning it is cheap; clones share everything.
pub struct Keyspace<K, V, S: KeyspaceSource<K, V> = NoLoader> {
    space: Arc<Space>,
    loaders: S::Loaders,
    types: PhantomData<fn(K) -> V>,
}

/// What does not depend on types.
pub(in crate::service) struct Space {
    pub(in crate::service) inner: Arc<Inner>,
    /// With the colon.
    pub(in crate::service) prefix: String,
    policy: Policy,
    access: Access,
    look_ups: Arc<LookUps>,
    /// What `look_ups` go by.
    pub(in crate::service) counted_as: String,
}

impl Space {
    pub(in crate::service) fn write<Q: CacheKey + ?Sized>(&self, key: &Q) -> KeyBuffer {
        let mut buffer = KeyBuffer::empty();
        buffer.literal(&self.prefix);
        buffer.parts(key);
        buffer
    }

    fn texts<'a, Q: CacheKey + 'a>(&self, keys: impl IntoIterator<Item = &'a Q>) -> Vec<String> {
        keys.into_iter().map(|key| self.write(key).into_string()).collect()
    }

    /// How a caller's read or write is made.
    pub(in crate::service) fn plan(&self) -> Plan {
        Plan { look_ups: Some(Arc::clone(&self.look_ups)), ..self.uncounted_plan() }
    }

    /// The same for what no caller asked for.
    fn uncounted_plan(&self) -> Plan {
        Plan::new(self.policy.clone(), self.access)
    }

    fn look_near<V: Cacheable>(&self, key: &str, caller: Caller) -> Near<V> {
        if !self.access.reads(Tier::NEAR) {
            return Near::Miss;
        }
        let found = self.inner.look_near(key, &self.policy, caller);
        self.look_ups.count_near(&found);
        found
    }

    /// The pattern of every key. A prefix holds nothing that means something in a pattern.
    fn pattern(&self) -> Pattern {
        Pattern::new(format!("{}*", self.prefix)).unwrap_or_else(|_| unreachable!("the prefix was checked"))
    }
}

impl<K: KeyspaceKey, V: Cacheable, S: KeyspaceSource<K, V>> Keyspace<K, V, S> {
    /// The key that the service has `key` under.
    #[must_use]
    pub fn key<Q>(&self, key: &Q) -> String
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        self.space.write(key).into_string()
    }

    /// The value under `key`, if a tier has it: it is not loaded. As [`CachingService::get`](crate::CachingService::get).
    pub async fn get_cached<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        let key = self.space.write(key);
        match self.space.look_near(key.as_str(), Caller { behind: false, optional: true }) {
            Near::Hit(value) | Near::Due(value, _) => Some(value),
            Near::Absent => None,
            Near::Miss => {
                let (space, key) = (&self.space, key.into_string());
                let get = Box::pin(async move { space.inner.get(&key, &space.plan(), ValueType::of::<V>()).await });
                get.await.map(erased::value)
            }
        }
    }

    /// The values under `keys`, in their order, as far as tiers have them. As
    /// [`CachingService::get_many`](crate::CachingService::get_many).
    pub async fn get_many_cached(&self, keys: &[K]) -> Vec<Option<Arc<V>>> {
        self.space.inner.get_many(&self.space.texts(keys), &self.space.plan()).await
    }

    /// The value under `key`; if no tier has it, what `loader` gives. As
    /// [`CachingService::get_or_load`](crate::CachingService::get_or_load).
    ///
    /// # Errors
    /// As there.
    pub async fn get_or_load<Q, E, F, Fut>(&self, key: &Q, loader: F) -> Result<Arc<V>, LoadError<E>>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<V, E>> + Send + 'static,
    {
        let key = self.space.write(key);
        let near = match self.space.look_near(key.as_str(), Caller { behind: true, optional: false }) {
            Near::Hit(value) => return Ok(value),
            near => near,
        };
        let (space, key) = (&self.space, key.into_string());
        let plan = Plan { optional: false, ..space.plan() };
        let load = move |_| async move { loader().await.map(|value| Some(Loaded::from(value))) };
        let loaded = Box::pin(space.inner.go_on(near, &key, plan, Loader::Detached(erased_load(load)))).await?;
        Ok(loaded.unwrap_or_else(|| unreachable!("a loader that gives a value gave none")))
    }

    /// The values under `keys`, in their order; what no tier has is loaded in one call of `batch_loader`. As
    /// [`CachingService::get_or_load_many`](crate::CachingService::get_or_load_many).
    ///
    /// # Errors
    /// As there.
    pub async fn get_or_load_many<E, F, Fut>(
        &self,
        keys: &[K],
        batch_loader: F,
    ) -> Result<Vec<Option<Arc<V>>>, LoadError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce(Vec<K>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<HashMap<K, V>, E>> + Send + 'static,
    {
        let texts = self.space.texts(keys);
        let known = Known::new(&texts, keys);
        let load = move |missing: Vec<String>| {
            let asked = known.keys(&missing);
            async move { batch_loader(asked).await.map(|loaded| known.texts(loaded)) }
        };
        self.space.inner.get_or_load_many(&texts, self.space.plan(), Once(Some(load))).await
    }

    /// Stores `value` under `key` in every tier. As [`CachingService::set`](crate::CachingService::set).
    pub async fn set<Q>(&self, key: &Q, value: V) -> Receipt
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        self.space
            .inner
            .set(self.space.write(key).as_str(), Arc::new(value), &self.space.plan(), ValueType::of::<V>())
            .await
    }

    /// Removes the value under `key` everywhere. As [`CachingService::invalidate`](crate::CachingService::invalidate).
    pub async fn invalidate<Q>(&self, key: &Q) -> Receipt
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        self.space.inner.invalidate_keys(&[self.space.write(key).as_str()]).await
    }

    /// Removes the values under `keys` everywhere. As
    /// [`CachingService::invalidate_many`](crate::CachingService::invalidate_many).
    pub async fn invalidate_many(&self, keys: &[K]) -> Receipt {
        self.space.inner.invalidate_keys(&self.space.texts(keys)).await
    }

    /// Removes every value of the keyspace everywhere, by the pattern `prefix:*`. As
    /// [`CachingService::invalidate_pattern`](crate::CachingService::invalidate_pattern).
    pub async fn invalidate_all(&self) -> Receipt {
        self.space.inner.invalidate(Change::Pattern(self.space.pattern()), Manner::default()).await.0
    }

    /// Writes to the source by `write`, which is given the value, and then stores the value in every tier.
    ///
    /// The key is fenced meanwhile as by [`CachingService::write_around`](crate::CachingService::write_around): readers are
    /// answered by their loaders, and nothing that they load is stored. The value is stored only if nobody else can have
    /// changed the source meanwhile: if there was another write to the key by this call or by `write_around`, or it was
    /// invalidated, nobody knows which came last, and the key is left empty. So it is if the shared tier is away or is a Redis
    /// Cluster, or if the policy of the keyspace does not write it. A write that fails stores nothing, and the fence is lifted.
    ///
    /// Three round trips to the shared tier, and one for each third of `lease_ttl` that the write takes. If the future is
    /// dropped, see there.
    ///
    /// # Errors
    /// The error of `write`. A fault of a tier is never one.
    pub async fn write_through<Q, R, E, F, Fut>(&self, key: &Q, value: V, write: F) -> Result<R, E>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
        F: FnOnce(Arc<V>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        let key = self.space.write(key).into_string();
        self.space.inner.write_through(&key, value, &self.space.plan(), write).await
    }

    /// Writes to the source by `write`, and invalidates the key, so that not even the death of this process leaves an old value
    /// behind. As [`CachingService::write_around`](crate::CachingService::write_around).
    ///
    /// # Errors
    /// The error of `write`.
    pub async fn write_around<Q, R, E, F, Fut>(&self, key: &Q, write: F) -> Result<R, E>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        self.space.inner.write_around(&[self.space.write(key).as_str()], write).await
    }

    /// Sets up writes that are acknowledged when the shared tier keeps them, and reach the source later. Made twice, the two
    /// share what waits, as do all nodes.
    pub fn write_behind(&self) -> WriteBehindBuilder<K, V>
    where
        K: Cacheable,
    {
        WriteBehindBuilder::new(&self.space)
    }

    /// What was read through this keyspace, one by one and in batches, and through every other of its prefix, since the first
    /// of them was built. Preloads are not counted. The service's [`Stats`](crate::Stats) have this of all keyspaces.
    #[must_use]
    pub fn stats(&self) -> KeyspaceStats {
        let Space { inner, look_ups, counted_as, .. } = &*self.space;
        look_ups.snapshot(counted_as, inner.near_name(), inner.far_names())
    }
}

impl<K: KeyspaceKey, V: Cacheable> Keyspace<K, V, NoLoader> {
    /// The value under `key`, if a tier has it: the keyspace has no loader. As [`Keyspace::get_cached`].
    pub async fn get<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        self.get_cached(key).await
    }

    /// The values under `keys`, as far as tiers have them. As [`Keyspace::get_many_cached`].
    pub async fn get_many(&self, keys: &[K]) -> Vec<Option<Arc<V>>> {
        self.get_many_cached(keys).await
    }
}

impl<K: KeyspaceKey, V: Cacheable, E: Send + Sync + 'static> Keyspace<K, V, LoadedBy<E>> {
    /// The value under `key`; if no tier has it, what the loader gives, which is then stored. `None` where the source has no
    /// value; that is stored only with a [`Policy::negative_ttl`].
    ///
    /// A hit in the near tier does not lock or suspend, nor allocate while the whole key is no longer than 128 bytes. Loads are
    /// shared as those of [`CachingService::get_or_load`](crate::CachingService::get_or_load), also with
    /// [`Keyspace::get_many`]. May be cancelled at any point; a load goes on.
    ///
    /// # Errors
    /// As there.
    pub async fn get<Q>(&self, key: &Q) -> Result<Option<Arc<V>>, LoadError<E>>
    where
        K: Borrow<Q>,
        Q: CacheKey + ToOwned<Owned = K> + ?Sized,
    {
        let text = self.space.write(key);
        let near = match self.space.look_near(text.as_str(), Caller { behind: true, optional: true }) {
            Near::Hit(value) => return Ok(Some(value)),
            Near::Absent => return Ok(None),
            near => near,
        };
        let (space, text, key, loaders) = (&self.space, text.into_string(), key.to_owned(), self.loaders.clone());
        let load = move |_| async move { loaders.load_one(key).await.map(|value| value.map(Loaded::from)) };
        Box::pin(space.inner.go_on(near, &text, space.plan(), Loader::Detached(erased_load(load)))).await
    }

    /// The values under `keys`, in their order; those that no tier has are loaded in one call. As
    /// [`CachingService::get_or_load_many`](crate::CachingService::get_or_load_many), but for a key whose loader's caller went
    /// away, which is loaded in a further call.
    ///
    /// # Errors
    /// As there.
    pub async fn get_many(&self, keys: &[K]) -> Result<Vec<Option<Arc<V>>>, LoadError<E>> {
        self.load_many(keys, self.space.plan()).await
    }

    async fn load_many(&self, keys: &[K], plan: Plan) -> Result<Vec<Option<Arc<V>>>, LoadError<E>> {
        let texts = self.space.texts(keys);
        let (known, loaders) = (Known::new(&texts, keys), self.loaders.clone());
        let load = move |missing: Vec<String>| {
            let (known, loading) = (known.clone(), loaders.load_many(known.keys(&missing)));
            async move { loading.await.map(|loaded| known.texts(loaded)) }.boxed()
        };
        self.space.inner.get_or_load_many(&texts, plan, Again(load)).await
    }
}

/// The keys of a batch, typed and as text.
#[derive(Clone)]
struct Known<K>(Arc<Names<K>>);

struct Names<K> {
    by_text: HashMap<String, K>,
    by_key: HashMap<K, String>,
}

impl<K: KeyspaceKey> Known<K> {
    fn new(texts: &[String], keys: &[K]) -> Self {
        let pairs = || texts.iter().cloned().zip(keys.iter().cloned());
        let by_key = pairs().map(|(text, key)| (key, text)).collect();
        Self(Arc::new(Names { by_text: pairs().collect(), by_key }))
    }

    fn keys(&self, texts: &[String]) -> Vec<K> {
        texts.iter().filter_map(|text| self.0.by_text.get(text).cloned()).collect()
    }

    /// What was loaded, by text. What nobody asked for is left out.
    fn texts<V>(&self, loaded: HashMap<K, V>) -> HashMap<String, V> {
        loaded.into_iter().filter_map(|(key, value)| Some((self.0.by_key.get(&key)?.clone(), value))).collect()
    }
}

impl<K, V, S: KeyspaceSource<K, V>> Clone for Keyspace<K, V, S> {
    fn clone(&self) -> Self {
        Self { space: Arc::clone(&self.space), loaders: self.loaders.clone(), types: PhantomData }
    }
}

impl<K, V, S: KeyspaceSource<K, V>> fmt::Debug for Keyspace<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Space { prefix, policy, .. } = &*self.space;
        f.debug_struct("Keyspace").field("prefix", prefix).field("policy", policy).finish_non_exhaustive()
    }
}

impl<K, V, S: KeyspaceSource<K, V>> fmt::Debug for KeyspaceBuilder<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyspaceBuilder").finish_non_exhaustive()
    }
}
