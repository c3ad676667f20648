//! Histories that must pass, and histories that must not.

use super::*;
use crate::checker::history::{Audit, Stretch, WriteKind};
use crate::checker::message::Stall;

const BOUND: Duration = Duration::from_millis(100);
const DELIVERY: Duration = Duration::from_millis(30);

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

/// A write of key 0 by node 1.
fn write(version: Version, returned: u64) -> Write {
    Write {
        node: 1,
        kind: WriteKind::Invalidate,
        begun: at(returned.saturating_sub(10)),
        versions: vec![(0, version)],
        committed: Some(at(returned.saturating_sub(10))),
        fenced: None,
        returned: Some(at(returned)),
        delivered: Some(at(returned)),
        lost: false,
    }
}

fn queued(version: Version, returned: u64, delivered: Option<u64>) -> Write {
    Write { delivered: delivered.map(at), ..write(version, returned) }
}

/// Its node was killed: before the call returned, or while it was queued.
fn lost(version: Version, returned: Option<u64>) -> Write {
    Write { returned: returned.map(at), delivered: None, lost: true, ..write(version, 0) }
}

/// Reads of key 0: where, which version, when.
fn history(writes: Vec<Write>, reads: &[(Place, Version, u64)]) -> History {
    history_with_failovers(vec![], writes, reads)
}

fn history_with_failovers(failovers: Vec<u64>, writes: Vec<Write>, reads: &[(Place, Version, u64)]) -> History {
    let newest = writes.iter().flat_map(|write| &write.versions).map(|(_, version)| *version).max();
    let mut history = History { current: vec![newest.unwrap_or(1)], writes, ..History::default() };
    history.failovers = failovers.into_iter().map(at).collect();
    for (place, version, start) in reads {
        history.add_seen(*place, 0, *version, Seen::once(at(*start)));
    }
    history
}

fn violations(history: &History) -> Vec<Violation> {
    check(history, BOUND, DELIVERY).violations
}

/// One read, before any failover.
fn evidence(place: Place, version: Version, start: u64, write: usize, from: u64) -> Evidence {
    let sight = Sight { place, era: 0, calm: None, key: 0, version };
    Evidence { sight, seen: Seen::once(at(start)), write, from: at(from) }
}

const A: Place = Place::Node(1);
const B: Place = Place::Node(2);

#[test]
fn an_empty_history_is_good() {
    assert_eq!(violations(&History::default()), []);
}

#[test]
fn reads_within_the_bound_are_good() {
    let reads = [(A, 1, 10), (A, 2, 21), (B, 1, 120), (B, 2, 50), (B, 2, 200)];
    assert_eq!(violations(&history(vec![write(2, 20)], &reads)), []);
}

#[test]
fn a_read_that_is_stale_beyond_the_bound_is_found() {
    let found = violations(&history(vec![write(2, 20)], &[(B, 1, 5_000)]));
    assert_eq!(found, [Violation::StaleBeyondBound(evidence(B, 1, 5_000, 0, 20))]);
}

#[test]
fn the_bound_ends_on_the_nanosecond() {
    let mut history = history(vec![write(2, 20)], &[(B, 1, 120)]);
    assert_eq!(violations(&history), []);
    history.add_seen(B, 0, 1, Seen::once(at(120) + Duration::from_nanos(1)));
    assert!(matches!(violations(&history)[..], [Violation::StaleBeyondBound(_)]));
}

#[test]
fn the_node_that_was_called_has_no_bound() {
    assert_eq!(violations(&history(vec![write(2, 20)], &[(A, 1, 20)])), []);
    let found = violations(&history(vec![write(2, 20)], &[(A, 1, 21)]));
    assert_eq!(found, [Violation::StaleOnOwnNode(evidence(A, 1, 21, 0, 20))]);
}

#[test]
fn an_old_value_that_rises_again_is_found_whatever_was_read_in_between() {
    let reads = [(B, 1, 10), (B, 2, 30), (B, 2, 300), (B, 1, 200)];
    let found = violations(&history(vec![write(2, 20)], &reads));
    let seen = Seen { reads: 2, first_start: at(10), last_start: at(200) };
    assert_eq!(found, [Violation::StaleBeyondBound(Evidence { seen, ..evidence(B, 1, 200, 0, 20) })]);
}

#[test]
fn a_middle_version_is_stale_after_the_next_write_alone() {
    let writes = vec![write(2, 20), write(3, 500)];
    assert_eq!(violations(&history(writes.clone(), &[(B, 2, 600)])), []);
    let found = violations(&history(writes, &[(B, 2, 601)]));
    assert_eq!(found, [Violation::StaleBeyondBound(evidence(B, 2, 601, 1, 500))]);
}

#[test]
fn the_earliest_of_the_newer_writes_counts() {
    let found = violations(&history(vec![write(2, 20), write(3, 130)], &[(B, 1, 125)]));
    assert_eq!(found, [Violation::StaleBeyondBound(evidence(B, 1, 125, 0, 20))]);
}

#[test]
fn reads_of_one_version_are_judged_by_the_last() {
    let mut history = history(vec![write(2, 20)], &[]);
    let seen = Seen { reads: 1_000_000, first_start: at(1), last_start: at(121) };
    history.add_seen(B, 0, 1, seen);
    history.add_seen(B, 0, 1, Seen::once(at(50)));
    assert!(matches!(violations(&history)[..], [Violation::StaleBeyondBound(_)]));
    assert_eq!(history.reads(), 1_000_001);
}

#[test]
fn keys_are_judged_apart() {
    let mut history = history(vec![write(2, 20)], &[]);
    history.current.push(1);
    history.add_seen(B, 1, 1, Seen::once(at(5_000)));
    assert_eq!(violations(&history), []);
}

#[test]
fn a_write_of_several_keys_binds_all_of_them() {
    let several = Write { versions: vec![(0, 2), (1, 2)], kind: WriteKind::InvalidateMany, ..write(2, 20) };
    let mut history = history(vec![several], &[]);
    history.current.push(2);
    history.add_seen(B, 1, 1, Seen::once(at(121)));
    assert!(matches!(
        violations(&history)[..],
        [Violation::StaleBeyondBound(Evidence { sight: Sight { key: 1, .. }, .. })]
    ));
}

#[test]
fn a_queued_write_binds_its_own_node_at_once_and_others_when_it_is_delivered() {
    let writes = vec![queued(2, 20, Some(1_000))];
    assert_eq!(violations(&history(writes.clone(), &[(B, 1, 1_100), (A, 2, 21)])), []);
    let found = violations(&history(writes.clone(), &[(B, 1, 1_101)]));
    assert_eq!(found, [Violation::StaleBeyondBound(evidence(B, 1, 1_101, 0, 1_000))]);
    let found = violations(&history(writes, &[(A, 1, 21)]));
    assert_eq!(found, [Violation::StaleOnOwnNode(evidence(A, 1, 21, 0, 20))]);
}

#[test]
fn a_queued_write_that_a_living_node_never_delivers_is_found() {
    let found = violations(&history(vec![queued(2, 20, None)], &[(B, 1, 9_000)]));
    assert_eq!(found, [Violation::NeverDelivered { write: 0 }]);
}

#[test]
fn a_write_that_was_lost_with_its_node_binds_nobody() {
    assert_eq!(violations(&history(vec![lost(2, None)], &[(A, 1, 9_000), (B, 1, 9_000)])), []);
}

#[test]
fn a_queued_write_that_was_lost_binds_its_own_node_while_that_lived() {
    assert_eq!(violations(&history(vec![lost(2, Some(20))], &[(B, 1, 9_000), (A, 2, 21)])), []);
    let found = violations(&history(vec![lost(2, Some(20))], &[(A, 1, 21)]));
    assert_eq!(found, [Violation::StaleOnOwnNode(evidence(A, 1, 21, 0, 20))]);
}

#[test]
fn a_lost_write_takes_nothing_from_those_before_and_after() {
    let writes = vec![write(2, 20), lost(3, None), write(4, 500)];
    assert_eq!(violations(&history(writes.clone(), &[(B, 2, 600), (B, 3, 600)])), []);
    for (version, start, broken, from) in [(1, 121, 0, 20), (2, 601, 2, 500), (3, 601, 2, 500)] {
        let found = violations(&history(writes.clone(), &[(B, version, start)]));
        assert_eq!(found, [Violation::StaleBeyondBound(evidence(B, version, start, broken, from))]);
    }
}

#[test]
fn redis_holds_nothing_older_than_a_delivered_write() {
    let writes = vec![queued(2, 20, Some(50))];
    assert_eq!(violations(&history(writes.clone(), &[(Place::Redis, 1, 50)])), []);
    let found = violations(&history(writes, &[(Place::Redis, 1, 51)]));
    assert_eq!(found, [Violation::StaleInRedis(evidence(Place::Redis, 1, 51, 0, 50))]);
}

#[test]
fn a_tag_leaves_what_it_voids_in_redis_and_nowhere_else() {
    let tags = Write { kind: WriteKind::InvalidateTags, ..write(2, 20) };
    assert_eq!(violations(&history(vec![tags.clone()], &[(Place::Redis, 1, 9_000)])), []);
    assert!(matches!(violations(&history(vec![tags.clone()], &[(B, 1, 121)]))[..], [Violation::StaleBeyondBound(_)]));
    let found = violations(&history(vec![tags, write(3, 40)], &[(Place::Redis, 1, 41)]));
    assert_eq!(found, [Violation::StaleInRedis(evidence(Place::Redis, 1, 41, 1, 40))]);
}

#[test]
fn a_strict_invalidation_has_no_bound_on_any_node() {
    let strict = |write| Write { kind: WriteKind::InvalidateStrict, ..write };
    assert_eq!(violations(&history(vec![strict(write(2, 20))], &[(B, 1, 20)])), []);
    let found = violations(&history(vec![strict(write(2, 20))], &[(B, 1, 21)]));
    assert_eq!(found, [Violation::StaleAfterStrict(evidence(B, 1, 21, 0, 20))]);
    assert_eq!(violations(&history(vec![strict(lost(2, None))], &[(B, 1, 9_000)])), []);
}

#[test]
fn a_strict_invalidation_binds_no_node_that_nobody_knows_of_yet() {
    let strict = Write { kind: WriteKind::InvalidateStrict, ..write(2, 20) };
    let started = |reached: Option<u64>, read: u64| {
        let mut history = history(vec![strict.clone()], &[(B, 1, read)]);
        history.started(2);
        reached.into_iter().for_each(|reached| history.reached(2, at(reached)));
        violations(&history)
    };
    assert_eq!((started(None, 119), started(Some(50), 49)), (vec![], vec![]));
    assert!(matches!(started(None, 121)[..], [Violation::StaleBeyondBound(_)]));
    assert_eq!(started(Some(50), 50), [Violation::StaleAfterStrict(evidence(B, 1, 50, 0, 20))]);
}

#[test]
fn a_queued_strict_invalidation_has_the_bound_of_any_other() {
    let queued = Write { kind: WriteKind::InvalidateStrict, ..queued(2, 20, Some(50)) };
    assert_eq!(violations(&history(vec![queued.clone()], &[(B, 1, 150)])), []);
    assert!(matches!(violations(&history(vec![queued], &[(B, 1, 151)]))[..], [Violation::StaleBeyondBound(_)]));
}

#[test]
fn reads_of_redis_are_no_reads_of_a_node() {
    assert_eq!(history(vec![write(2, 20)], &[(Place::Redis, 2, 30), (B, 2, 30)]).reads(), 1);
}

#[test]
fn reads_are_counted_over_the_time_that_they_took() {
    let reads = [(B, 1, 1_000), (A, 2, 2_500), (B, 2, 3_000), (Place::Redis, 2, 90_000)];
    let mut history = history(vec![write(2, 20)], &reads);
    history.add_seen(A, 0, 2, Seen { reads: 97, first_start: at(1_500), last_start: at(3_000) });
    assert_eq!(history.reads_per_second(), 50);
    assert_eq!(History::default().reads_per_second(), 0);
}

#[test]
fn a_version_that_never_was_is_found() {
    let found = violations(&history(vec![write(2, 20)], &[(B, 3, 30)]));
    assert_eq!(found, [Violation::Invented { place: B, key: 0, version: 3 }]);
}

fn audited(writes: Vec<Write>, version: Option<Version>) -> Vec<Violation> {
    let mut history = history(writes, &[]);
    history.audited = vec![2];
    history.audits = vec![Audit { node: 2, key: 0, version }];
    violations(&history)
}

#[test]
fn the_audit_wants_the_newest_version() {
    let writes = vec![write(2, 20), write(3, 30)];
    assert_eq!(audited(writes.clone(), Some(3)), []);
    let old = Violation::StaleInAudit { node: 2, key: 0, version: 2, delivered: 3 };
    assert_eq!(audited(writes.clone(), Some(2)), [old]);
    assert_eq!(audited(writes.clone(), None), [Violation::MissingInAudit { node: 2, key: 0 }]);
    assert_eq!(audited(writes, Some(4)), [Violation::Invented { place: B, key: 0, version: 4 }]);
}

#[test]
fn the_audit_wants_what_was_queued_and_delivered() {
    assert_eq!(audited(vec![queued(2, 20, Some(30))], Some(2)), []);
    assert!(matches!(audited(vec![queued(2, 20, Some(30))], Some(1))[..], [Violation::StaleInAudit { .. }]));
}

#[test]
fn the_audit_takes_the_version_before_a_lost_write_and_none_older() {
    let writes = vec![write(2, 20), lost(3, None)];
    assert_eq!(audited(writes.clone(), Some(2)), []);
    assert_eq!(audited(writes.clone(), Some(3)), []);
    assert!(matches!(audited(writes, Some(1))[..], [Violation::StaleInAudit { delivered: 2, .. }]));
}

#[test]
fn a_node_that_does_not_answer_the_audit_is_found() {
    let mut history = history(vec![write(2, 20)], &[]);
    history.audited = vec![2, 3];
    history.audits = vec![Audit { node: 3, key: 0, version: Some(2) }];
    assert_eq!(violations(&history), [Violation::MissingInAudit { node: 2, key: 0 }]);
}

#[test]
fn a_node_that_died_by_itself_is_found() {
    let mut history = history(vec![lost(2, None)], &[(A, 1, 9_000)]);
    assert_eq!(violations(&history), []);
    history.died = vec![1];
    assert_eq!(violations(&history), [Violation::Died { node: 1 }]);
}

#[test]
fn a_history_with_several_faults_names_each() {
    let reads = [(A, 1, 500), (B, 1, 500), (Place::Redis, 1, 500), (B, 9, 1)];
    let found = violations(&history(vec![write(2, 20)], &reads));
    assert_eq!(
        found,
        [
            Violation::StaleInRedis(evidence(Place::Redis, 1, 500, 0, 20)),
            Violation::StaleBeyondBound(evidence(A, 1, 500, 0, 20)),
            Violation::StaleBeyondBound(evidence(B, 1, 500, 0, 20)),
            Violation::StaleOnOwnNode(evidence(A, 1, 500, 0, 20)),
            Violation::Invented { place: B, key: 0, version: 9 },
        ]
    );
}

#[test]
fn what_a_failover_undid_may_be_seen_until_the_bound() {
    for place in [A, Place::Redis] {
        let lost = |start| history_with_failovers(vec![25], vec![write(2, 20)], &[(place, 1, start)]);
        assert_eq!(violations(&lost(120)), [], "{place:?}");
        assert!(!violations(&lost(121)).is_empty(), "{place:?}");
    }
    assert_eq!(violations(&history_with_failovers(vec![25], vec![write(2, 20)], &[(B, 1, 120)])), []);
}

#[test]
fn a_failover_excuses_nothing_that_was_read_before_it_or_begun_after_it() {
    let reads = [(A, 1, 21), (A, 1, 30)];
    let found = violations(&history_with_failovers(vec![25], vec![write(2, 20)], &reads));
    assert_eq!(found, [Violation::StaleOnOwnNode(evidence(A, 1, 21, 0, 20))]);
    for place in [A, Place::Redis] {
        let after = history_with_failovers(vec![25], vec![write(2, 20), write(3, 40)], &[(place, 2, 41)]);
        assert_eq!(violations(&after).len(), 1, "{place:?}");
        let astride = history_with_failovers(vec![35], vec![write(3, 40)], &[(place, 2, 41)]);
        assert_eq!(violations(&astride), [], "{place:?}: it may have been told to the server that is gone");
    }
}

fn durations(staleness: &[Staleness]) -> Vec<(u32, Duration)> {
    staleness.iter().map(|sample| (sample.node, sample.duration)).collect()
}

#[test]
fn staleness_is_from_the_delivery_to_the_last_older_read() {
    let reads = [(A, 1, 10), (A, 2, 30), (B, 1, 10), (B, 1, 60), (B, 2, 50), (B, 2, 90)];
    let verdict = check(&history(vec![write(2, 20)], &reads), BOUND, DELIVERY);
    assert_eq!(durations(&verdict.staleness), [(1, Duration::ZERO), (2, Duration::from_millis(40))]);
    assert_eq!(durations(&verdict.healthy_staleness), []);
}

#[test]
fn staleness_counts_nodes_that_read_the_key_before_and_after() {
    let reads = [(A, 1, 10), (B, 2, 30), (B, 2, 90)];
    assert_eq!(durations(&check(&history(vec![write(2, 20)], &reads), BOUND, DELIVERY).staleness), []);
}

/// All is well from `from` to 1,000, and nothing is seen before that is known.
fn history_while_well(from: u64, writes: Vec<Write>, reads: &[(Place, Version, u64)]) -> History {
    let mut history = history(writes, &[]);
    history.healthy = vec![Stretch { from: at(from), to: at(1_000) }];
    reads.iter().for_each(|(place, version, start)| history.add_seen(*place, 0, *version, Seen::once(at(*start))));
    history
}

#[test]
fn staleness_while_all_is_well_is_told_apart() {
    let reads = [(B, 1, 10), (B, 1, 25), (B, 2, 90), (B, 2, 1_900)];
    let history = history_while_well(0, vec![write(2, 20), write(3, 1_001)], &reads);
    let verdict = check(&history, BOUND, DELIVERY);
    assert_eq!(durations(&verdict.healthy_staleness), [(2, Duration::from_millis(5))]);
    assert_eq!(verdict.staleness.len(), 2);
}

#[test]
fn staleness_that_outlasts_the_time_in_which_all_was_well_counts_as_far_as_that() {
    let reads = [(B, 1, 10), (B, 1, 25), (B, 1, 1_001), (B, 2, 1_002)];
    let verdict = check(&history_while_well(0, vec![write(2, 20)], &reads), BOUND, DELIVERY);
    assert_eq!(durations(&verdict.staleness), [(2, Duration::from_millis(981))]);
    assert_eq!(durations(&verdict.healthy_staleness), [(2, Duration::from_millis(5))]);
}

/// One read, in the first healthy stretch.
fn evidence_while_well(version: Version, start: u64, from: u64) -> Evidence {
    let evidence = evidence(B, version, start, 0, from);
    Evidence { sight: Sight { calm: Some(0), ..evidence.sight }, ..evidence }
}

#[test]
fn while_all_is_well_a_read_is_stale_for_a_delivery_and_no_longer() {
    let stale = |start| violations(&history_while_well(0, vec![write(2, 20)], &[(B, 1, start)]));
    assert_eq!(stale(50), []);
    assert_eq!(stale(51), [Violation::StaleWhileWell(evidence_while_well(1, 51, 20))]);
    assert_eq!(stale(120).len(), 1);
    assert_eq!(stale(121).len(), 2, "it is beyond the bound as well");
}

#[test]
fn a_delivery_has_no_bound_of_its_own_before_all_is_well_and_after() {
    for from in [21, 60] {
        let stale = |start| violations(&history_while_well(from, vec![write(2, 20)], &[(B, 1, start)]));
        assert_eq!(stale(from + 30), [], "what was told before may be under way");
        assert_eq!(stale(from + 31), [Violation::StaleWhileWell(evidence_while_well(1, from + 31, 20))]);
    }
    assert_eq!(violations(&history_while_well(100, vec![write(2, 20)], &[(B, 1, 99)])), []);
    assert_eq!(violations(&history_while_well(0, vec![write(2, 950)], &[(B, 1, 1_001)])), []);
    assert_eq!(violations(&history_while_well(0, vec![queued(2, 20, Some(60))], &[(B, 1, 90), (A, 2, 90)])), []);
    assert_eq!(violations(&history_while_well(0, vec![lost(2, Some(20))], &[(B, 1, 900)])), []);
}

#[test]
fn a_delivery_may_take_longer_by_the_longest_stall_of_the_time_in_which_all_was_well() {
    let stall = |duration, end| Stall { duration: Duration::from_millis(duration), end: at(end) };
    let stale = |stalls: &[Stall], start| {
        let mut history = history_while_well(10, vec![write(2, 20)], &[(B, 1, start)]);
        history.stalls = stalls.to_vec();
        violations(&history).len()
    };
    let within = [stall(5, 30), stall(40, 11), stall(7, 900)];
    assert_eq!((stale(&within, 90), stale(&within, 91)), (0, 1));
    let astride = [stall(40, 1_040)];
    assert_eq!((stale(&astride, 90), stale(&astride, 91)), (0, 1));
    let outside = [stall(40, 9), stall(40, 1_041)];
    assert_eq!((stale(&outside, 50), stale(&outside, 51)), (0, 1));
}

#[test]
fn what_a_failover_undid_has_the_bound_while_all_is_well() {
    let stale = |start| {
        let mut history = history_with_failovers(vec![25], vec![write(2, 20)], &[]);
        history.healthy = vec![Stretch { from: at(30), to: at(1_000) }];
        history.add_seen(B, 0, 1, Seen::once(at(start)));
        violations(&history).len()
    };
    assert_eq!(stale(120), 0);
    assert!(stale(121) > 0);
}

/// A fence from 25, around what the source has from 30.
fn around(write: Write) -> Write {
    Write { kind: WriteKind::WriteAround, begun: at(20), committed: Some(at(30)), fenced: Some(at(25)), ..write }
}

fn fenced(write: Write, losses: &[Stretch], reads: &[(Place, Version, u64)]) -> Vec<Violation> {
    let mut history = history(vec![write], reads);
    (history.fence_ttl, history.losses) = (Duration::from_millis(50), losses.to_vec());
    violations(&history)
}

#[test]
fn nothing_older_than_what_is_written_around_is_stored_from_the_fence_on() {
    let (returned, killed) = (around(write(2, 40)), around(lost(2, None)));
    for write in [returned.clone(), killed.clone()] {
        assert_eq!(fenced(write.clone(), &[], &[(Place::Redis, 1, 25), (B, 1, 60)]), []);
        let found = fenced(write.clone(), &[], &[(Place::Redis, 1, 26)]);
        assert_eq!(found, [Violation::StaleInRedis(evidence(Place::Redis, 1, 26, 0, 25))]);
        let unfenced = Write { fenced: None, ..write.clone() };
        assert_eq!(fenced(unfenced, &[], &[(Place::Redis, 1, 26)]), []);
        let undone = Write { committed: None, lost: true, returned: None, delivered: None, ..write.clone() };
        assert_eq!(fenced(undone, &[], &[(Place::Redis, 1, 26)]), []);
        let late = Write { committed: Some(at(70)), ..write };
        assert_eq!(fenced(late, &[], &[(Place::Redis, 1, 26)]), [], "the fence may have lapsed before");
    }
    for (from, to, excused) in [(0, 19, false), (0, 20, true), (40, 45, true), (41, 45, false)] {
        let found = fenced(returned.clone(), &[Stretch { from: at(from), to: at(to) }], &[(Place::Redis, 1, 26)]);
        assert_eq!(found.is_empty(), excused, "{from} to {to}");
    }
    assert_eq!(fenced(killed, &[Stretch { from: at(80), to: at(80) }], &[(Place::Redis, 1, 26)]), []);
}

#[test]
fn what_was_written_around_by_a_killed_node_counts_when_its_fence_has_lapsed() {
    let killed = around(lost(2, None));
    assert_eq!(fenced(killed.clone(), &[], &[(B, 1, 180)]), []);
    let found = fenced(killed.clone(), &[], &[(B, 1, 181)]);
    assert_eq!(found, [Violation::StaleBeyondBound(evidence(B, 1, 181, 0, 80))]);
    assert_eq!(fenced(killed, &[Stretch { from: at(50), to: at(60) }], &[(B, 1, 181)]), []);
}
