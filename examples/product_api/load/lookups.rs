//! Cache look-ups per tier.

use std::iter::Sum;
use std::ops::{Add, Sub};

use cache_aside::{Stats, TierStats};

/// Look-ups in L1 and in L2.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Lookups {
    pub(crate) local: TierLookups,
    pub(crate) shared: TierLookups,
}

/// Look-ups in one tier.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct TierLookups {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
}

impl From<Stats> for Lookups {
    /// Tiers are listed nearest first.
    fn from(stats: Stats) -> Self {
        let mut tiers = stats.tiers.into_iter().map(TierLookups::from);
        Self { local: tiers.next().unwrap_or_default(), shared: tiers.next().unwrap_or_default() }
    }
}

impl From<TierStats> for TierLookups {
    fn from(tier: TierStats) -> Self {
        Self { hits: tier.hits, misses: tier.misses }
    }
}

impl Add for Lookups {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { local: self.local + other.local, shared: self.shared + other.shared }
    }
}

impl Sub for Lookups {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { local: self.local - other.local, shared: self.shared - other.shared }
    }
}

impl Sum for Lookups {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl Add for TierLookups {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { hits: self.hits + other.hits, misses: self.misses + other.misses }
    }
}

impl Sub for TierLookups {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { hits: self.hits - other.hits, misses: self.misses - other.misses }
    }
}
