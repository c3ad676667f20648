//! How large a local tier may grow, and what it gives up then.

use crate::LocalTier;

/// Which entries a [`LocalTier`] without room gives up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvictionPolicy {
    /// Those that are asked for least often: a new entry takes the place of another only if it was asked for more often. A scan
    /// of keys that are asked for once costs nothing. It suits most services.
    #[default]
    TinyLfu,
    /// Those that were not asked for the longest. It suits accesses that come in bursts, of keys that were used just now, such as
    /// those of an object mapper.
    Lru,
}

/// Builds a [`LocalTier`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct LocalTierBuilder {
    pub(crate) max_entries: Option<u64>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) eviction_policy: EvictionPolicy,
}

impl LocalTierBuilder {
    /// The number of entries when neither bound is given.
    pub(crate) const DEFAULT_MAX_ENTRIES: u64 = 10_000;

    pub(crate) const fn new() -> Self {
        Self { max_entries: None, max_bytes: None, eviction_policy: EvictionPolicy::TinyLfu }
    }

    /// Keeps at most this many entries. Default: 10,000, or no bound of its own where `max_bytes` is given. 0 keeps none.
    pub const fn max_entries(mut self, entries: u64) -> Self {
        self.max_entries = Some(entries);
        self
    }

    /// Keeps keys and values of at most this many bytes together. A value that also goes to a far tier counts as its
    /// encoded length; one that does not, as the size of its type, without what it points to. Each entry costs some
    /// 600 bytes beside. Default: no bound. 0 keeps none.
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// What is given up for want of room. Default: [`EvictionPolicy::TinyLfu`].
    ///
    /// ```
    /// use cache_local::{EvictionPolicy, LocalTier};
    ///
    /// let tier = LocalTier::builder().max_entries(50_000).eviction_policy(EvictionPolicy::Lru).build();
    /// ```
    pub const fn eviction_policy(mut self, policy: EvictionPolicy) -> Self {
        self.eviction_policy = policy;
        self
    }

    /// The tier.
    #[must_use]
    pub fn build(self) -> LocalTier {
        LocalTier::from_builder(self)
    }
}
