//! The Redis tier of `cache-aside`.
//!
//! - [`RedisTier`] is a [`CacheTier`](cache_core::CacheTier) that nodes share: it offers leases, the journal and the bus.
//! - [`RedisTierBuilder`] sets its timeouts and sizes.
//!
//! Commands of all callers go over one connection, which is replaced in the background when it breaks: callers are told at
//! once that Redis is away and never wait for it to come back. Scans use connections of their own.

mod bus;
mod config;
mod counters;
mod error;
mod journal;
mod lane;
mod message;
mod names;
mod rules;
mod scan;
mod scripts;
mod shared;
mod tier;
mod topology;
mod url;

pub use config::RedisTierBuilder;
pub use counters::Counters;
pub use tier::RedisTier;
