//! What hits, misses and reads of Redis cost, beside other caches and clients in the same run: each measured in turns with the
//! others, in rounds that begin with another of them, on the same keys; medians of the rounds, and of the ratios within them. It
//! starts a redis-server of its own, and ends with an error if a limit that the project states is not met.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml             # prints
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- --quick  # a short run, whose figures count little
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- --write  # writes docs/benchmarks/README.md and its plots
//! ```

mod caches;
mod data;
mod hits;
mod machine;
mod memory;
mod plots;
mod remote;
mod report;
mod rounds;
mod threads;

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use crate::caches::Call;
use crate::machine::Machine;
use crate::remote::Effort;
use crate::report::Report;

/// Where the tables and the plots go.
const DOCUMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks");

#[derive(Parser)]
#[command(about = "What hits, misses and reads of Redis cost, beside other caches and clients")]
struct Options {
    /// How often each hit in the process is measured; reads of Redis, a sixth as often.
    #[arg(long, default_value_t = 61)]
    rounds: usize,
    /// A short run: 3 rounds, unless said otherwise by --rounds, and shorter turns.
    #[arg(long)]
    quick: bool,
    /// Only one part: get, get_or_load, annotated, threads, memory, redis.
    #[arg(long, default_value = "")]
    only: String,
    /// Writes docs/benchmarks/README.md, and the plots beside it, and prints nothing but progress.
    #[arg(long, conflicts_with = "only")]
    write: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let rounds = if options.quick { options.rounds.min(3) } else { options.rounds };
    let turn = Duration::from_millis(if options.quick { 50 } else { 300 });
    let effort = Effort { rounds: rounds.div_ceil(6).max(2), turn };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let mut report = Report::default();
    let wanted = |name: &str| options.only.is_empty() || name == options.only;
    if wanted("get") {
        hits::measure(Call::Get, rounds, &mut report)?;
    }
    if wanted("get_or_load") {
        hits::measure(Call::GetOrLoad, rounds, &mut report)?;
    }
    if wanted("annotated") {
        hits::measure_annotated(rounds, &mut report)?;
    }
    if wanted("threads") {
        threads::measure(rounds, &mut report)?;
    }
    if wanted("memory") {
        memory::measure(&mut report)?;
    }
    if wanted("redis") {
        remote::measure(&runtime, effort, &mut report)?;
    }
    let text = document(&report, rounds, options.quick)?;
    if options.write {
        let directory = Path::new(DOCUMENTS);
        std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        for plot in report.sections.iter().filter_map(|section| section.plot.as_ref()) {
            plot.write(directory)?;
        }
        let path = directory.join("README.md");
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    } else {
        println!("{text}");
    }
    Ok(report.outcome())
}

fn document(report: &Report, rounds: usize, quick: bool) -> anyhow::Result<String> {
    let quick = if quick { " --quick" } else { "" };
    let mut text = String::new();
    writeln!(
        text,
        "# Benchmarks\n\n```text\ncargo run --release --manifest-path benches/peers/Cargo.toml --{quick} --write\n```\n"
    )?;
    writeln!(
        text,
        "measures all of this in one run, in turns: {rounds} rounds (a sixth as many for Redis), each beginning with another subject. \
         Figures are medians of the rounds; ratios are medians of the ratios within a round, so that what disturbs a round \
         disturbs both sides. **Read the ratios**: absolute times are those of one machine.\n"
    )?;
    writeln!(text, "{}", Machine::look())?;
    write!(text, "{report}")?;
    writeln!(text, "\n## How each was used, and what is not compared\n")?;
    writeln!(
        text,
        "Each is used as its own documentation recommends; what was chosen stands at the head of its file in \
         [`benches/peers/src/caches`](../../benches/peers/src/caches) and in \
         [`client.rs`](../../benches/peers/src/remote/client.rs).\n"
    )?;
    for absent in caches::ABSENT {
        writeln!(text, "- {absent}")?;
    }
    Ok(text)
}
