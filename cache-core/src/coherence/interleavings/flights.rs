//! Callers that share loads while what they load changes.

use shuttle::thread;

use super::*;
use crate::sync::explore;

#[test]
fn a_caller_that_comes_after_an_invalidation_is_not_given_what_was_loaded_before_it() {
    for change in changes() {
        explore(move || {
            let node = Node::new();
            node.load();
            thread::scope(|scope| {
                scope.spawn(|| node.read_after_miss());
                scope.spawn(|| node.read_after_miss());
                scope.spawn(|| {
                    node.invalidate_alone(&change);
                    node.read();
                });
            });
            node.read();
        });
    }
}

#[test]
fn a_caller_that_comes_after_an_invalidation_with_a_record_is_not_given_what_was_loaded_before_it() {
    for change in changes() {
        explore(move || {
            let node = Node::new();
            node.load();
            thread::scope(|scope| {
                scope.spawn(|| node.read_after_miss());
                scope.spawn(|| node.read_after_miss());
                scope.spawn(|| {
                    node.invalidate(&change);
                    node.read();
                });
                scope.spawn(|| {
                    node.listen(0);
                    node.read();
                });
            });
            node.read();
        });
    }
}

#[test]
fn a_caller_that_comes_after_a_record_was_applied_is_not_given_what_was_loaded_before_it() {
    for change in changes() {
        explore(move || {
            let node = Node::new();
            node.load();
            thread::scope(|scope| {
                scope.spawn(|| node.read_after_miss());
                scope.spawn(|| node.read_after_miss());
                scope.spawn(|| {
                    node.change_elsewhere(&change);
                    node.listen(0);
                    node.read();
                });
            });
            node.read();
        });
    }
}

/// An invalidation of this node, of another key, may learn a later position than that of a record still to be applied.
#[test]
fn a_record_detaches_flights_that_began_when_a_later_one_was_known() {
    explore(|| {
        let node = Node::new();
        node.load();
        thread::scope(|scope| {
            scope.spawn(|| node.read_after_miss());
            scope.spawn(|| node.coherence.learn(at(9)));
            scope.spawn(|| {
                node.change_elsewhere(&Change::Keys([key()].into()));
                node.listen(0);
                node.read();
            });
        });
        node.read();
    });
}
