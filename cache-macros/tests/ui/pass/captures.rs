//! What a format string captures is an argument that the attribute's expressions use.
#![deny(warnings)]

use cache_aside::{CachingService, cached};
use std::time::Duration;

fn service(name: &str) -> CachingService {
    let _ = name;
    CachingService::global()
}

#[cached(key = "a:{id}", tags = vec![format!("org:{org}"), format!("{{id}}{}", "b")], skip(org))]
pub async fn tags(id: u64, org: &str) -> u64 {
    id
}

#[cached(key = "b:{id}", cache = service(&format!("{org:>width$}")))]
pub async fn cache(id: u64, org: &str, width: usize) -> u64 {
    id
}

#[cached(key = "c:{id}", ttl = Duration::from_secs(format!(r"{type:?}").len() as u64), skip(r#type))]
pub async fn policy(id: u64, r#type: u64) -> u64 {
    id
}

fn main() {
    let _ = tags::put(1, "a", 1);
    let _ = cache::get(1, "a", 8);
    let _ = policy::get(1, 2);
}
