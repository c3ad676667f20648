//! The front: the way of a hit that does not pass through moka.
//!
//! moka finds a key by an epoch-guarded table, reads the clock, and notes each access for its policy. The front is one slot
//! for each hash of a key, which refers to what moka holds; it owns nothing that moka does not. A slot serves only as long
//! as nothing was removed or replaced under it since moka was seen to hold what is in it:
//!
//! - Every removal and insertion takes effect in moka first and moves the version of the slot second, and only then returns.
//! - A look-up that has to ask moka notes the version first and asks second. What it finds was there at that version.
//!
//! So what is in a slot at the slot's version cannot have been removed by a call that has returned. It does not matter what
//! moka does in between or in what order it tells of it: an entry that it evicts may be served until then, and no longer
//! than until the next removal of its key, whether moka had it or not.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use cache_core::Key;
use foldhash::quality::RandomState;

use crate::sync::{AtomicBool, AtomicU64, Ordering, Slot};

#[cfg(cache_aside_shuttle)]
#[cfg(test)]
mod interleavings;
#[cfg(not(cache_aside_shuttle))]
#[cfg(test)]
mod tests;

/// More slots cost more memory than the hits of rare keys are worth: these are 2 MiB.
const MOST_SLOTS: usize = 1 << 17;

/// What moka holds under a key.
#[derive(Debug)]
// What a hit looks at comes first, so that it lies together.
#[repr(C)]
pub(crate) struct Kept<E> {
    /// The version at which moka was last seen to hold this; zero before it was.
    seen: AtomicU64,
    pub(crate) key: Key,
    pub(crate) entry: E,
    pub(crate) ttl: Duration,
    /// Whether moka has let go of it.
    gone: AtomicBool,
}

impl<E> Kept<E> {
    pub(crate) const fn new(key: Key, entry: E, ttl: Duration) -> Self {
        Self { key, entry, ttl, seen: AtomicU64::new(0), gone: AtomicBool::new(false) }
    }
}

#[derive(Debug)]
struct Place<E> {
    slot: Slot<Kept<E>>,
    version: AtomicU64,
}

/// Where a key belongs in the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At(usize);

/// How far the removals under a slot had come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version(u64);

#[derive(Debug)]
pub(crate) struct Front<E> {
    places: Box<[Place<E>]>,
    /// Counts what moves the versions of all slots. It starts above what was never seen.
    all: AtomicU64,
    hasher: RandomState,
}

impl<E> Front<E> {
    /// A front for a tier of at most `entries`.
    pub(crate) fn new(entries: u64) -> Self {
        let entries = usize::try_from(entries).unwrap_or(MOST_SLOTS).clamp(1, MOST_SLOTS);
        let place = |_| Place { slot: Slot::default(), version: AtomicU64::new(0) };
        // Of keys that meet in a slot one asks moka each time, so there is room for twice as many. For one key there is one.
        let slots = (2 * entries - 1).next_power_of_two().min(MOST_SLOTS);
        let places = (0..slots).map(place).collect();
        Self { places, all: AtomicU64::new(1), hasher: RandomState::default() }
    }

    #[inline]
    pub(crate) fn at(&self, key: &str) -> At {
        // Keys that are made to meet in one slot are as slow as moka, which has its own hash.
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key.as_bytes());
        // The cast keeps the low bits, and the mask some of those.
        At(hasher.finish() as usize & (self.places.len() - 1))
    }

    /// Runs `look` on what the front has under `key`.
    #[inline]
    pub(crate) fn find<R>(&self, at: At, key: &str, look: impl FnOnce(&Arc<Kept<E>>) -> R) -> Option<R> {
        self.places[at.0].slot.with(|there| {
            let kept = there.filter(|kept| kept.key.as_str() == key && self.is_current(at, kept))?;
            Some(look(kept))
        })
    }

    /// Whether nothing was removed under the slot since moka was seen to hold `kept`.
    #[inline]
    pub(crate) fn is_current(&self, at: At, kept: &Kept<E>) -> bool {
        // Before the version: both its parts only grow, so they are then no older than what was added up to this.
        let seen = kept.seen.load(Ordering::Acquire);
        seen == self.version(at).0
    }

    /// To be noted before moka is asked.
    #[inline]
    pub(crate) fn version(&self, at: At) -> Version {
        let place = self.places[at.0].version.load(Ordering::Acquire);
        Version(place + self.all.load(Ordering::Acquire))
    }

    /// Takes in what moka was found to hold after `version` was noted, if there is room or `evict`.
    pub(crate) fn admit(&self, at: At, version: Version, kept: &Arc<Kept<E>>, evict: impl FnOnce() -> bool) {
        kept.seen.fetch_max(version.0, Ordering::AcqRel);
        let slot = &self.places[at.0].slot;
        let (inside, room) = slot.with(|there| match there {
            Some(there) => (Arc::ptr_eq(there, kept), !self.is_current(at, there)),
            None => (false, true),
        });
        if inside || !(room || evict()) {
            return;
        }
        slot.put(Arc::clone(kept));
        // moka may have let go of it meanwhile and found it not in the slot yet.
        if kept.gone.load(Ordering::SeqCst) {
            slot.take(kept);
        }
    }

    /// moka has removed or replaced something under `at`. To be called before the call that made it do so returns.
    pub(crate) fn moved(&self, at: At) {
        self.places[at.0].version.fetch_add(1, Ordering::SeqCst);
    }

    /// moka has removed something under any number of slots.
    pub(crate) fn all_moved(&self) {
        self.all.fetch_add(1, Ordering::SeqCst);
    }

    /// Lets go of what moka has let go of.
    pub(crate) fn release(&self, kept: &Arc<Kept<E>>) {
        kept.gone.store(true, Ordering::SeqCst);
        self.places[self.at(kept.key.as_str()).0].slot.take(kept);
    }
}
