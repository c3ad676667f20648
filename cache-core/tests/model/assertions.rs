//! What the tests ask of an exploration.

// As in `explore`.
#![allow(clippy::print_stdout)]

use crate::explore::{Explored, explore};
use crate::protocol::Protocol;
use crate::setup::Setup;

/// Explores `setup`, in which every property must hold.
pub(crate) fn assert_holds(setup: Setup) -> Explored {
    let explored = explore(setup, 2);
    if let Some((property, steps)) = &explored.counterexample {
        panic!("{property}\n{}", steps.join("\n"));
    }
    explored
}

/// Explores `setup` with every fence, where every property must hold, and then without one, where one must not; and
/// shows how that comes to light.
pub(crate) fn assert_fence_is_needed(setup: Setup, take_out: fn(&mut Protocol)) {
    assert_holds(setup.clone());
    let explored = explore(without(setup, take_out), 1);
    let Some((_, steps)) = explored.counterexample else { panic!("the fence that was taken out is not missed") };
    println!("    {}", steps.join("\n    "));
}

/// Explores `setup` with every rule, and without one that serves the hit ratio alone: nothing is ever stale without it,
/// but a node does not keep what it might.
pub(crate) fn assert_serves_hits(setup: Setup, take_out: fn(&mut Protocol)) {
    assert!(assert_holds(setup.clone()).keeps, "nothing is kept");
    assert!(!assert_holds(without(setup, take_out)).keeps, "what was taken out is not missed");
}

fn without(mut setup: Setup, take_out: fn(&mut Protocol)) -> Setup {
    take_out(&mut setup.protocol);
    setup
}
