//! Runs the checker.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::properties::KEPT;
use crate::protocol::Protocol;
use crate::setup::Setup;

/// How an exploration went.
pub struct Explored {
    pub states: usize,
    pub depth: usize,
    /// Whether a node ever kept what is new before it heard of it over the bus.
    pub keeps: bool,
    /// The first counterexample: the property, and the steps that lead to it.
    pub counterexample: Option<(&'static str, Vec<String>)>,
}

/// Explores every state of `setup`, or until a counterexample is found, and prints how many there were.
pub fn explore(setup: Setup, threads: usize) -> Explored {
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
        || "holds".to_owned(),
        |(property, steps)| format!("{property}: counterexample of {} steps", steps.len()),
    );
    println!("{title}: {} states, depth {}, {:.1?}: {outcome}", explored.states, explored.depth, began.elapsed());
    explored
}

/// Explores `setup`, in which every property must hold.
pub fn assert_holds(setup: Setup) -> Explored {
    let explored = explore(setup, 2);
    if let Some((property, steps)) = &explored.counterexample {
        panic!("{property}\n{}", steps.join("\n"));
    }
    explored
}

/// Explores `setup` with every fence, where every property must hold, and then without one, where one must not; and shows
/// how that comes to light.
pub fn assert_fence_is_needed(setup: Setup, take_out: fn(&mut Protocol)) {
    assert_holds(setup.clone());
    let explored = explore(setup.with(take_out), 1);
    let (_, steps) = explored.counterexample.expect("the fence that was taken out is not missed");
    for step in steps {
        println!("    {step}");
    }
}

/// Explores `setup` with every rule, and without one that serves the hit ratio alone: nothing is ever stale without it, but
/// a node does not keep what it might.
pub fn assert_serves_hits(setup: Setup, take_out: fn(&mut Protocol)) {
    assert!(assert_holds(setup.clone()).keeps, "nothing is kept");
    assert!(!assert_holds(setup.with(take_out)).keeps, "what was taken out is not missed");
}
