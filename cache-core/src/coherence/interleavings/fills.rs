//! Fills, sets and records that meet in the near tier.

use shuttle::thread;

use super::*;
use crate::coherence::RuleSet;
use crate::sync::{AtomicBool, explore};

#[test]
fn a_fill_begun_before_an_invalidation_is_not_served_after_it() {
    for change in changes() {
        explore(move || {
            let node = Node::new();
            thread::scope(|scope| {
                scope.spawn(|| node.load());
                scope.spawn(|| node.load());
                scope.spawn(|| node.invalidate_alone(&change));
                scope.spawn(|| node.invalidate_alone(&Change::Keys([key()].into())));
            });
            node.look();
        });
    }
}

#[test]
fn a_fill_begun_before_an_invalidation_with_a_record_is_not_served_after_it() {
    for change in changes() {
        explore(move || {
            let node = Node::new();
            thread::scope(|scope| {
                scope.spawn(|| node.load());
                scope.spawn(|| node.load());
                scope.spawn(|| node.invalidate(&change));
                scope.spawn(|| node.invalidate(&Change::Keys([key()].into())));
            });
            node.look();
        });
    }
}

#[test]
fn what_is_void_is_not_served_while_it_is_freed() {
    for change in [Change::Pattern(pattern()), Change::Clear] {
        explore(move || {
            let node = Node::new();
            node.load();
            thread::scope(|scope| {
                scope.spawn(|| node.read());
                scope.spawn(|| node.sweep());
                scope.spawn(|| {
                    node.invalidate(&change);
                    node.read();
                    node.sweep();
                });
                scope.spawn(|| {
                    node.change_elsewhere(&change);
                    node.listen(0);
                    node.read();
                });
            });
            node.read();
            node.sweep();
            node.read();
        });
    }
}

#[test]
fn what_gets_another_form_while_it_is_freed_does_not_rise_again() {
    for change in [Change::Pattern(pattern()), Change::Clear] {
        explore(move || {
            let node = Node::new();
            node.load();
            thread::scope(|scope| {
                scope.spawn(|| node.unpack());
                scope.spawn(|| {
                    node.invalidate_alone(&change);
                    node.sweep();
                });
            });
            node.look();
        });
    }
}

#[test]
fn a_fill_begun_before_a_record_was_applied_is_not_served_after_it() {
    for change in changes() {
        explore(move || {
            let node = Node::new();
            node.load();
            thread::scope(|scope| {
                scope.spawn(|| node.load());
                scope.spawn(|| node.load());
                scope.spawn(|| {
                    node.change_elsewhere(&change);
                    let applied = node.listen(0);
                    node.change_elsewhere(&Change::Keys([key()].into()));
                    node.listen(applied);
                });
            });
            node.look();
        });
    }
}

/// An invalidation of this node may hear of its position after the listener has applied later records.
#[test]
fn a_record_that_comes_late_takes_nothing_back() {
    for change in [Change::Keys([key()].into()), Change::Pattern(pattern()), Change::Clear] {
        explore(move || {
            let node = Node::new();
            node.coherence.learn(at(1));
            thread::scope(|scope| {
                scope.spawn(|| node.load());
                scope.spawn(|| node.coherence.void_before(&change, at(1)));
                scope.spawn(|| {
                    let version = node.write();
                    node.coherence.void_before(&change, at(2));
                    node.returned(version);
                });
            });
            node.look();
        });
    }
}

/// A set as the service does it with a far tier that keeps no journal, which here is the source.
fn set(node: &Node, version: u64) {
    let (ticket, _) = node.coherence.void_key(KEY);
    let birth = node.coherence.known();
    node.source.store(version, SeqCst);
    node.coherence.flights.detach(KEY, None);
    if !node.store(version, birth, ticket, Insertion::Set) {
        node.coherence.void(&Change::Keys([key()].into()));
    }
}

/// Of what waits nobody knows yet whether it comes before or after what another node sends.
#[test]
fn what_another_node_sends_is_not_taken_over_an_invalidation_that_waits() {
    for change in changes() {
        explore(move || {
            let node = Node::new();
            let waits = AtomicBool::new(false);
            let sent = entry(0, at(1));
            thread::scope(|scope| {
                scope.spawn(|| {
                    let changing = || waits.load(SeqCst);
                    node.coherence.insert_replica(&key(), &sent, at(1), Duration::from_secs(1), changing);
                });
                scope.spawn(|| {
                    let version = node.write();
                    node.coherence.void(&change);
                    waits.store(true, SeqCst);
                    node.coherence.void(&change);
                    node.returned(version);
                });
            });
            node.look();
        });
    }
}

#[test]
fn what_was_set_is_not_overwritten_by_an_older_fill() {
    explore(|| {
        let node = Node::new();
        thread::scope(|scope| {
            scope.spawn(|| node.load());
            scope.spawn(|| node.load());
            scope.spawn(|| {
                set(&node, 1);
                node.returned(1);
            });
        });
        node.look();
    });
}

#[test]
fn of_two_sets_at_once_only_what_the_far_tier_was_left_with_is_served() {
    explore(|| {
        let node = Node::new();
        thread::scope(|scope| {
            scope.spawn(|| node.load());
            scope.spawn(|| set(&node, 1));
            scope.spawn(|| set(&node, 2));
        });
        let far = node.source.load(SeqCst);
        assert!(node.look().is_none_or(|version| version == far));
    });
}

#[test]
fn a_record_removes_and_voids_nothing_born_at_or_after_it() {
    for change in [Change::Keys([key()].into()), Change::Pattern(pattern()), Change::Clear] {
        explore(move || {
            let node = Node::new();
            let position = at(1);
            node.load();
            thread::scope(|scope| {
                scope.spawn(|| node.coherence.void_before(&change, position));
                scope.spawn(|| node.coherence.void_before(&change, position));
                scope.spawn(|| {
                    node.coherence.learn(position);
                    let ticket = node.coherence.note(KEY);
                    let birth = node.coherence.known();
                    assert!(node.store(1, birth, ticket, Insertion::Fill), "it was voided");
                });
            });
            assert_eq!(node.look(), Some(1), "it was removed");
        });
    }
}

#[test]
fn nothing_from_before_a_new_journal_is_served_after_it_began() {
    explore(|| {
        let node = Node::new();
        node.load();
        thread::scope(|scope| {
            scope.spawn(|| node.load());
            scope.spawn(|| node.load());
            scope.spawn(|| {
                // An invalidation that this node never heard of.
                let version = node.write();
                drop(node.coherence.begin(Position::START, RuleSet::default()));
                node.returned(version);
            });
        });
        node.look();
    });
}

#[test]
fn nobody_sleeps_through_the_end_of_a_lease() {
    explore(|| {
        let node = Node::new();
        let held = AtomicBool::new(true);
        let wait = || {
            let mut end = std::pin::pin!(node.coherence.waiters.lease_end(KEY));
            end.as_mut().enable();
            if held.load(SeqCst) {
                block_on(end);
            }
        };
        thread::scope(|scope| {
            scope.spawn(wait);
            scope.spawn(wait);
            scope.spawn(|| {
                held.store(false, SeqCst);
                node.coherence.waiters.wake(KEY);
            });
        });
        assert!(!held.load(SeqCst));
    });
}

#[test]
fn the_newer_of_two_versions_that_are_set_at_once_is_not_replaced() {
    explore(|| {
        let node = Node::new();
        let newer = thread::scope(|scope| {
            scope.spawn(|| node.set(5));
            scope.spawn(|| node.set(7)).join().unwrap()
        });
        assert!(!newer || node.look() != Some(5), "the older one has gone over the newer");
    });
}

/// A heartbeat is answered while a caller finds out that the journal lacks what it has just been told of.
#[test]
fn a_node_that_knows_of_a_loss_is_isolated() {
    explore(|| {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        let coherence = Coherence::new(None, clock, Arc::new(Counters::default()), Timings::TEST, true);
        thread::scope(|scope| {
            scope.spawn(|| coherence.confirm(Timestamp::ZERO));
            scope.spawn(|| coherence.lose());
        });
        assert!(coherence.has_lost() && coherence.trust.is_isolated(Timestamp::ZERO));
    });
}
