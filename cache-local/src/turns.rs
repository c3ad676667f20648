//! Which look-ups of a thread do what need not be done at each.
//!
//! They are drawn, not counted off: callers that ask for the same keys in turn would otherwise have the same ones noted each
//! time.

use std::cell::Cell;

use crate::front::At;

/// At one in so many hits of the front, moka is to hear of it, and the thread may hold the entry itself.
const NOTED: u32 = 16;

/// Of the hits to be noted, moka hears of one in so many while it has room: it has nothing to choose from yet.
const ROOMY: u32 = 16;

/// Of the hits to be noted that follow one of the same key, moka hears of one in so many: it knows of that key by then.
const REPEATED: u32 = 16;

/// A key takes the place of another in the front in one of so many look-ups that did not find it there. So a scan leaves
/// most of what was there.
const DISPLACING: u32 = 8;

thread_local! {
    static DRAWN: Cell<u32> = const { Cell::new(0) };
    static PASSED_ON: Cell<Option<At>> = const { Cell::new(None) };
}

/// Whether this is one in `many`, a power of two. The generator is the linear congruential one of Knuth and Lewis (Press et al.,
/// Numerical Recipes 7.1): any would do, and this takes two instructions.
#[inline]
fn is_one_in(many: u32) -> bool {
    // There is no error: it is neither initialized nor dropped. `with` would be a call.
    let drawn = DRAWN.try_with(|drawn| {
        let next = drawn.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        drawn.set(next);
        next
    });
    // The topmost bits are the random ones.
    drawn.is_ok_and(|drawn| drawn.leading_zeros() >= many.ilog2())
}

/// Whether this look-up is to be noted, if it is a hit of the front.
#[inline]
pub(crate) fn is_noted() -> bool {
    is_one_in(NOTED)
}

/// Whether a hit that is noted is to be passed on to moka, which has had to evict if it `is_full`.
pub(crate) fn is_news(at: At, is_full: bool) -> bool {
    (is_full || is_one_in(ROOMY)) && (PASSED_ON.replace(Some(at)) != Some(at) || is_one_in(REPEATED))
}

/// Whether this look-up may put its key into the place of another.
pub(crate) fn displaces() -> bool {
    is_one_in(DISPLACING)
}
