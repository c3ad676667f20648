//! Rules, and a far tier that is scanned after they took effect.

use shuttle::thread;

use super::*;
use crate::coherence::{JournalPage, RuleSet};
use crate::sync::{AtomicBool, explore};

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

#[test]
fn a_rule_that_a_reader_applies_while_the_journal_is_taken_up_anew_is_kept_or_given_again() {
    for change in [Change::Tags(tags()), Change::Pattern(pattern()), Change::Clear] {
        explore(move || {
            let (coherence, appended) = (Node::new().coherence, AtomicBool::new(false));
            let record = || Record::new(NodeId::new(7), change.clone());
            drop(coherence.begin(at(1), RuleSet::default()));
            let given = thread::scope(|scope| {
                // A reader of a node that records do not reach.
                scope.spawn(|| {
                    appended.store(true, SeqCst);
                    let page =
                        JournalPage { oldest: Some(at(1)), records: vec![(at(1), None), (at(2), Some(record()))] };
                    coherence.replay(at(1), &page)
                });
                let listener = scope.spawn(|| {
                    coherence.recent.look_through();
                    let rules = if appended.load(SeqCst) { rules_of(&change, at(2)) } else { RuleSet::default() };
                    coherence.begin(at(1), rules)
                });
                listener.join().unwrap()
            });
            // What the listener hears of next.
            if coherence.applied() < Some(at(2)) {
                coherence.apply(at(2), Some(&record()));
            }
            let void = coherence.rules.void(KEY, &tags(), at(1));
            assert!(void || !given.is_empty(), "nobody knows of the rule any more");
        });
    }
}

/// What the shared tier keeps of a record.
fn rules_of(change: &Change, at: Position) -> RuleSet {
    let mut rules = RuleSet::default();
    match change {
        Change::Pattern(pattern) => rules.patterns.push((pattern.clone(), at)),
        Change::Tags(tags) => rules.tags.extend(tags.slots().iter().map(|slot| (*slot, at))),
        _ => rules.cleared = at,
    }
    rules
}
