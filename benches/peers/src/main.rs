//! What a hit in the process costs, beside other caches in the same run: each measured in turns with the others on the same
//! keys, as medians of many rounds. It ends with an error if a limit that the project states is not met.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml
//! ```

mod data;
mod hits;
mod limits;
mod memory;
mod rounds;
mod subjects;
mod threads;

use std::process::ExitCode;

use clap::Parser;

use crate::limits::Limits;

#[derive(Parser)]
#[command(about = "What a hit in the process costs, beside other caches")]
struct Options {
    /// How often each subject is measured.
    #[arg(long, default_value_t = 301)]
    rounds: usize,
    /// Only what has this in its name.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let mut limits = Limits::default();
    let wanted = |name: &str| name.contains(&options.only);
    for workload in data::Workload::ALL {
        if wanted(workload.name) {
            hits::measure(&workload, options.rounds, &mut limits)?;
        }
    }
    if wanted("annotated") {
        hits::measure_calls(options.rounds, &mut limits)?;
    }
    if wanted("threads") {
        threads::measure(options.rounds, &mut limits)?;
    }
    if wanted("memory") {
        memory::measure(&mut limits)?;
    }
    Ok(limits.report())
}
