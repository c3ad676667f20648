//! The calls to the service.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{Delivery, EntryBuilder};

use super::Node;
use super::loads::{LoadFailed, Temper};
use crate::checker::history::{KeyNumber, Version};
use crate::checker::keys::Keys;
use crate::checker::message::Call;
use crate::checker::moment::Moment;

impl Node {
    /// Makes the call, and tells whether every tier was told; else the service owes it.
    pub(super) async fn call(&self, write: usize, call: Call) -> bool {
        let receipt = match call {
            Call::Invalidate(key) => self.cache.invalidate(self.name(key)).await,
            Call::InvalidateMany(keys) => {
                let names: Vec<&str> = keys.iter().map(|key| self.name(*key)).collect();
                self.cache.invalidate_many(&names).await
            }
            Call::InvalidatePattern(group) => {
                let receipt = self.cache.invalidate_pattern(Keys::pattern(group)).await;
                receipt.expect("the pattern of a group is well formed")
            }
            Call::InvalidateTags(tag) => self.cache.invalidate_tags([Keys::tag_name(tag)]).await,
            Call::Clear => self.cache.clear().await,
            Call::Set(key, version) => self.entry(key).set(version).await,
            Call::SetVersioned(key, version) => self.entry(key).version(version).set(version).await,
            Call::SetReplicated(key, version) => self.entry(key).replicate().set(version).await,
            Call::InvalidateStrict(key) => self.entry(key).invalidate_strict().await,
            Call::WriteAround(key, millis) => {
                self.write_around(write, key, Duration::from_millis(millis)).await;
                // It does not say whether every tier was told, so it counts when its node owes nothing.
                return false;
            }
        };
        receipt.delivery == Delivery::Done
    }

    async fn write_around(&self, write: usize, key: KeyNumber, pause: Duration) {
        let unfenced = self.cache.stats().unfenced_writes;
        let write = || async move {
            // Another write may be the one that had no fence; which one it was is not told.
            let fenced = (self.cache.stats().unfenced_writes == unfenced).then(Moment::now);
            tokio::time::sleep(pause).await;
            self.link.commit(write, fenced).await;
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(())
        };
        let Ok(()) = if self.settings.breakage.skips_fences {
            let written = write().await;
            self.cache.invalidate(self.name(key)).await;
            written
        } else {
            self.cache.write_around(&[self.name(key)], write).await
        };
    }

    pub(super) async fn get_or_load(self: &Arc<Self>, key: KeyNumber, temper: Temper) -> Option<Version> {
        let node = Arc::clone(self);
        self.entry(key).get_or_load(move || node.load(key, temper)).await.ok().map(|version| *version)
    }

    /// The same, with a load that goes away with its caller.
    pub(super) async fn get_or_load_inline(self: &Arc<Self>, key: KeyNumber, temper: Temper) -> Option<Version> {
        let node = Arc::clone(self);
        self.entry(key).get_or_load_inline(|| node.load(key, temper)).await.ok().map(|version| *version)
    }

    pub(super) async fn get_many(&self, keys: Vec<KeyNumber>) -> Vec<(KeyNumber, Version)> {
        let names: Vec<&str> = keys.iter().map(|key| self.name(*key)).collect();
        numbered(&keys, self.cache.get_many::<Version>(&names).await)
    }

    pub(super) async fn get_or_load_many(
        self: &Arc<Self>,
        keys: Vec<KeyNumber>,
        temper: Temper,
    ) -> Vec<(KeyNumber, Version)> {
        let node = Arc::clone(self);
        let names: Vec<&str> = keys.iter().map(|key| self.name(*key)).collect();
        let loaded = self.cache.get_or_load_many(&names, move |missing| node.load_many(missing, temper)).await;
        loaded.map(|versions| numbered(&keys, versions)).unwrap_or_default()
    }

    async fn load_many(
        self: Arc<Self>,
        names: Vec<String>,
        temper: Temper,
    ) -> Result<HashMap<String, Version>, LoadFailed> {
        let mut loaded = HashMap::new();
        for name in names {
            let key = Keys::number(&name).ok_or(LoadFailed)?;
            loaded.insert(name, Arc::clone(&self).load(key, temper).await?);
        }
        Ok(loaded)
    }

    fn entry(&self, key: KeyNumber) -> EntryBuilder<'_> {
        self.cache.entry(self.name(key)).policy(self.keys[key as usize].policy.clone())
    }

    fn name(&self, key: KeyNumber) -> &str {
        &self.keys[key as usize].name
    }
}

fn numbered(keys: &[KeyNumber], versions: Vec<Option<Arc<Version>>>) -> Vec<(KeyNumber, Version)> {
    keys.iter().zip(versions).filter_map(|(key, version)| Some((*key, *version?))).collect()
}
