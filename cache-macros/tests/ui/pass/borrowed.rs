//! Borrowed arguments and `impl Trait`.
#![deny(warnings)]

use cache_aside::cached;
use std::borrow::Cow;
use std::fmt::Display;

#[cached(key = "{name}:{id}:{text}:{list.len()}")]
pub async fn find<'a>(name: &'a str, id: impl Display + Send + Sync, text: Cow<'_, str>, list: &[u8]) -> usize {
    name.len() + text.len() + list.len() + id.to_string().len()
}

fn main() {}
