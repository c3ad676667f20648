//! Settings too large for every run of the tests.

use crate::setup::{Setup, setup};
use crate::state::Faults;
use crate::state::Kind::{Clear, Invalidate, Other, Pattern, Replicate, Set, Strict, Versioned};

const NONE: Faults = Faults::NONE;

/// From the smallest to the largest.
pub(crate) fn settings() -> Vec<Setup> {
    let titled = |title: &'static str, setup: Setup| Setup { title, ..setup };
    vec![
        titled(
            "deaf for long, two callers",
            setup(2, &[0, 0], &[(1, Invalidate)]).far_warm().deaf().faults(Faults { tick: 5, ..NONE }),
        ),
        titled(
            "nodes that join while a clear runs and Redis is lost",
            setup(2, &[0], &[(1, Clear)]).joining().faults(Faults { restart_empty: 1, ..NONE }),
        ),
        titled(
            "Redis is lost, and its clock goes back",
            setup(2, &[], &[(1, Invalidate)]).warm().clock_back().faults(Faults { restart_empty: 1, cut: 1, ..NONE }),
        ),
        titled(
            "an answer lost twice, and the queue",
            setup(2, &[0], &[(0, Invalidate)]).far_warm().faults(Faults { fail: 2, ..NONE }),
        ),
        titled("two sets, an answer lost", setup(2, &[], &[(0, Set), (1, Set)]).faults(Faults { fail: 1, ..NONE })),
        titled(
            "a set and an invalidation, answers lost",
            setup(2, &[], &[(0, Set), (1, Invalidate)]).far_warm().faults(Faults { fail: 1, late: 1, ..NONE }),
        ),
        titled(
            "a strict invalidation, a load and a cut",
            setup(2, &[0], &[(1, Strict)]).far_warm().faults(Faults { cut: 1, tick: 3, ..NONE }),
        ),
        titled(
            "a replica, an invalidation and an answer lost",
            setup(2, &[], &[(0, Replicate), (1, Invalidate)]).far_warm().faults(Faults { fail: 1, ..NONE }),
        ),
        titled("two versions and a load", setup(2, &[0], &[(0, Versioned), (1, Versioned)])),
        titled("two sets and a load", setup(2, &[0], &[(0, Set), (1, Set)])),
        titled("a set, an invalidation and a load", setup(2, &[0], &[(0, Set), (1, Invalidate)])),
        titled(
            "a flush, a loss, writers on both nodes",
            setup(2, &[], &[(1, Invalidate), (0, Invalidate)]).warm().faults(Faults { flush: 1, drop: 1, ..NONE }),
        ),
        titled(
            "a set that is given up, another, and the queue",
            setup(1, &[0], &[(0, Set), (0, Set)]).far_warm().faults(Faults { fail: 1, ..NONE }),
        ),
        titled(
            "a cut and trims while a load runs",
            setup(2, &[0], &[(1, Invalidate), (1, Other)]).far_warm().faults(Faults { cut: 1, trim: 2, ..NONE }),
        ),
        titled(
            "a cut for long while a load runs",
            setup(2, &[0], &[(1, Invalidate)]).far_warm().faults(Faults { cut: 1, tick: 4, ..NONE }),
        ),
        titled("a pattern and an invalidation", setup(2, &[0], &[(0, Pattern), (1, Invalidate)]).far_warm()),
        titled("a caller, two writers", setup(2, &[0], &[(0, Invalidate), (1, Invalidate)])),
        titled("two callers, two writers", setup(2, &[0, 0], &[(0, Invalidate), (1, Invalidate)])),
        titled(
            "two callers, two writers, lock by lock",
            setup(1, &[0, 0], &[(0, Invalidate), (0, Other)]).fine().far_warm(),
        ),
        titled("three nodes", setup(3, &[0, 1], &[(2, Invalidate)]).far_warm().faults(Faults { cut: 1, ..NONE })),
        titled(
            "a clear and an invalidation, an answer lost",
            setup(2, &[0], &[(0, Clear), (1, Invalidate)]).far_warm().faults(Faults { fail: 1, ..NONE }),
        ),
    ]
}
