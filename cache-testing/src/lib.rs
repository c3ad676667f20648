//! What the tests of cache-aside stand on: real servers, real processes and real network faults, with events in place
//! of sleeps.
//!
//! - [`mod@conformance`]: the suite that every tier passes.
//! - [`server`]: a `redis-server` of its own for a test, which can be killed, stopped, resumed and restarted; and several
//!   of them as a cluster, or watched over by sentinels.
//! - [`proxy`]: a TCP proxy that holds, delays and cuts connections, and gates that force a race.
//! - [`process`]: child processes that speak a line-based protocol, for tests across processes.
//! - [`checker`]: several nodes under every fault, and every read held against the promises.
//! - [`resp`]: the small Redis client of the above, independent of the code under test.
//!
//! Everything here panics where it cannot do what it was asked: a test has no better way to say so.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "only tests call this crate, and a panic is how a test fails"
)]

pub mod checker;
pub mod conformance;
mod port;
pub mod process;
pub mod proxy;
pub mod resp;
pub mod server;
mod supervised;

pub use process::Process;
pub use proxy::FaultProxy;
pub use server::{RedisCluster, RedisSentinels, RedisServer};
