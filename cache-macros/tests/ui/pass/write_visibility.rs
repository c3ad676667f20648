//! Writers that are visible elsewhere.
#![deny(warnings)]



mod inner {
    use cache_aside::{cache_invalidate, cache_put};

    /// Documented.
    #[cache_put(key = "{id}")]
    pub(crate) async fn put(id: u64) -> u64 {
        id
    }

    #[cache_invalidate(key = "{id}")]
    pub(super) async fn remove(id: u64) -> u64 {
        id
    }
}

fn main() { let _ = (inner::put(1), inner::remove(1)); }
