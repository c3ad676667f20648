use super::*;
use crate::clock::ManualClock;
use crate::entry::Entry;
use crate::flight::{Follower, Leader};

fn coherence(clock: &ManualClock) -> Coherence {
    let counters = Arc::new(Counters::default());
    Coherence::new(None, Arc::new(clock.clone()), counters, Timings::TEST, true)
}

fn join(coherence: &Coherence, key: &Key) -> Role {
    coherence.join(key, TypeId::of::<u32>(), Access::ALL, Duration::MAX)
}

fn lead(coherence: &Coherence, key: &Key) -> Leader {
    let Role::Leads(leader) = join(coherence, key) else { panic!("it is in flight") };
    leader
}

fn follow(coherence: &Coherence, key: &Key) -> Follower {
    let Role::Follows(follower) = join(coherence, key) else { panic!("it is not in flight") };
    follower
}

/// Whether what a reader has read before may still be stored, as often as the tiers in between are told.
#[derive(Default)]
struct Storable(std::sync::OnceLock<Ticket>, Mutex<Vec<bool>>);

impl Debts for Storable {
    fn owe(&self, _: &Change, _: &Coherence) {}

    fn pass_on(&self, _: &Change, coherence: &Coherence) {
        let old = Entry::new(crate::entry::Value::Absent, Timestamp::ZERO, Timestamp::MAX);
        self.1.lock().unwrap().push(coherence.may_store("k", &old, *self.0.get().unwrap()));
    }

    fn any(&self) -> bool {
        false
    }
}

#[test]
fn tiers_in_between_are_told_also_when_nothing_old_can_be_stored_there_any_more() {
    let clock = ManualClock::new();
    for change in [Change::Keys([Key::new("k").unwrap()].into()), Change::Clear] {
        let storable = Arc::new(Storable::default());
        let coherence = coherence(&clock).with_between(vec![Arc::clone(&storable) as Arc<dyn Debts>]);
        drop(coherence.begin(Position::new(1, 0), RuleSet::default()));
        storable.0.set(coherence.note("k")).unwrap();
        coherence.apply(Position::new(2, 0), Some(&Record::new(NodeId::new(9), change)));
        assert_eq!(*storable.1.lock().unwrap(), [true, false]);
    }
}

#[test]
fn a_value_that_was_sent_counts_as_no_younger_than_what_was_heard() {
    let clock = ManualClock::new();
    let shelf = Arc::new(crate::coherence::shelf::Shelf::default());
    let coherence = coherence(&clock);
    let coherence = Coherence { near: Some(shelf), ..coherence };
    drop(coherence.begin(Position::new(1, 0), RuleSet::default()));
    coherence.confirm(clock.now());
    // As if the process had stood still.
    clock.advance(Duration::from_secs(60));
    let (key, at) = (Key::new("k").unwrap(), Position::new(2, 0));
    let sent = Entry::new(crate::entry::Value::Absent, Timestamp::ZERO, Timestamp::MAX);
    let sent = Entry { birth: at, ..sent };
    coherence.insert_replica(&key, &sent, at, Duration::from_secs(600), || false);
    let there = coherence.look_up("k").unwrap();
    assert!(!coherence.may_serve(&there, clock.now()));
    coherence.confirm(clock.now());
    assert!(coherence.may_serve(&there, clock.now()));
}

#[test]
fn a_node_that_need_not_hear_of_anything_says_so() {
    let timings = Timings { isolated_ttl: Duration::MAX, heartbeat_timeout: Duration::MAX, ..Timings::TEST };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
    let coherence = Coherence::new(None, clock, Arc::default(), timings, true);
    assert_eq!((coherence.beat().trusted, coherence.beat().alone), (Duration::MAX, Duration::MAX));
}

#[test]
fn a_flight_is_detached_by_an_earlier_record_than_the_latest_known() {
    let coherence = coherence(&ManualClock::new());
    drop(coherence.begin(Position::new(5, 0), RuleSet::default()));
    // Another invalidation of this node has been acknowledged at 7, while that of the key, at 6, has not yet.
    coherence.learn(Position::new(7, 0));
    let key = Key::new("k").unwrap();
    let _old = lead(&coherence, &key);
    coherence.void_before(&Change::Keys([key.clone()].into()), Position::new(6, 0));
    let _new = lead(&coherence, &key);
}

#[test]
fn what_was_read_before_a_scan_ended_is_not_used_after_its_rule_is_forgotten() {
    let coherence = coherence(&ManualClock::new());
    drop(coherence.begin(Position::new(1, 0), RuleSet::default()));
    let pattern = crate::pattern::Pattern::new("k*").unwrap();
    let old = Entry::new(crate::entry::Value::Absent, Timestamp::ZERO, Timestamp::MAX);
    let old = Entry { birth: Position::new(1, 0), ..old };
    coherence.void_before(&Change::Pattern(pattern.clone()), Position::new(2, 0));
    let ticket = coherence.note("k");
    assert!(!coherence.may_read("k", &old, ticket));
    coherence.rules.swept(Position::new(2, 0), &pattern);
    assert!(!coherence.may_read("k", &old, ticket), "it may have been read before the scan came to it");
    assert!(coherence.may_read("k", &old, coherence.note("k")), "what is still there is not void");
}

#[test]
fn an_isolated_nodes_callers_join_no_flight_older_than_what_it_may_serve() {
    let clock = ManualClock::new();
    let coherence = coherence(&clock);
    coherence.confirm(clock.now());
    let key = Key::new("k").unwrap();
    let _old = lead(&coherence, &key);
    clock.advance(Duration::from_secs(60));
    coherence.confirm(clock.now());
    drop(follow(&coherence, &key));
    coherence.isolate("test");
    clock.advance(Duration::from_millis(9_999));
    drop(follow(&coherence, &key));
    clock.advance(Duration::from_millis(1));
    let _new = lead(&coherence, &key);
}

#[test]
fn what_does_not_say_when_it_was_made_is_not_read_while_a_scan_may_come_to_it() {
    let coherence = coherence(&ManualClock::new());
    drop(coherence.begin(Position::new(1, 0), RuleSet { cleared: Position::new(1, 0), ..RuleSet::default() }));
    let undated = Entry::new(crate::entry::Value::Absent, Timestamp::ZERO, Timestamp::MAX);
    let undated = Entry { birth: Position::UNKNOWN, ..undated };
    let early = coherence.note("k");
    assert!(coherence.may_read("k", &undated, early), "a journal that begins voids nothing that is there");
    let pattern = crate::pattern::Pattern::new("k*").unwrap();
    coherence.void_before(&Change::Pattern(pattern.clone()), Position::new(2, 0));
    let during = coherence.note("k");
    assert!(!coherence.may_read("k", &undated, during));
    assert!(coherence.may_read("other", &undated, during));
    coherence.rules.swept(Position::new(2, 0), &pattern);
    assert!(!coherence.may_read("k", &undated, during), "it may have been read before the scan came to it");
    assert!(coherence.may_read("k", &undated, coherence.note("k")));
    // What was read before the record was applied is as old as that, so the record voids it.
    assert_eq!(early.birth_of(&undated), Position::new(1, 0));
    assert!(!coherence.may_store("k", &undated, early));
}
