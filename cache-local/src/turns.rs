//! Which look-ups of a thread do what need not be done at each.

use std::cell::Cell;

use crate::front::At;

/// One in so many hits of the front is passed on to moka, so that it knows what is worth keeping.
const PASSED_ON: u32 = 16;

/// Of the hits to be passed on that follow one of the same key, one in so many is: moka knows of that key by then.
const REPEATED: u32 = 16;

/// A key takes the place of another in the front in one of so many look-ups that did not find it there. So a scan leaves
/// most of what was there.
const DISPLACING: u32 = 8;

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
    static PASSED: Cell<Option<At>> = const { Cell::new(None) };
}

fn next() -> u32 {
    let count = COUNT.get().wrapping_add(1);
    COUNT.set(count);
    count
}

/// Whether this hit of the front is to be passed on to moka.
pub(crate) fn passes_on(at: At) -> bool {
    let count = next();
    count.is_multiple_of(PASSED_ON) && is_news(at, count)
}

fn is_news(at: At, count: u32) -> bool {
    PASSED.replace(Some(at)) != Some(at) || count.is_multiple_of(PASSED_ON * REPEATED)
}

/// Whether this look-up may put its key into the place of another.
pub(crate) fn displaces() -> bool {
    next().is_multiple_of(DISPLACING)
}
