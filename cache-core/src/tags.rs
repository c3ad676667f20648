//! Tags, as the numbers that entries and records carry.
//!
//! A tag is one of 65,536 slots, by hash. Every node knows, for each slot, the position of the last record that voided it:
//! that is bounded, needs no index from tags to keys, and makes the invalidation of a tag one record. Two tags in one slot
//! void each other's entries, which costs loads and never freshness: at ten invalidated tags a second and entries that live
//! five minutes, one entry in twenty.

use std::sync::Arc;

/// The slot of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagSlot(u16);

impl TagSlot {
    /// How many slots there are.
    pub const COUNT: usize = 1 << 16;

    /// The slot of `tag`: FNV-1a over its bytes (Fowler, Noll, Vo), folded. It is part of what nodes and stored entries
    /// agree on, so it must never change.
    #[must_use]
    pub fn of(tag: &str) -> Self {
        let hash = tag
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        // The casts keep 16 bits each.
        Self((hash >> 48) as u16 ^ (hash >> 32) as u16 ^ (hash >> 16) as u16 ^ hash as u16)
    }

    /// The slot with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number of the slot.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The tags of an entry or of a record: each slot once. Cloning it is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tags(Option<Arc<[TagSlot]>>);

impl Tags {
    /// No tags.
    pub const NONE: Self = Self(None);

    /// The slots of `tags`.
    #[must_use]
    pub fn new(tags: impl IntoIterator<Item: AsRef<str>>) -> Self {
        Self::from_slots(tags.into_iter().map(|tag| TagSlot::of(tag.as_ref())).collect())
    }

    /// These slots.
    #[must_use]
    pub fn from_slots(mut slots: Vec<TagSlot>) -> Self {
        slots.sort_unstable();
        slots.dedup();
        Self((!slots.is_empty()).then(|| slots.into()))
    }

    /// The slots, in order.
    #[must_use]
    pub fn slots(&self) -> &[TagSlot] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether both have a slot in common.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.slots().iter().any(|slot| other.slots().binary_search(slot).is_ok())
    }
}

impl Default for Tags {
    fn default() -> Self {
        Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_never_change() {
        assert_eq!(["", "org:7", "é"].map(|tag| TagSlot::of(tag).number()), [61_457, 21_267, 46_300]);
    }

    #[test]
    fn slots_are_spread_evenly() {
        let slots: std::collections::HashSet<TagSlot> = (0..10_000).map(|n| TagSlot::of(&format!("org:{n}"))).collect();
        // 10,000 balls in 65,536 bins leave about 9,282 bins hit.
        assert!((9_150..9_400).contains(&slots.len()), "{}", slots.len());
    }

    #[test]
    fn tags_are_a_set() {
        assert_eq!(Tags::new(["b", "a", "b"]), Tags::new(["a", "b"]));
        assert_eq!(Tags::new([""; 0]), Tags::NONE);
        assert!(Tags::new(["a", "b"]).meets(&Tags::new(["b", "c"])));
        assert!(!Tags::new(["a"]).meets(&Tags::new(["c"])) && !Tags::NONE.meets(&Tags::NONE));
    }
}
