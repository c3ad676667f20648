//! Runs the fault-injecting checker: see `cache_testing::checker`.
//!
//! `cargo run --release -p cache-testing --bin checker -- --minutes 3`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use cache_testing::checker::faults::FaultKind;
use cache_testing::checker::message::{Breakage, NodeSettings, Timings};
use cache_testing::checker::run::{RunSettings, run};
use cache_testing::checker::{node, report::report};
use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    about = "Reads and writes through several nodes while everything goes wrong, and checks what the nodes promise."
)]
struct Command {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    node: Option<Node>,
}

/// What the program becomes when it starts itself.
#[derive(Debug, Subcommand)]
enum Node {
    #[command(hide = true)]
    Node { settings: String },
}

#[derive(Debug, Args)]
struct Options {
    /// For how many minutes faults are injected; healing and the audit come on top.
    #[arg(long, default_value_t = 3, conflicts_with = "seconds")]
    minutes: u64,
    /// The same in seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// What random choices follow. Drawn and reported when not given.
    #[arg(long)]
    seed: Option<u64>,
    /// How many nodes.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    nodes: u32,
    /// How many keys.
    #[arg(long, default_value_t = 96, value_parser = clap::value_parser!(u32).range(8..=100_000))]
    keys: u32,
    /// How many reads each second, of all nodes together.
    #[arg(long, default_value_t = 80_000)]
    reads: u32,
    /// How many writes each second.
    #[arg(long, default_value_t = 60)]
    writes: u32,
    /// Runs the nodes with a fifth of the default heartbeat and isolation times, and so with a fifth of the bound.
    #[arg(long)]
    short_timings: bool,
    /// Injects these kinds of faults only, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = fault_kind)]
    only: Vec<FaultKind>,
    /// Leaves these kinds of faults out, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = fault_kind)]
    without: Vec<FaultKind>,
    /// Injects failovers to a replica as well, which loses the newest writes.
    #[arg(long)]
    failovers: bool,
    /// Writes the report to this file as well.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Breaks the nodes: each says of every so many writes that all tiers were told, and tells none. The checker must
    /// notice.
    #[arg(long, hide = true)]
    swallow_every: Option<usize>,
    /// Breaks a node: the one that is told to make this write dies. The checker must notice.
    #[arg(long, hide = true)]
    die_at: Option<usize>,
    /// Breaks the nodes: they write the source around nothing. The checker must notice.
    #[arg(long, hide = true)]
    skip_fences: bool,
}

fn fault_kind(name: &str) -> Result<FaultKind, String> {
    let known: Vec<&str> = FaultKind::WEIGHTS.iter().map(|(kind, _)| kind.name()).collect();
    FaultKind::named(name).ok_or_else(|| format!("no such fault; there are {}", known.join(", ")))
}

impl Options {
    fn settings(&self) -> std::io::Result<RunSettings> {
        let all = FaultKind::WEIGHTS.iter().map(|(kind, _)| *kind);
        let wanted = |kind: &FaultKind| {
            let by_default = !kind.loses_writes() || *kind == FaultKind::Failover && self.failovers;
            let by_default = self.only.is_empty() && by_default;
            (by_default || self.only.contains(kind)) && !self.without.contains(kind)
        };
        Ok(RunSettings {
            program: std::env::current_exe()?,
            duration: Duration::from_secs(self.seconds.unwrap_or(self.minutes * 60)),
            seed: self.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
            nodes: self.nodes,
            keys: self.keys,
            reads_per_second: self.reads,
            writes_per_second: self.writes,
            timings: if self.short_timings { Timings::SHORT } else { Timings::DEFAULT },
            faults: all.filter(wanted).collect::<BTreeSet<_>>(),
            breakage: Breakage {
                swallows_every: self.swallow_every,
                dies_at: self.die_at,
                skips_fences: self.skip_fences,
            },
        })
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let command = Command::parse();
    if let Some(Node::Node { settings }) = command.node {
        let settings: NodeSettings = serde_json::from_str(&settings)?;
        node::run(settings).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let settings = command.options.settings()?;
    eprintln!("seed {}: running for {:?}, and then the audit", settings.seed, settings.duration);
    let outcome = run(settings).await?;
    let text = report(&outcome);
    print!("{text}");
    if let Some(file) = command.options.report {
        std::fs::write(file, &text)?;
    }
    Ok(if outcome.verdict.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
