//! Runs the checker.

// What is printed is what a run is for.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::properties::KEPT;
use crate::setup::Setup;

/// How an exploration went.
pub(crate) struct Explored {
    pub(crate) states: usize,
    pub(crate) depth: usize,
    /// Whether a node ever kept what is new before it heard of it over the bus.
    pub(crate) keeps: bool,
    /// The first counterexample: the property, and the steps that lead to it.
    pub(crate) counterexample: Option<(&'static str, Vec<String>)>,
}

/// Explores every state of `setup`, or until a counterexample is found, and prints how many there were.
pub(crate) fn explore(setup: Setup, threads: usize) -> Explored {
    let title = setup.title;
    let began = Instant::now();
    let checker = setup.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let mut discoveries = checker.discoveries();
    let keeps = discoveries.remove(KEPT).is_some();
    let shortest = discoveries.into_iter().min_by_key(|(_, path)| path.clone().into_actions().len());
    let counterexample = shortest.map(|(property, path)| {
        let steps = path.into_actions().iter().map(|step| format!("{step:?}")).collect();
        (property, steps)
    });
    let explored = Explored { states: checker.unique_state_count(), depth: checker.max_depth(), keeps, counterexample };
    let outcome = explored.counterexample.as_ref().map_or_else(
        || (if explored.keeps { "holds, and keeps what is new" } else { "holds" }).to_owned(),
        |(property, steps)| format!("{property}: counterexample of {} steps", steps.len()),
    );
    println!("{title}: {} states, depth {}, {:.1?}: {outcome}", explored.states, explored.depth, began.elapsed());
    explored
}
