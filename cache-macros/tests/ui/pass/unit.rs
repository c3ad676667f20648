//! Functions that return nothing.
#![deny(warnings)]

use cache_aside::{cache_invalidate, cached};

#[cached(key = "a")]
pub async fn nothing() {}

#[cache_invalidate(key = "a")]
pub async fn write() {}

#[cache_invalidate(key = "b", around = true)]
pub async fn write_around() -> Result<(), String> {
    Ok(())
}

fn main() {}
