//! Keyspaces: typed keys, read-through, batches, and what writes through them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

#[path = "keyspace/batches.rs"]
mod batches;
#[path = "keyspace/keys.rs"]
mod keys;
#[path = "keyspace/reads.rs"]
mod reads;
#[path = "keyspace/write_behind.rs"]
mod write_behind;
#[path = "keyspace/writes.rs"]
mod writes;
