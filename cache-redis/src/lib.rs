//! The Redis tier of `cache-aside`.
//!
//! Applications depend on the crate `cache-aside`, which re-exports [`RedisTier`] and [`RedisTierBuilder`].
//!
//! - [`RedisTier`] is a [`CacheTier`](cache_core::CacheTier) that nodes share: it offers leases, the journal and the bus.
//! - [`RedisTierBuilder`] sets its timeouts and sizes.
//!
//! Commands of all callers go over one connection, which is replaced in the background when it breaks: callers are told at
//! once that Redis is away and never wait for it to come back. Scans use connections of their own.
//!
//! In Redis, the value of key `k` of namespace `ns` is under `ns:k`, the journal under `{ns}!journal`, the
//! position of its last record under `{ns}!last`, the rules under `{ns}!rules`, and the bus is the channel `{ns}!bus` (`{ns}!bus/3` for database 3, since channels are not divided by
//! database). The server must be Redis 7 or newer, and allow Lua scripts, streams and pub/sub; a user of an access control list needs these keys and
//! this channel.

mod bus;
#[cfg(feature = "cluster")]
mod cluster;
mod config;
mod counters;
mod error;
mod gets;
mod journal;
mod lane;
mod lanes;
mod message;
mod names;
mod plain;
mod pushes;
mod rules;
mod scan;
mod scripts;
mod server_clock;
mod servers;
mod shared;
mod slot;
mod tier;
mod topology;
mod url;
mod writes;

pub use config::{RedisTierBuilder, Wire};
pub use counters::Counters;
pub use tier::RedisTier;
