//! The order of the replays, and what is kept of each.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

use crate::database::Database;
use crate::load::client::expected;
use crate::load::fleet::Fleet;
use crate::load::history::{History, Page, Verdict};
use crate::load::lookups::Lookups;
use crate::load::options::Options;
use crate::load::replay::{Load, Replay, Site, replay};
use crate::load::workload::Workload;

/// The measured replays run at this share of what the API serves without the cache, so that neither side is overloaded.
const MEASURED_SHARE: f64 = 0.7;
/// Shares of a side's capacity at which its response times are taken for the plot.
const SWEEP: [f64; 6] = [0.1, 0.3, 0.5, 0.7, 0.85, 0.95];
const SWEEP_SECONDS: f64 = 1.5;
/// A side's capacity is the best of so many attempts: whatever else the machine does can only lower it.
const CAPACITY_ATTEMPTS: usize = 3;
/// Requests of an attempt, which takes about a second.
const CAPACITY_REQUESTS_WITHOUT: usize = 4_000;
const CAPACITY_REQUESTS_WITH: usize = 12_000;
const AUDITORS: usize = 8;

/// Which part of the workload is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Requests before the measured ones; they warm the cache.
    pub(crate) warm_up: usize,
    pub(crate) requests: usize,
}

/// One replay in figures.
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) throughput: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) queries: u64,
    /// The queries so far, at moments after the start.
    pub(crate) samples: Vec<(Duration, u64)>,
    pub(crate) lookups: Lookups,
}

/// The API without the cache.
pub(crate) struct Without {
    /// The offered rate of the measured replays of both sides, per second.
    pub(crate) rate: f64,
    pub(crate) capacity: f64,
    pub(crate) measured: Measured,
    pub(crate) sweep: Vec<Measured>,
}

/// The API with the cache.
pub(crate) struct With {
    pub(crate) capacity: f64,
    /// From empty tiers, the workload's first requests.
    pub(crate) cold: Measured,
    /// After the warm-up, the same requests as without the cache.
    pub(crate) warm: Measured,
    pub(crate) sweep: Vec<Measured>,
}

/// Replays parts of the workload, and keeps the history of all of them.
pub(crate) struct Bench {
    options: Options,
    plan: Plan,
    workload: Workload,
    auditor: Database,
    started: Instant,
    pub(crate) history: History,
}

impl Plan {
    /// What the options ask for, as far as the workload reaches.
    pub(crate) fn new(options: &Options, workload: &Workload) -> Self {
        let requests = (options.requests as usize).min(workload.len() / 2);
        Self { warm_up: (options.warm_up as usize).clamp(requests, workload.len() - requests), requests }
    }
}

impl Measured {
    fn new(replay: &Replay, lookups: Lookups) -> Self {
        Self {
            requests: replay.response_times.len(),
            throughput: replay.throughput(),
            p50: replay.quantile(0.5),
            p99: replay.quantile(0.99),
            queries: replay.queries,
            samples: replay.samples.clone(),
            lookups,
        }
    }
}

impl Bench {
    pub(crate) fn new(options: &Options, plan: Plan, workload: Workload, auditor: Database) -> Self {
        let (options, started, history) = (options.clone(), Instant::now(), History::default());
        Self { options, plan, workload, auditor, started, history }
    }

    pub(crate) async fn without_cache(&mut self, fleet: &Fleet) -> anyhow::Result<Without> {
        let Plan { warm_up, requests } = self.plan;
        let capacity = self.capacity("capacity without cache", fleet, CAPACITY_REQUESTS_WITHOUT).await?;
        let rate = self.options.rate.unwrap_or(MEASURED_SHARE * capacity);
        let measured = self.replay("without cache", fleet, warm_up, requests, Some(rate)).await?;
        let sweep = self.sweep("without cache", fleet, capacity).await?;
        Ok(Without { rate, capacity, measured, sweep })
    }

    pub(crate) async fn with_cache(&mut self, fleet: &Fleet, rate: f64) -> anyhow::Result<With> {
        let Plan { warm_up, requests } = self.plan;
        let cold = self.replay("with cache, from cold", fleet, 0, requests, Some(rate)).await?;
        self.replay("warming up", fleet, requests, warm_up - requests, None).await?;
        let warm = self.replay("with cache, warm", fleet, warm_up, requests, Some(rate)).await?;
        let capacity = self.capacity("capacity with cache", fleet, CAPACITY_REQUESTS_WITH).await?;
        let sweep = self.sweep("with cache", fleet, capacity).await?;
        Ok(With { capacity, cold, warm, sweep })
    }

    /// Asks the database for the pages that no writer has asked it for, then checks every response.
    pub(crate) async fn check(&mut self, delivery_bound: Duration) -> anyhow::Result<Verdict> {
        let products = self.history.unknown_products();
        let progress = progress("asking the database", products.len());
        let mut auditors = JoinSet::new();
        for products in products.chunks(products.len().div_ceil(AUDITORS).max(1)) {
            auditors.spawn(pages(self.auditor.clone(), products.to_vec(), progress.clone()));
        }
        while let Some(pages) = auditors.join_next().await {
            pages??.into_iter().for_each(|page| self.history.learn(page));
        }
        progress.finish();
        Ok(self.history.check(delivery_bound))
    }

    /// Requests per second that the fleet answers when every connection always has one.
    async fn capacity(&mut self, name: &str, fleet: &Fleet, requests: usize) -> anyhow::Result<f64> {
        let mut capacity = 0.0_f64;
        for attempt in 0..CAPACITY_ATTEMPTS {
            let position = self.next_after_measured() + attempt * requests;
            capacity = capacity.max(self.replay(name, fleet, position, requests, None).await?.throughput);
        }
        Ok(capacity)
    }

    async fn sweep(&mut self, name: &str, fleet: &Fleet, capacity: f64) -> anyhow::Result<Vec<Measured>> {
        let mut measured = Vec::new();
        let mut position = self.next_after_measured() + CAPACITY_ATTEMPTS * CAPACITY_REQUESTS_WITH;
        for share in SWEEP {
            let rate = share * capacity;
            let requests = (rate * SWEEP_SECONDS).ceil() as usize;
            measured.push(self.replay(&format!("{name}, {rate:.0}/s"), fleet, position, requests, Some(rate)).await?);
            position += requests;
        }
        Ok(measured)
    }

    fn next_after_measured(&self) -> usize {
        self.plan.warm_up + self.plan.requests
    }

    async fn replay(
        &mut self,
        name: &str,
        fleet: &Fleet,
        position: usize,
        requests: usize,
        rate: Option<f64>,
    ) -> anyhow::Result<Measured> {
        let site = Site {
            nodes: fleet.nodes(),
            database: fleet.database.clone(),
            auditor: self.auditor.clone(),
            concurrency: self.options.concurrency as usize,
            writers: self.options.writers as usize,
            started: self.started,
        };
        let progress = progress(name, requests);
        let before = fleet.lookups();
        let load = Load { products: self.workload.slice(position, requests), rate };
        let mut replay = replay(&site, load, &progress).await?;
        progress.finish();
        let measured = Measured::new(&replay, fleet.lookups() - before);
        self.history.append(std::mem::take(&mut replay.history));
        Ok(measured)
    }
}

async fn pages(auditor: Database, products: Vec<u32>, progress: ProgressBar) -> anyhow::Result<Vec<Page>> {
    let mut pages = Vec::with_capacity(products.len());
    for product in products {
        pages.push(expected(&auditor.page(product).await?)?);
        progress.inc(1);
    }
    Ok(pages)
}

fn progress(name: &str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:28} {wide_bar} {pos:>7}/{len:7} {per_sec:>12} {elapsed:>4}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length as u64).with_style(style).with_message(name.to_owned())
}
