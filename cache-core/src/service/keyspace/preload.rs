//! Warming up a keyspace.

use std::fmt;

use super::super::preload::Preload;
use super::{Keyspace, KeyspaceKey, KeyspaceSource, LoadedBy};
use crate::service::Cacheable;

impl<K: KeyspaceKey, V: Cacheable, S: KeyspaceSource<K, V>> Keyspace<K, V, S> {
    /// Fills the near tier with the values under `keys` that the shared tier has.
    pub fn preload(&self, keys: impl IntoIterator<Item = K>) -> Preload<'_, V> {
        let keys: Vec<K> = keys.into_iter().collect();
        let texts = self.space.texts(&keys);
        Preload::of_keys(&self.space.inner, texts, self.space.policy.clone())
    }

    /// Fills the near tier with all values of the keyspace that the shared tier has.
    pub fn preload_all(&self) -> Preload<'_, V> {
        Preload::matching(&self.space.inner, self.space.pattern(), self.space.policy.clone())
    }
}

impl<K: KeyspaceKey, V: Cacheable, E: fmt::Display + Send + Sync + 'static> Keyspace<K, V, LoadedBy<E>> {
    /// Fills the near tier with the values under `keys`, and loads those that no tier has, in batches. A batch that cannot be
    /// loaded is counted and traced, and the next one goes on.
    pub fn preload_or_load(&self, keys: impl IntoIterator<Item = K>) -> Preload<'_, V> {
        let keyspace = self.clone();
        let keys: Vec<K> = keys.into_iter().collect();
        let texts = self.space.texts(&keys);
        let preload = Preload::of_keys(&self.space.inner, texts, self.space.policy.clone());
        preload.loading(move |from, to| {
            let (keyspace, keys) = (keyspace.clone(), keys[from..to].to_vec());
            Box::pin(async move {
                let loaded = keyspace.load_many(&keys, keyspace.space.uncounted_plan()).await;
                loaded.map(|values| values.iter().flatten().count() as u64).map_err(|error| error.to_string())
            })
        })
    }
}
