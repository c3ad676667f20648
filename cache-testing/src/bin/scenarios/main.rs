//! The coherence scenarios: what a cache does in each of the situations in which others were found to keep old values, to
//! load too often or to stand in the way, beside the best that any of the others did there.
//!
//! `cargo run --release -p cache-testing --bin scenarios` runs all of them, in about two minutes, and ends with 1 if any
//! cell is worse than the best of the others. It starts the servers, the proxies and the processes that it needs.
//!
//! - `--quick`: fewer rounds and shorter outages, for a test.
//! - `--rounds N`: how often the race of a load that ends as its invalidation returns is run. Default: 1,000.
//! - `--only TEXT`: only the scenarios whose name holds this text.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

mod delivery;
mod links;
mod node;
mod options;
mod outages;
mod pattern;
mod races;
mod raw;
mod stampede;
mod table;

use std::error::Error;
use std::pin::Pin;
use std::process::ExitCode;

use node::until;
use options::Options;
use table::{Cell, Table};
use tokio::runtime::Handle;

type Failure = Box<dyn Error + Send + Sync>;

/// A scenario's name, and the best cell of the others in it.
type Heading = (&'static str, &'static str);

type Scenario<'a> = Pin<Box<dyn Future<Output = Result<Cell, Failure>> + 'a>>;

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["node"] {
        stampede::node(&std::env::var("CACHE_REDIS_URL")?).await?;
        return Ok(ExitCode::SUCCESS);
    }
    run(Options::parse(arguments)?).await
}

async fn run(options: Options) -> Result<ExitCode, Failure> {
    let (mut table, with) = (Table::default(), &options);
    let all: [(Heading, Scenario<'_>); 12] = [
        (stampede::HEADING, Box::pin(stampede::run(with))),
        (races::held::HEADING, Box::pin(races::held::run(with))),
        (races::ending::HEADING, Box::pin(races::ending::run(with))),
        (races::joining::HEADING, Box::pin(races::joining::run(with))),
        (links::HEADING, Box::pin(links::run(with))),
        (races::promoted::HEADING, Box::pin(races::promoted::run(with))),
        (outages::killed::HEADING, Box::pin(outages::killed::run(with))),
        (outages::hung::HEADING, Box::pin(outages::hung::run(with))),
        (outages::down_at_start::HEADING, Box::pin(outages::down_at_start::run(with))),
        (outages::queued::HEADING, Box::pin(outages::queued::run(with))),
        (delivery::HEADING, Box::pin(delivery::run(with))),
        (pattern::HEADING, Box::pin(pattern::run(with))),
    ];
    for (heading, scenario) in all {
        if options.includes(heading.0) {
            eprintln!("{} ...", heading.0);
            table.add(heading, scenario.await?);
            // What is left of one would disturb the next, and dropping a service must leave nothing.
            let tasks = Handle::current().metrics();
            until("all that it started has ended", async || tasks.num_alive_tasks() == 0).await?;
        }
    }
    print!("{table}");
    Ok(if table.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
