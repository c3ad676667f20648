//! Replays recorded accesses over 1 to 64 instances and prints the hit ratio of each tier, beside that of plain LRU, of moka
//! alone, and of the offline optimum, which knows the future. It writes the curves as SVG, and ends with an error if the
//! near tier is more than half a point worse than moka alone anywhere.
//!
//! ```text
//! cargo run --release --manifest-path benches/simulation/Cargo.toml -- --trace web07.trace.xz --trace orm-busy.trace.xz
//! ```

mod cache;
mod fleet;
mod plots;
mod report;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::report::Report;
use crate::trace::Trace;

/// What the near tier may lose against moka alone, as a share of all accesses.
const ALLOWED_LOSS: f64 = 0.005;

#[derive(Parser)]
#[command(about = "Hit ratios of the tiers on recorded accesses")]
struct Options {
    /// An xz file of big-endian 32-bit keys, one for each access, in order. May be given more than once.
    #[arg(long = "trace", required = true)]
    traces: Vec<PathBuf>,
    /// Uses only the first so many accesses of each trace.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    accesses: usize,
    /// Where the curves are written.
    #[arg(long, default_value = "docs/benchmarks")]
    plots: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let mut losses = Vec::new();
    for path in &options.traces {
        let trace = Trace::read(path, options.accesses)?;
        let report = Report::measure(&trace);
        print!("{report}");
        plots::write(&options.plots, &report)?;
        losses.extend(report.losses(ALLOWED_LOSS));
    }
    for loss in &losses {
        eprintln!("error: {loss}");
    }
    Ok(if losses.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
