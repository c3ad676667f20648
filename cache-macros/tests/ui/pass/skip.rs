//! Arguments that are no part of the key.
#![deny(warnings)]

use cache_aside::cached;

pub struct Database;

#[cached(key = "a:{id}", skip(database))]
pub async fn named(database: &Database, id: u64) -> u64 {
    let _ = database;
    id
}

#[cached(skip(database, T))]
pub async fn by_default<T: Send>(database: Database, id: u64) -> u64 {
    let _ = database;
    id
}

pub struct Users;

impl Users {
    #[cached(key = "b:{id}", skip(self))]
    pub async fn method(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
