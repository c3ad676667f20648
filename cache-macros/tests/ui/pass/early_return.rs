//! Bodies that return early.
#![deny(warnings)]

use cache_aside::{cache_invalidate, cached};

#[cached(key = "{id}")]
pub async fn find(id: u64) -> Result<u64, String> {
    if id == 0 {
        return Err("zero".to_owned());
    }
    let half = id.checked_div(2).ok_or("none")?;
    Ok(half)
}

#[cache_invalidate(key = "{id}")]
pub async fn remove(id: u64) -> Result<(), String> {
    if id == 0 {
        return Err("zero".to_owned());
    }
    let _ = id.checked_div(2).ok_or("none")?;
    Ok(())
}

#[cache_invalidate(key = "{id}")]
pub async fn borrowed(id: u64, name: &str) -> Option<&str> {
    name.get(..usize::try_from(id).ok()?)
}

fn main() {}
