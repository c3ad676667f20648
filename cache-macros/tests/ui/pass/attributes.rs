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

/// There is no other of this name: the function goes with all that it expands to.
#[cached]
#[cfg(any())]
pub async fn find_user(id: u64) -> u64 {
    id
}

#[cached(key = "user:{userId}")]
#[cfg_attr(all(), allow(non_snake_case))]
pub(crate) async fn find_by_user_id(userId: u64) -> u64 {
    userId
}

/// No longer.
#[deprecated]
pub struct Old;

/// What is deprecated may speak of what is deprecated.
#[cached(key = "user:{id}", skip(old))]
#[allow(deprecated)]
pub async fn find_with(old: Old, id: u64) -> u64 {
    drop(old);
    id
}

/// Its own companions are no reason for a warning.
#[deprecated(note = "find_user")]
#[cached(key = "user:{id}")]
pub async fn find_old_user(id: u64) -> u64 {
    id
}

/// An argument of its name is none either.
#[deprecated]
#[cached]
pub async fn old(old: u64) -> u64 {
    old
}

/// The same in an `impl` block.
pub struct Users;

impl Users {
    /// Deprecated.
    #[deprecated]
    #[cached(key = "user:{userId}")]
    #[allow(non_snake_case)]
    pub async fn find(&self, userId: u64) -> u64 {
        userId
    }

    /// Owns what it needs.
    #[cached(key = "user:{userId}", skip(old))]
    #[expect(non_snake_case, deprecated)]
    pub async fn find_owned(self: std::sync::Arc<Self>, old: Old, userId: u64) -> u64 {
        drop(old);
        userId
    }
}

fn main() {
    let _ = find_user(1);
    let _ = find_by_user_id(1);
}
