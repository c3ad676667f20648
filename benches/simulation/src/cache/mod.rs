//! The caches that are compared.

mod aside;
mod bare;
mod lru;
mod optimum;

use cache_aside::EvictionPolicy;

use crate::trace::Trace;

pub(crate) use lru::Lru;

/// A cache of a fixed number of entries.
pub(crate) trait Cache {
    /// Whether `key` is there; else it is stored. `next` says at which access it is wanted again, which only the offline
    /// optimum may look at.
    fn access(&mut self, key: u32, next: u32) -> bool;
}

/// Which cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The near tier of this project.
    Aside,
    /// The same with its other policy.
    AsideLru,
    /// moka alone.
    Moka,
    /// Least recently used.
    Lru,
    /// The best that any cache could do that knew the future: Belady's, which also may refuse an entry.
    Optimum,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Aside, Self::AsideLru, Self::Moka, Self::Lru, Self::Optimum];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Aside => "cache-aside L1",
            Self::AsideLru => "cache-aside L1 by LRU",
            Self::Moka => "moka alone",
            Self::Lru => "LRU",
            Self::Optimum => "offline optimum",
        }
    }

    pub(crate) fn build(self, capacity: usize, trace: &Trace) -> Box<dyn Cache> {
        match self {
            Self::Aside => Box::new(aside::Aside::new(capacity, trace.keys, EvictionPolicy::TinyLfu)),
            Self::AsideLru => Box::new(aside::Aside::new(capacity, trace.keys, EvictionPolicy::Lru)),
            Self::Moka => Box::new(bare::Moka::new(capacity)),
            Self::Lru => Box::new(Lru::new(capacity, trace.keys)),
            Self::Optimum => Box::new(optimum::Optimum::new(capacity, trace.keys)),
        }
    }
}
