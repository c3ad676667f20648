//! Tags as templates and as an expression.
#![deny(warnings)]

use cache_aside::cached;

#[cached(key = "a:{id}", tags = ["org:{org}", "users"], skip(org))]
pub async fn templates(id: u64, org: &str) -> u64 {
    id + org.len() as u64
}

#[cached(key = "b:{id}", tags = orgs, skip(orgs))]
pub async fn expression(id: u64, orgs: &[String]) -> u64 {
    id + orgs.len() as u64
}

#[cached(key = "c:{id}", tags = [])]
pub async fn none(id: u64) -> u64 {
    id
}

fn main() {}
