//! The protocol with one fence taken out: the checker must find what the fence was there for.

use crate::explore::assert_fails;
use crate::protocol::Protocol;
use crate::setup::Setup;
use crate::state::{Faults, Kind};

const NONE: Faults = Faults {
    evict: 0,
    cut: 0,
    drop: 0,
    fail: 0,
    late: 0,
    restart: 0,
    restart_empty: 0,
    flush: 0,
    trim: 0,
    die: 0,
    tick: 0,
};

/// A test for each mutant: its name, where it shows, and what is taken out.
macro_rules! mutants {
    ($($name:ident: $setup:expr, $fence:ident;)*) => {
        $(#[test]
        fn $name() {
            let without = |protocol: &mut Protocol| protocol.$fence = false;
            let setup = Setup { title: stringify!($name), ..$setup };
            assert_fails(setup.with(without));
        })*
    };
}

fn setup(nodes: u8, callers: &[u8], writers: &[(u8, Kind)]) -> Setup {
    Setup::new("", nodes, callers, writers)
}

mutants! {
    fill_without_its_lease: setup(2, &[0], &[(1, Kind::Invalidate)]), lease_in_fill;
    insertion_without_the_epoch: setup(1, &[0], &[(0, Kind::Invalidate)]).warm().faults(Faults { fail: 1, ..NONE }), epoch_on_insert;
    insertion_without_the_record: setup(2, &[0], &[(1, Kind::Invalidate)]).far_warm(), voided_before_on_insert;
    epoch_noted_after_the_read: setup(1, &[0], &[(0, Kind::Invalidate)]).warm().faults(Faults { fail: 1, ..NONE }), note_before_read;
    birth_noted_after_the_load: setup(2, &[0], &[(1, Kind::Invalidate)]), birth_before_load;
    no_void_before_redis_is_told: setup(1, &[0], &[(0, Kind::Invalidate)]).warm(), void_first;
    no_void_on_acknowledgement: setup(1, &[0], &[(0, Kind::Invalidate)]).far_warm(), void_on_acknowledgement;
    no_second_void_when_queued: setup(1, &[0], &[(0, Kind::Invalidate)]).far_warm().faults(Faults { fail: 1, ..NONE }), void_again_when_queued;
    acknowledged_position_not_learnt: setup(2, &[0, 0], &[(0, Kind::Invalidate)]).fine().far_warm(), learn_on_acknowledgement;
    flights_not_detached_by_invalidations: setup(1, &[0], &[(0, Kind::Invalidate)]).faults(Faults { fail: 1, ..NONE }), detach_on_void;
    flights_not_detached_by_records: setup(2, &[0], &[(1, Kind::Invalidate)]), detach_on_record;
    gap_not_seen_by_previous: setup(2, &[], &[(1, Kind::Invalidate), (1, Kind::Other)]).warm().faults(Faults { drop: 1, ..NONE }), gap_by_previous;
    gap_not_seen_by_heartbeat: setup(2, &[], &[(1, Kind::Invalidate)]).warm().faults(Faults { drop: 1, ..NONE }), gap_by_heartbeat;
    subscribed_after_catching_up: setup(2, &[], &[(1, Kind::Invalidate)]).warm().faults(Faults { cut: 1, ..NONE }), subscribe_first;
    not_caught_up_on_connecting: setup(2, &[], &[(1, Kind::Invalidate)]).warm().faults(Faults { cut: 1, ..NONE }), catch_up_on_connect;
    no_reset_when_trimmed: setup(2, &[], &[(1, Kind::Invalidate), (1, Kind::Other)]).warm().faults(Faults { cut: 1, trim: 2, ..NONE }), reset_on_trim;
    no_reset_when_the_journal_is_gone: setup(2, &[], &[(1, Kind::Invalidate)]).warm().clock_back().faults(Faults { restart_empty: 1, ..NONE }), reset_on_backwards;
    reset_without_removal: setup(2, &[], &[(1, Kind::Invalidate), (1, Kind::Other)]).warm().faults(Faults { cut: 1, trim: 2, ..NONE }), reset_removes;
    reset_without_voiding_fills: setup(2, &[0], &[(1, Kind::Invalidate), (1, Kind::Other)]).far_warm().faults(Faults { cut: 1, trim: 2, ..NONE }), reset_voids_fills;
    no_isolation: setup(2, &[], &[(1, Kind::Invalidate)]).warm().faults(Faults { cut: 1, tick: 4, ..NONE }), isolation;
    age_counted_from_the_end_of_the_read: setup(2, &[0], &[(1, Kind::Invalidate)]).far_warm().faults(Faults { cut: 1, tick: 4, ..NONE }), as_of_before_read;
    far_tier_read_while_owed: setup(1, &[0], &[(0, Kind::Invalidate)]).far_warm().faults(Faults { fail: 1, ..NONE }), backlog_blocks_reads;
    failed_invalidation_not_queued: setup(1, &[0], &[(0, Kind::Invalidate)]).far_warm().faults(Faults { fail: 1, ..NONE }), queue_when_failed;
    change_during_its_delivery_not_queued: setup(1, &[0], &[(0, Kind::Invalidate), (0, Kind::Invalidate)]).far_warm().faults(Faults { fail: 1, ..NONE }), queue_during_delivery;
    rules_not_checked_on_far_reads: setup(2, &[0], &[(1, Kind::Clear)]).far_warm(), rules_on_far_reads;
    clear_without_its_sweep: setup(1, &[], &[(0, Kind::Clear)]).far_warm(), sweep;
    put_born_before_its_record: setup(2, &[0], &[(0, Kind::Set)]), birth_of_put;
    refused_put_leaves_what_is_there: setup(1, &[0], &[(0, Kind::Set), (0, Kind::Set)]).far_warm().faults(Faults { fail: 1, ..NONE }), void_refused_put;
    lease_that_never_expires: setup(1, &[0, 0], &[]).faults(Faults { die: 1, ..NONE }), lease_expires;

    flight_born_at_what_is_known: setup(1, &[0, 0], &[(0, Kind::Invalidate)]).fine().far_warm(), flight_born_at_applied;
    flights_detached_before_the_removal: setup(1, &[0, 0], &[(0, Kind::Clear)]).fine().warm(), detach_last;
    journal_empty_while_followed: setup(2, &[], &[(1, Kind::Invalidate)]).warm().faults(Faults { restart_empty: 1, ..NONE }), journal_opened;
    put_under_a_shared_epoch: setup(1, &[0], &[(0, Kind::Set)]).far_warm().faults(Faults { fail: 1, ..NONE }), put_moves_epoch;
    put_that_runs_late: setup(2, &[], &[(0, Kind::Set), (1, Kind::Invalidate)]).faults(Faults { late: 1, ..NONE }), late_put_refused;
    rules_forgotten_by_a_reset: setup(2, &[0], &[(1, Kind::Clear)]).far_warm().faults(Faults { cut: 1, trim: 2, ..NONE }), rules_loaded_on_begin;
}
