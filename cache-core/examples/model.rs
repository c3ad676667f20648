//! Explores the model of the coherence protocol in settings too large for every run of the tests:
//!
//! ```text
//! cargo run --release -p cache-core --example model            # lists the settings
//! cargo run --release -p cache-core --example model -- --large # explores them all, which takes many minutes and gigabytes
//! cargo run --release -p cache-core --example model -- "three" # explores those whose title holds the text
//! ```
//!
//! It prints the states explored, and ends with an error on the first counterexample.

// What is printed is what a run is for.
#![allow(clippy::print_stdout)]

#[path = "../tests/model/callers.rs"]
mod callers;
#[path = "../tests/model/drain.rs"]
mod drain;
#[path = "../tests/model/effects.rs"]
mod effects;
#[path = "../tests/model/explore.rs"]
mod explore;
#[path = "../tests/model/failover.rs"]
mod failover;
#[path = "../tests/model/faults.rs"]
mod faults;
#[path = "../tests/model/fences.rs"]
mod fences;
#[path = "../tests/model/large.rs"]
mod large;
#[path = "../tests/model/listener.rs"]
mod listener;
#[path = "../tests/model/model.rs"]
mod model;
#[path = "../tests/model/properties.rs"]
mod properties;
#[path = "../tests/model/protocol.rs"]
mod protocol;
#[allow(dead_code, reason = "the tests have more settings")]
#[path = "../tests/model/setup.rs"]
mod setup;
#[path = "../tests/model/state.rs"]
mod state;
#[path = "../tests/model/writers.rs"]
mod writers;

use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for setup in large::settings() {
        match &wanted {
            None => println!("{}", setup.title),
            Some(text) if text == "--large" || setup.title.contains(text.as_str()) => {
                let explored = explore::explore(setup, threads);
                if let Some((property, steps)) = explored.counterexample {
                    println!("{property}\n{}", steps.join("\n"));
                    return ExitCode::FAILURE;
                }
            }
            Some(_) => {}
        }
    }
    ExitCode::SUCCESS
}
