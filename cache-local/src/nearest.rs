//! A few entries that each thread holds itself: those that it asks for all the time are found without a step that other
//! threads see.
//!
//! They are held to the same version as those of the front, so they serve what those would. What they cost is memory: a thread
//! keeps what it holds until it looks again, or ends, even when the tier has let go of it or is gone. So they are few, and
//! none of them is large.

use std::cell::RefCell;
use std::sync::Arc;

use cache_core::Entry;

use crate::front::{At, Front, Kept};

/// How many entries a thread holds, of all tiers together.
const HELD: usize = 8;

/// The largest of them, in bytes, as far as the size of an entry shows.
const LARGEST: u64 = 1_024;

type Stored = Arc<Kept<Entry>>;

struct Held {
    tier: u64,
    at: At,
    kept: Stored,
}

thread_local! {
    static NEAREST: RefCell<[Option<Held>; HELD]> = const { RefCell::new([const { None }; HELD]) };
}

/// Where a key would be held. Its end and its middle tell it from others well enough: keys that meet are found in the front.
#[inline]
fn index(key: &str) -> usize {
    let key = key.as_bytes();
    let mixed = match key.last_chunk() {
        Some(end) => {
            let middle = key[key.len() / 2..].first_chunk().unwrap_or(end);
            u64::from_le_bytes(*end) ^ u64::from_le_bytes(*middle).rotate_left(29)
        }
        None => key.iter().fold(0, |mixed, byte| mixed << 8 | u64::from(*byte)),
    };
    // Fibonacci hashing (Knuth, The Art of Computer Programming 6.4): the topmost bits depend on all others.
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - HELD.ilog2())) as usize
}

/// Runs `look` on what this thread holds under `key`, if it is current, and tells where it belongs in the front.
#[inline]
pub(crate) fn find(tier: u64, front: &Front<Entry>, key: &str, look: impl FnOnce(&Entry)) -> Option<At> {
    let found = NEAREST.try_with(|nearest| {
        // It is taken only while a value that was held is being dropped, which may ask for others.
        let nearest = nearest.try_borrow().ok()?;
        let held = nearest[index(key)].as_ref().filter(|held| held.tier == tier && held.kept.key.as_str() == key)?;
        front.is_current(held.at, &held.kept).then(|| {
            look(&held.kept.entry);
            held.at
        })
    });
    // An error means that the thread is ending.
    found.ok().flatten()
}

/// Holds `kept` from now on, in the place of what was there.
pub(crate) fn hold(tier: u64, at: At, kept: Stored) {
    let index = index(kept.key.as_str());
    let held = (kept.entry.size <= LARGEST).then_some(Held { tier, at, kept });
    let previous =
        NEAREST.try_with(|nearest| Some(std::mem::replace(&mut nearest.try_borrow_mut().ok()?[index], held)));
    drop(previous);
}

/// Lets go of what is held where `key` would be, if moka holds it no more.
pub(crate) fn tidy(tier: u64, front: &Front<Entry>, key: &str) {
    let outdated = |held: &mut Held| held.tier == tier && !front.is_current(held.at, &held.kept);
    let previous = NEAREST.try_with(|nearest| nearest.try_borrow_mut().ok()?[index(key)].take_if(outdated));
    drop(previous);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cache_core::clock::Timestamp;
    use cache_core::{Key, NearTier, Value};

    use super::*;
    use crate::LocalTier;

    /// How many of an entry of `size` a thread holds that has asked for it often.
    fn asked_for_often(tier: &LocalTier, size: u64) -> usize {
        let mut entry = Entry::new(Value::Absent, Timestamp::ZERO, Timestamp::MAX);
        entry.size = size;
        tier.insert(&Key::new("k").unwrap(), entry, Duration::MAX);
        (0..100).for_each(|_| assert!(tier.look_up("k").is_some()));
        NEAREST.with_borrow(|nearest| nearest.iter().flatten().filter(|held| held.kept.entry.size == size).count())
    }

    #[test]
    fn a_thread_holds_what_it_asks_for_often_unless_it_is_large() {
        let tier = LocalTier::new(10);
        assert_eq!(asked_for_often(&tier, LARGEST), 1);
        assert_eq!(asked_for_often(&tier, LARGEST + 1), 0);
    }

    #[test]
    fn what_is_held_goes_when_it_is_looked_for_after_its_removal() {
        let tier = LocalTier::new(10);
        assert_eq!(asked_for_often(&tier, 1), 1);
        tier.remove("k");
        assert!(tier.look_up("k").is_none());
        assert!(NEAREST.with_borrow(|nearest| nearest.iter().flatten().next().is_none()));
    }

    #[test]
    fn tiers_do_not_see_what_a_thread_holds_of_others() {
        let (one, other) = (LocalTier::new(1), LocalTier::new(1));
        assert_eq!(asked_for_often(&one, 1), 1);
        assert!(other.look_up("k").is_none());
    }
}
