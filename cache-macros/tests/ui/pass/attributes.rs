//! A function with every attribute that goes somewhere else.
#![deny(warnings, missing_docs, unreachable_pub, clippy::all)]

use cache_aside::cached;

/// Documented.
///
/// With paragraphs.
#[must_use]
#[cached(key = "user:{id}", ttl = "5m")]
#[inline]
#[cfg(all())]
#[allow(clippy::needless_return)]
#[expect(unused_variables)]
pub async fn find_user(id: u64) -> u64 {
    let never_used = id;
    return 1;
}

fn main() {
    let _ = find_user(1);
}
