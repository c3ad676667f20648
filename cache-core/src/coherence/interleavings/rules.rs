//! Rules, and a far tier that is scanned after they took effect.

use shuttle::thread;

use super::*;
use crate::sync::explore;

/// What a far tier holds, and the reads that go through it.
struct Far {
    node: Node,
    held: Mutex<Option<Entry>>,
}

impl Far {
    /// One that holds what the source had at the start.
    fn new() -> Self {
        Self { node: Node::new(), held: Mutex::new(Some(entry(0, Position::START))) }
    }

    /// A read as the service does it.
    fn read(&self) {
        let far = || self.ask().unwrap_or_else(|| self.node.load());
        self.node.held_against_floor(|| self.node.look().unwrap_or_else(far));
    }

    fn ask(&self) -> Option<u64> {
        let ticket = self.node.coherence.note(KEY);
        let entry = self.held.lock().unwrap().clone()?;
        if !self.node.coherence.may_read(KEY, &entry, ticket) {
            return None;
        }
        let version = version_of(&entry);
        self.node.store(version, entry.birth, ticket, Insertion::Fill);
        Some(version)
    }

    fn scan(&self, position: Position) {
        let mut held = self.held.lock().unwrap();
        *held = held.take().filter(|entry| entry.birth >= position);
    }
}

#[test]
fn what_a_rule_voided_is_not_read_from_a_far_tier_that_still_has_it() {
    for change in [Change::Pattern(pattern()), Change::Tags(tags()), Change::Clear] {
        explore(move || {
            let far = Far::new();
            thread::scope(|scope| {
                scope.spawn(|| far.read());
                scope.spawn(|| far.read());
                scope.spawn(|| {
                    far.node.invalidate(&change);
                    far.read();
                });
            });
            far.read();
        });
    }
}

#[test]
fn what_a_pattern_voided_is_not_read_while_its_scan_ends_and_its_rule_is_forgotten() {
    explore(|| {
        let far = Far::new();
        far.node.invalidate(&Change::Pattern(pattern()));
        thread::scope(|scope| {
            scope.spawn(|| far.read());
            scope.spawn(|| far.read());
            scope.spawn(|| {
                far.scan(at(1));
                far.node.coherence.rules.swept(at(1), &pattern());
                far.read();
            });
        });
        far.read();
    });
}

#[test]
fn of_two_invalidations_of_one_tag_neither_takes_the_other_back() {
    explore(|| {
        let node = Node::new();
        thread::scope(|scope| {
            scope.spawn(|| node.load());
            scope.spawn(|| node.invalidate_alone(&Change::Tags(tags())));
            scope.spawn(|| node.invalidate_alone(&Change::Tags(tags())));
        });
        node.look();
    });
}

#[test]
fn a_rule_given_again_outlives_the_scan_for_the_older_one() {
    explore(|| {
        let far = Far::new();
        let change = Change::Pattern(pattern());
        thread::scope(|scope| {
            scope.spawn(|| far.read());
            scope.spawn(|| {
                far.node.coherence.void_before(&change, at(1));
                far.scan(at(1));
                *far.held.lock().unwrap() = Some(entry(0, at(1)));
                far.node.coherence.rules.swept(at(1), &pattern());
            });
            scope.spawn(|| {
                let version = far.node.write();
                far.node.coherence.void_before(&change, at(2));
                far.node.returned(version);
                far.read();
            });
        });
        far.read();
    });
}
