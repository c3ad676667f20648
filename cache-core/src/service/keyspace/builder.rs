//! Setting up a keyspace, checked once.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::FutureExt;

use super::source::Loaders;
use super::{Keyspace, KeyspaceKey, KeyspaceSource, LoadedBy, NoLoader, Space};
use crate::error::Error;
use crate::key::Key;
use crate::policy::Policy;
use crate::service::{Cacheable, Inner};

/// Sets up a [`Keyspace`]: made by [`CachingService::keyspace`](crate::CachingService::keyspace).
#[must_use = "it does nothing until `build` is called"]
pub struct KeyspaceBuilder<K, V, S: KeyspaceSource<K, V> = NoLoader> {
    inner: Arc<Inner>,
    prefix: String,
    policy: Policy,
    loaders: S::Loaders,
    types: PhantomData<fn(K) -> V>,
}

impl<K: KeyspaceKey, V: Cacheable> KeyspaceBuilder<K, V, NoLoader> {
    pub(in crate::service) fn new(inner: &Arc<Inner>, prefix: String) -> Self {
        let policy = inner.policy.clone();
        Self { inner: Arc::clone(inner), prefix, policy, loaders: (), types: PhantomData }
    }

    /// Loads what no tier has: `load` is given the key, and returns `V`, or `Option<V>` where the source may have none.
    ///
    /// It runs in a task of its own, as the loader of [`get_or_load`](crate::CachingService::get_or_load).
    pub fn loader<E, F, Fut, L>(self, load: F) -> KeyspaceBuilder<K, V, LoadedBy<E>>
    where
        E: Send + Sync + 'static,
        F: Fn(K) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<L, E>> + Send + 'static,
        L: Into<Option<V>>,
    {
        self.loaded().loader(load)
    }

    /// Loads all that no tier has of several keys, in one call: `load` is given the keys, each once, and returns what the
    /// source has of them.
    ///
    /// It runs in a task of its own, as that of [`get_or_load_many`](crate::CachingService::get_or_load_many).
    pub fn batch_loader<E, F, Fut>(self, load: F) -> KeyspaceBuilder<K, V, LoadedBy<E>>
    where
        E: Send + Sync + 'static,
        F: Fn(Vec<K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<HashMap<K, V>, E>> + Send + 'static,
    {
        self.loaded().batch_loader(load)
    }

    fn loaded<E: Send + Sync + 'static>(self) -> KeyspaceBuilder<K, V, LoadedBy<E>> {
        let Self { inner, prefix, policy, .. } = self;
        KeyspaceBuilder { inner, prefix, policy, loaders: Loaders::none(), types: PhantomData }
    }
}

impl<K: KeyspaceKey, V: Cacheable, E: Send + Sync + 'static> KeyspaceBuilder<K, V, LoadedBy<E>> {
    /// As the method of this name of a builder that has no loader yet. Without it, single keys are loaded by the batch loader.
    pub fn loader<F, Fut, L>(mut self, load: F) -> Self
    where
        F: Fn(K) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<L, E>> + Send + 'static,
        L: Into<Option<V>>,
    {
        let load = move |key| {
            let loading = load(key);
            async move { loading.await.map(Into::into) }.boxed()
        };
        self.loaders.one = Some(Arc::new(load));
        self
    }

    /// As the method of this name of a builder that has no loader yet. Without it, several keys are loaded one by one, up to
    /// 16 at once.
    pub fn batch_loader<F, Fut>(mut self, load: F) -> Self
    where
        F: Fn(Vec<K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<HashMap<K, V>, E>> + Send + 'static,
    {
        self.loaders.many = Some(Arc::new(move |keys| load(keys).boxed()));
        self
    }
}

impl<K: KeyspaceKey, V: Cacheable, S: KeyspaceSource<K, V>> KeyspaceBuilder<K, V, S> {
    /// How its values are kept. Default: the service's default policy.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Makes the keyspace. It asks nobody, so that it can be done anywhere.
    ///
    /// # Errors
    /// The prefix is empty, longer than 256 bytes, begins or ends with a colon or holds two in a row, or holds one of
    /// `* ? [ ] { } \ %` or a control character; or the policy contradicts itself. The error names the value and the fix.
    pub fn build(self) -> Result<Keyspace<K, V, S>, Error> {
        let Self { inner, prefix, policy, loaders, .. } = self;
        check(&prefix)?;
        let in_keyspace = |error| Error::configuration(format!("keyspace \"{prefix}\": {error}"));
        policy.check().map_err(in_keyspace)?;
        policy.selection().check_names(inner.tier_names()).map_err(in_keyspace)?;
        let access = inner.access_of(&policy);
        let (counted_as, look_ups) = inner.keyspaces.enter(&prefix, inner.far.len());
        let space = Space { inner, prefix: format!("{prefix}:"), policy, access, look_ups, counted_as };
        Ok(Keyspace { space: Arc::new(space), loaders, types: PhantomData })
    }
}

/// The longest prefix, in bytes: most of a key is left for what follows it.
const MAX_PREFIX: usize = 256;

fn check(prefix: &str) -> Result<(), Error> {
    let shown = prefix.escape_debug();
    let wrong = |what: &str| Err(Error::configuration(format!("keyspace \"{shown}\": {what}")));
    if prefix.is_empty() {
        return wrong("the prefix is empty; name what its values are, for example \"user\"");
    }
    if prefix.len() > MAX_PREFIX {
        return wrong("the prefix is longer than 256 bytes; shorten it");
    }
    if let Some(reserved) = prefix.chars().find(|character| "*?[]{}\\%".contains(*character)) {
        return wrong(&format!("the prefix holds '{reserved}', which means something in patterns; leave it out"));
    }
    if prefix.split(':').any(str::is_empty) {
        return wrong("the prefix has a colon at its beginning or end, or two in a row; leave it out, it is added");
    }
    Ok(Key::check(prefix)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_cannot_be_used_is_named_with_the_fix() {
        for good in ["user", "shop:user", "v2/user.by-name"] {
            assert!(check(good).is_ok(), "{good}");
        }
        let message = |prefix: &str| check(prefix).unwrap_err().to_string();
        assert_eq!(
            message("user*"),
            "keyspace \"user*\": the prefix holds '*', which means something in patterns; leave it out"
        );
        for (bad, part) in [("", "empty"), ("user:", "colon"), (":user", "colon"), ("a::b", "two in a row")] {
            assert!(message(bad).contains(part), "{bad}");
        }
        assert!(message(&"n".repeat(257)).contains("256"));
        assert!(check("a\nb").unwrap_err().is_invalid_key());
    }
}
