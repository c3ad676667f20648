//! What Redis is asked for: by this project, and by clients by themselves, over a server of its own.

mod batches;
mod client;
mod misses;
mod singles;

use cache_testing::RedisServer;
use tokio::runtime::Runtime;

use crate::report::Report;
use client::Client;

/// The keys that are there, and the bytes that each holds.
const KEYS: usize = 10_000;
const VALUE_BYTES: usize = 100;
/// The namespace of the keys.
const NAMESPACE: &str = "cache";

const SERVICE: &str = "cache-aside, service";
const TIER: &str = "cache-aside, `RedisTier`";
const RAW: &str = "redis-rs, one shared connection";
const POOL: &str = "deadpool-redis, a checkout each";
const FRED: &str = "fred";

/// How long and how often is measured.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// How long each turn lasts.
    pub(crate) turn: std::time::Duration,
}

pub(crate) fn measure(runtime: &Runtime, effort: Effort, report: &mut Report) -> anyhow::Result<()> {
    let server = RedisServer::start();
    let clients = runtime.block_on(client::all(&server))?;
    singles::measure(runtime, effort, &clients, report);
    batches::measure(runtime, effort, &clients, report);
    misses::measure(runtime, effort, &server, report)
}
