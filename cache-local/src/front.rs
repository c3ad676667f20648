//! The front: the way of a hit that does not pass through moka.
//!
//! moka finds a key by an epoch-guarded table, reads the clock, and notes each access for its policy. The front is a table of
//! small sets (it is set-associative), whose slots refer to what moka holds; it owns nothing that moka does not. A slot serves
//! only as long as nothing was removed or replaced in its set since moka was seen to hold what is in it:
//!
//! - Every removal and insertion takes effect in moka first and moves the version of the set second, and only then returns.
//! - A look-up that has to ask moka notes the version first and asks second. What it finds was there at that version.
//!
//! So what is in a slot at its set's version cannot have been removed by a call that has returned. It does not matter what
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

/// How many keys that meet in a set find a slot in it. With the version and the tags it is one line of the processor's cache.
const WAYS: usize = 6;

/// More sets cost more memory than the hits of rare keys are worth: these are 2 MiB.
const MOST_SETS: usize = 1 << 15;

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
#[repr(align(64))]
struct Set<E> {
    version: AtomicU64,
    tags: Tags,
    slots: [Slot<Kept<E>>; WAYS],
}

impl<E> Set<E> {
    fn new() -> Self {
        Self {
            version: AtomicU64::new(0),
            tags: Tags(AtomicU64::new(0)),
            slots: std::array::from_fn(|_| Slot::default()),
        }
    }
}

/// A byte for each slot of a set: part of the hash of the key in it. They spare a look-up the slots of other keys, and are no more
/// than a hint: where one is wrong, moka is asked, and it is put right.
#[derive(Debug)]
struct Tags(AtomicU64);

impl Tags {
    /// A one in each byte.
    const ONES: u64 = 0x0101_0101_0101_0101;

    /// The slots with this tag. Others may be among them.
    #[inline]
    fn slots_with(&self, tag: u8) -> impl Iterator<Item = usize> {
        let differences = self.0.load(Ordering::Relaxed) ^ (u64::from(tag) * Self::ONES);
        // The topmost bit of each byte that is zero (Warren, Hacker's Delight 6-1), and now and then of the one above it.
        let mut found = differences.wrapping_sub(Self::ONES) & !differences & (Self::ONES << 7);
        std::iter::from_fn(move || {
            let slot = (found.trailing_zeros() / u8::BITS) as usize;
            found &= found.wrapping_sub(1);
            (slot < WAYS).then_some(slot)
        })
    }

    fn put(&self, slot: usize, tag: u8) {
        let shift = slot as u32 * u8::BITS;
        let put = |tags: u64| Some(tags & !(0xff << shift) | u64::from(tag) << shift);
        // It is never refused.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, put);
    }
}

/// Where a key belongs in the front: in a set, and there in a slot with this tag, if in any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    set: usize,
    /// Not zero, which is that of empty slots.
    tag: u8,
}

/// How far the removals in a set had come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version(u64);

#[derive(Debug)]
pub(crate) struct Front<E> {
    sets: Box<[Set<E>]>,
    /// Counts what moves the versions of all sets. It starts above what was never seen.
    all: AtomicU64,
    hasher: RandomState,
}

impl<E> Front<E> {
    /// A front for a tier of at most `entries`.
    pub(crate) fn new(entries: u64) -> Self {
        let entries = usize::try_from(entries).unwrap_or(MOST_SETS).max(1);
        // At most four keys a set on average: then five of a hundred find theirs full, and ask moka each time.
        let sets = entries.div_ceil(4).min(MOST_SETS).next_power_of_two();
        Self { sets: (0..sets).map(|_| Set::new()).collect(), all: AtomicU64::new(1), hasher: RandomState::default() }
    }

    #[inline]
    pub(crate) fn at(&self, key: &str) -> At {
        // Keys that are made to meet in one set are as slow as moka, which has its own hash.
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key.as_bytes());
        let hash = hasher.finish();
        // The casts keep the low bits, and the mask some of those; the tag is of the topmost ones.
        At { set: hash as usize & (self.sets.len() - 1), tag: (hash >> 56) as u8 | 1 }
    }

    /// Runs `look` on what the front has under `key`.
    #[inline]
    pub(crate) fn find<R>(&self, at: At, key: &str, mut look: impl FnMut(&Arc<Kept<E>>) -> R) -> Option<R> {
        let set = &self.sets[at.set];
        set.tags.slots_with(at.tag).find_map(|slot| {
            set.slots[slot].with(|there| {
                let kept = there.filter(|kept| kept.key.as_str() == key && self.is_current(at, kept))?;
                Some(look(kept))
            })
        })
    }

    /// Whether nothing was removed in the set since moka was seen to hold `kept`.
    #[inline]
    pub(crate) fn is_current(&self, at: At, kept: &Kept<E>) -> bool {
        // Before the version: both its parts only grow, so they are then no older than what was added up to this.
        let seen = kept.seen.load(Ordering::Acquire);
        seen == self.version(at).0
    }

    /// To be noted before moka is asked.
    #[inline]
    pub(crate) fn version(&self, at: At) -> Version {
        let set = self.sets[at.set].version.load(Ordering::Acquire);
        Version(set + self.all.load(Ordering::Acquire))
    }

    /// Takes in what moka was found to hold after `version` was noted, if there is room or `evict`.
    pub(crate) fn admit(&self, at: At, version: Version, kept: &Arc<Kept<E>>, evict: impl FnOnce() -> bool) {
        kept.seen.fetch_max(version.0, Ordering::AcqRel);
        let set = &self.sets[at.set];
        let is_kept = |there: Option<&Arc<Kept<E>>>| there.is_some_and(|there| Arc::ptr_eq(there, kept));
        if let Some(slot) = set.slots.iter().position(|slot| slot.with(is_kept)) {
            set.tags.put(slot, at.tag);
            return;
        }
        let is_free = |there: Option<&Arc<Kept<E>>>| there.is_none_or(|there| !self.is_current(at, there));
        let free = set.slots.iter().position(|slot| slot.with(is_free));
        let displaced = || evict().then(|| usize::from(at.tag >> 1) % WAYS);
        let Some(slot) = free.or_else(displaced) else { return };
        set.slots[slot].put(Arc::clone(kept));
        set.tags.put(slot, at.tag);
        // moka may have let go of it meanwhile and found it not in the slot yet.
        if kept.gone.load(Ordering::SeqCst) {
            set.slots[slot].take(kept);
        }
    }

    /// moka has removed or replaced something under `at`. To be called before the call that made it do so returns.
    pub(crate) fn moved(&self, at: At) {
        self.sets[at.set].version.fetch_add(1, Ordering::SeqCst);
    }

    /// moka has removed something in any number of sets.
    pub(crate) fn all_moved(&self) {
        self.all.fetch_add(1, Ordering::SeqCst);
    }

    /// Lets go of what moka has let go of.
    pub(crate) fn release(&self, kept: &Arc<Kept<E>>) {
        kept.gone.store(true, Ordering::SeqCst);
        let at = self.at(kept.key.as_str());
        self.sets[at.set].slots.iter().for_each(|slot| slot.take(kept));
    }
}
