//! Where a keyspace loads from.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};

/// So many loads of single keys run at once where a keyspace has no batch loader.
const AT_ONCE: usize = 16;

/// Whether and by what a keyspace loads: [`NoLoader`], or [`LoadedBy`] loaders that fail with `E`.
pub trait KeyspaceSource<K, V>: sealed::Sealed + 'static {
    /// What is kept of the loaders.
    #[doc(hidden)]
    type Loaders: Clone + Send + Sync + 'static;
}

/// A keyspace that reads from the tiers only.
#[derive(Clone, Copy, Debug)]
pub enum NoLoader {}

/// A keyspace that loads what no tier has, by loaders whose error is `E`.
pub struct LoadedBy<E>(Infallible, PhantomData<fn() -> E>);

impl<K: 'static, V: 'static> KeyspaceSource<K, V> for NoLoader {
    type Loaders = ();
}

impl<K: 'static, V: 'static, E: 'static> KeyspaceSource<K, V> for LoadedBy<E> {
    type Loaders = Loaders<K, V, E>;
}

impl<E> fmt::Debug for LoadedBy<E> {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

mod sealed {
    #[allow(unreachable_pub, reason = "the supertrait of a public trait")]
    pub trait Sealed {}
    impl Sealed for super::NoLoader {}
    impl<E> Sealed for super::LoadedBy<E> {}
}

type LoadOne<K, V, E> = Arc<dyn Fn(K) -> BoxFuture<'static, Result<Option<V>, E>> + Send + Sync>;
type LoadMany<K, V, E> = Arc<dyn Fn(Vec<K>) -> BoxFuture<'static, Result<HashMap<K, V>, E>> + Send + Sync>;

/// The loaders of a keyspace: at least one of the two is there once it is built.
#[allow(unreachable_pub, reason = "it stands in a public trait, behind a name that is hidden")]
pub struct Loaders<K, V, E> {
    pub(super) one: Option<LoadOne<K, V, E>>,
    pub(super) many: Option<LoadMany<K, V, E>>,
}

impl<K, V, E> Clone for Loaders<K, V, E> {
    fn clone(&self) -> Self {
        Self { one: self.one.clone(), many: self.many.clone() }
    }
}

impl<K, V, E> Loaders<K, V, E>
where
    K: std::hash::Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + 'static,
    E: Send + 'static,
{
    pub(super) const fn none() -> Self {
        Self { one: None, many: None }
    }

    pub(super) fn load_one(&self, key: K) -> BoxFuture<'static, Result<Option<V>, E>> {
        match (&self.one, &self.many) {
            (Some(load), _) => load(key),
            (None, Some(load)) => {
                let loading = load(vec![key.clone()]);
                async move { Ok(loading.await?.remove(&key)) }.boxed()
            }
            (None, None) => async { Ok(None) }.boxed(),
        }
    }

    pub(super) fn load_many(&self, keys: Vec<K>) -> BoxFuture<'static, Result<HashMap<K, V>, E>> {
        if let Some(load) = &self.many {
            return load(keys);
        }
        let loaders = self.clone();
        let loads = stream::iter(keys).map(move |key| {
            let loading = loaders.load_one(key.clone());
            async move { Ok(loading.await?.map(|value| (key, value))) }
        });
        loads.buffer_unordered(AT_ONCE).try_filter_map(|loaded| async move { Ok(loaded) }).try_collect().boxed()
    }
}
