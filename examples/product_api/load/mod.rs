//! `--load`: what the cache is worth, and whether any response was wrong.
//!
//! Two API nodes serve one database over loopback, first without caches, then with one each over a shared Redis. Both
//! sides get the same requests at the same offered rate, with writers running.

mod bench;
mod client;
mod fleet;
mod history;
mod lookups;
mod options;
mod plots;
mod redis_server;
mod replay;
mod report;
mod workload;
mod writer;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use cache_aside::{CachingService, TierState};

use crate::catalogue;
use crate::database::Database;
use crate::load::bench::{Bench, Plan};
use crate::load::fleet::Fleet;
pub(crate) use crate::load::options::Options;
use crate::load::redis_server::SharedRedis;
use crate::load::workload::Workload;

pub(crate) const PRODUCTS: u32 = 100_000;
/// What one message from node to node may take before a read of the older version counts as wrong. In a healthy network
/// it takes well under a millisecond; here it shares two cores with everything else.
const DELIVERY_BOUND: Duration = Duration::from_millis(250);

/// Measures both sides, prints and plots, and fails if a response was wrong.
pub(crate) async fn run(options: &Options, database: &Database, directory: &Path) -> anyhow::Result<ExitCode> {
    let workload = match &options.trace {
        Some(path) => Workload::trace(path)?,
        None => Workload::zipf(options.warm_up as usize + 4 * options.requests as usize)?,
    };
    let plan = Plan::new(options, &workload);
    println!("Requests: {}; {} from cold, warm from number {} on.", workload.description, plan.requests, plan.warm_up);
    let redis = SharedRedis::find_or_start(directory).await?;
    let nodes = if redis.is_some() { 2 } else { 1 };
    cache(redis.as_ref()).await?.shutdown().await; // Fails now, and not when the side without a cache has run.

    let mut bench = Bench::new(options, plan, workload, database.counted_apart());
    let mut fleet = Fleet::over(database);
    for _ in 0..nodes {
        fleet.add(None).await?;
    }
    let without = bench.without_cache(&fleet).await?;
    fleet.stop().await?;

    let mut fleet = Fleet::over(database);
    for _ in 0..nodes {
        fleet.add(Some(cache(redis.as_ref()).await?)).await?;
    }
    let with = bench.with_cache(&fleet, without.rate).await?;
    fleet.stop().await?;

    let verdict = bench.check(DELIVERY_BOUND).await?;
    report::print(&without, &with);
    report::print_verdict(&bench.history, &verdict, DELIVERY_BOUND);
    plots::write(&options.output, &without, &with)?;
    Ok(if verdict.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn cache(redis: Option<&SharedRedis>) -> anyhow::Result<CachingService> {
    let namespace = format!("product-api-load-{}", std::process::id());
    let cache = catalogue::cache(&namespace, redis.map(|redis| redis.url.as_str())).await?;
    // Nodes that share nothing would answer what another has replaced, and the run would report that and not why.
    for tier in cache.status().await.tiers {
        if tier.state != TierState::Up {
            let error = tier.last_error.unwrap_or_else(|| "it does not answer".to_owned());
            bail!("the tier {} is not up, so there is nothing to measure: {error}", tier.name);
        }
    }
    Ok(cache)
}
