//! Which look-ups of a thread do what need not be done at each.

use std::cell::Cell;

use crate::front::At;

/// At one in so many hits of the front, moka is to hear of it, and the thread may hold the entry itself.
const NOTED: u32 = 16;

/// Of the hits to be noted that follow one of the same key, moka hears of one in so many: it knows of that key by then.
const REPEATED: u32 = 16;

/// A key takes the place of another in the front in one of so many look-ups that did not find it there. So a scan leaves
/// most of what was there.
const DISPLACING: u32 = 8;

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
    static PASSED_ON: Cell<Option<At>> = const { Cell::new(None) };
}

fn next() -> u32 {
    let count = COUNT.get().wrapping_add(1);
    COUNT.set(count);
    count
}

/// Whether this hit of the front is to be noted.
#[inline]
pub(crate) fn is_noted() -> bool {
    next().is_multiple_of(NOTED)
}

/// Whether a hit that is noted is to be passed on to moka.
pub(crate) fn is_news(at: At) -> bool {
    PASSED_ON.replace(Some(at)) != Some(at) || COUNT.get().is_multiple_of(NOTED * REPEATED)
}

/// Whether this look-up may put its key into the place of another.
pub(crate) fn displaces() -> bool {
    next().is_multiple_of(DISPLACING)
}
