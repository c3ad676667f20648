//! Bodies with items that say `Self`.
#![deny(warnings)]

use cache_aside::cached;

#[cached(key = "{id}")]
pub async fn find(id: u64) -> u64 {
    struct Local(u64);
    impl Local {
        fn new(id: u64) -> Self {
            Self(id)
        }
    }
    Local::new(id).0
}

fn main() { let _ = find::key(1); }
