//! Keyspaces: typed keys, read-through, batches, and what writes through them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

// Its `main` is not called here.
#[path = "keyspace/batches.rs"]
mod batches;
#[allow(dead_code, unreachable_pub)]
#[path = "../examples/custom_tier.rs"]
mod custom_tier;
#[path = "keyspace/keys.rs"]
mod keys;
#[path = "keyspace/reads.rs"]
mod reads;
#[path = "keyspace/write_behind.rs"]
mod write_behind;
#[path = "keyspace/write_behind_faults.rs"]
mod write_behind_faults;
#[path = "keyspace/writes.rs"]
mod writes;
