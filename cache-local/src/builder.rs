//! How large a local tier may grow.

use crate::LocalTier;

/// Builds a [`LocalTier`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct LocalTierBuilder {
    pub(crate) max_entries: Option<u64>,
    pub(crate) max_bytes: Option<u64>,
}

impl LocalTierBuilder {
    /// The number of entries when neither bound is given.
    pub(crate) const DEFAULT_MAX_ENTRIES: u64 = 10_000;

    pub(crate) const fn new() -> Self {
        Self { max_entries: None, max_bytes: None }
    }

    /// Keeps at most this many entries. Default: 10,000, or no bound of its own where `max_bytes` is given. 0 keeps none.
    pub const fn max_entries(mut self, entries: u64) -> Self {
        self.max_entries = Some(entries);
        self
    }

    /// Keeps keys and values of at most this many bytes together. A value that also goes to a far tier counts as its
    /// encoded length; one that does not, as the size of its type, without what it points to. Each entry costs some
    /// 200 bytes beside. Default: no bound. 0 keeps none.
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// The tier.
    #[must_use]
    pub fn build(self) -> LocalTier {
        LocalTier::from_builder(self)
    }
}
