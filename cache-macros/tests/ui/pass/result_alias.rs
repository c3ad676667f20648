//! Aliases of `Result`.
#![deny(warnings)]

use cache_aside::cached;

pub type Found = Result<u64, String>;
pub type Fallible<T> = Result<T, String>;

#[cached(key = "a:{id}")]
pub async fn whole(id: u64) -> Found {
    Ok(id)
}

#[cached(key = "b:{id}")]
pub async fn generic(id: u64) -> Fallible<Option<u64>> {
    Ok(Some(id))
}

/// No `Result`, whatever its name says.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct SearchResult<T>(Vec<T>);

type Search = SearchResult<String>;

#[cached(key = "search:{words}")]
pub async fn search(words: String) -> Search {
    SearchResult(vec![words])
}

fn main() {}
