//! Derived keys, beside names that would mislead a macro that is not hygienic.

#![allow(dead_code)]

use cache_aside::CacheKey;

mod std {}
mod core {}
struct Option;
fn element() {}
fn begin() {}

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
struct UserId(u64);

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
enum Language {
    German,
    Other(String),
    r#Custom { r#type: u8, key: u8 },
}

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
struct Page<'a, T: Clone, const N: usize>
where
    T: PartialEq,
{
    key: UserId,
    language: &'a Language,
    numbers: [T; N],
}

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
struct Everything;

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
enum Nothing {}

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
#[cache_key(crate = cache_aside)]
struct Renamed {
    a: UserId,
    b: (u8, Language),
}

fn keyed<K: CacheKey>(_: &K) {}

fn main() {
    keyed(&Page { key: UserId(7), language: &Language::German, numbers: [1_u8, 2] });
    keyed(&Renamed { a: UserId(1), b: (2, Language::Other(String::new())) });
    keyed(&Everything);
}
