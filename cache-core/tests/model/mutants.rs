//! The protocol with one fence taken out: the checker must find what the fence was there for.

use crate::assertions::{assert_fence_is_needed, assert_serves_hits};
use crate::setup::{Setup, setup};
use crate::state::Faults;
use crate::state::Kind::{Around, Clear, Invalidate, Other, Pattern, Replicate, Set, Strict, Versioned};

const NONE: Faults = Faults::NONE;
const FAIL: Faults = Faults { fail: 1, ..NONE };
const CUT: Faults = Faults { cut: 1, ..NONE };
const FAILOVER: Faults = Faults { failover: 1, ..NONE };
const CRASH: Faults = Faults { crash: 1, ..NONE };
const FAIL_AND_CRASH: Faults = Faults { fail: 1, crash: 1, ..NONE };
const DROP: Faults = Faults { drop: 1, ..NONE };
const CUT_AND_TRIM: Faults = Faults { cut: 1, trim: 1, ..NONE };
const CUT_AND_TRIM_TWO: Faults = Faults { cut: 1, trim: 2, ..NONE };
const LONG: Faults = Faults { tick: 4, ..NONE };
const CUT_FOR_LONG: Faults = Faults { cut: 1, tick: 4, ..NONE };

/// A node that begins behind a fence does not know of it.
fn joins_under_a_fence() -> Setup {
    let setup = setup(2, &[1], &[(0, Around)]).joining().first_deaf();
    Setup { heartbeat: 1, ..setup.faults(Faults { tick: 1, ..FAIL_AND_CRASH }) }
}

/// A node that was cut off after it had registered reads once more.
fn reads_by_itself() -> Setup {
    let setup = setup(2, &[0], &[(1, Strict)]).far_warm().first_deaf();
    Setup { heartbeat: 1, isolated_ttl: 2, ..setup.faults(Faults { tick: 3, ..NONE }) }
}

/// A test for each mutant: its name, what is taken out, and where that shows.
macro_rules! mutants {
    ($assert:ident: $($name:ident, $fence:ident, $setup:expr;)*) => {
        $(#[test]
        fn $name() {
            let setup = Setup { title: stringify!($name), ..$setup };
            $assert(setup, |protocol| protocol.$fence = false);
        })*
    };
}

mutants! { assert_fence_is_needed:
    fill_without_its_lease, lease_in_fill,
        setup(2, &[0], &[(1, Invalidate)]);
    insertion_without_the_epoch, epoch_on_insert,
        setup(1, &[0], &[(0, Invalidate)]).warm().faults(FAIL);
    insertion_without_the_record, voided_before_on_insert,
        setup(2, &[0], &[(1, Invalidate)]).far_warm();
    epoch_noted_after_the_read, note_before_read,
        setup(1, &[0], &[(0, Invalidate)]).warm().faults(FAIL);
    birth_noted_after_the_load, birth_before_load,
        setup(2, &[0], &[(1, Invalidate)]).faults(FAIL);
    no_void_on_acknowledgement, void_on_acknowledgement,
        setup(1, &[0], &[(0, Invalidate)]).far_warm();
    no_second_void_when_queued, void_again_when_queued,
        setup(1, &[0], &[(0, Invalidate)]).far_warm().faults(FAIL);
    flights_not_detached_by_invalidations, detach_on_void,
        setup(1, &[0], &[(0, Invalidate)]).faults(FAIL);
    flights_not_detached_by_records, detach_on_record,
        setup(2, &[0], &[(1, Invalidate)]);
    gap_not_seen_by_previous, gap_by_previous,
        setup(2, &[], &[(1, Invalidate), (1, Other)]).warm().faults(DROP);
    gap_not_seen_by_heartbeat, gap_by_heartbeat,
        setup(2, &[], &[(1, Invalidate)]).warm().faults(DROP);
    subscribed_after_catching_up, subscribe_first,
        setup(2, &[], &[(1, Invalidate)]).warm().faults(CUT);
    not_caught_up_on_connecting, catch_up_on_connect,
        setup(2, &[], &[(1, Invalidate)]).warm().faults(CUT);
    no_reset_when_trimmed, reset_on_trim,
        setup(2, &[], &[(1, Invalidate), (1, Other)]).warm().faults(CUT_AND_TRIM_TWO);
    no_reset_when_the_journal_went_back, reset_on_backwards,
        setup(2, &[], &[(1, Invalidate)]).warm().clock_back().faults(Faults { restart_empty: 1, ..NONE });
    reset_without_removal, reset_removes,
        setup(2, &[], &[(1, Invalidate)]).warm().faults(CUT_AND_TRIM);
    reset_without_voiding_fills, reset_voids_fills,
        setup(2, &[0], &[(1, Invalidate)]).far_warm().faults(CUT_AND_TRIM);
    no_isolation, isolation,
        setup(2, &[], &[(1, Invalidate)]).warm().faults(CUT_FOR_LONG);
    a_node_that_stands_still_and_trusts, trust_runs_out,
        setup(2, &[], &[(1, Invalidate)]).warm().faults(LONG);
    age_counted_from_the_end_of_the_read, as_of_before_read,
        setup(2, &[0], &[(1, Invalidate)]).far_warm().deaf().faults(LONG);
    far_tier_read_while_owed, backlog_blocks_reads,
        setup(1, &[0], &[(0, Invalidate)]).far_warm().faults(FAIL);
    failed_invalidation_not_queued, queue_when_failed,
        setup(1, &[0], &[(0, Invalidate)]).far_warm().faults(FAIL);
    change_during_its_delivery_not_queued, queue_during_delivery,
        setup(2, &[1], &[(0, Invalidate), (0, Invalidate)]).deaf().faults(FAIL);
    rules_not_checked_on_far_reads, rules_on_far_reads,
        setup(2, &[0], &[(1, Clear)]).far_warm();
    clear_without_its_sweep, sweep,
        setup(1, &[], &[(0, Clear)]).far_warm();
    refused_put_leaves_what_is_there, void_refused_put,
        setup(1, &[], &[(0, Set), (0, Set)]).deaf().faults(FAIL);
    journal_empty_while_followed, journal_opened,
        setup(2, &[], &[(1, Invalidate)]).warm().faults(Faults { restart_empty: 1, ..NONE });
    rules_forgotten_by_a_reset, rules_loaded_on_begin,
        setup(2, &[0], &[(1, Clear)]).far_warm().faults(CUT_AND_TRIM);
    lease_that_never_expires, lease_expires,
        setup(1, &[0, 0], &[]).faults(Faults { die: 1, ..NONE });
}

mutants! { assert_serves_hits:
    put_born_before_its_record, birth_of_put,
        setup(1, &[], &[(0, Set)]);
}

// Fences that the model has shown to be missing, and that the code has since been given.
mutants! { assert_fence_is_needed:
    flight_born_at_what_is_known, flight_born_at_applied,
        setup(1, &[0, 0], &[(0, Invalidate)]).fine().far_warm();
    flights_detached_before_the_removal, detach_last,
        setup(1, &[0, 0], &[(0, Clear)]).fine().warm();
    put_under_a_shared_epoch, put_moves_epoch,
        setup(1, &[0], &[(0, Set)]).far_warm().faults(FAIL);
    put_that_runs_late, late_put_refused,
        setup(2, &[], &[(0, Set), (1, Invalidate)]).faults(Faults { late: 1, ..NONE });
    old_flight_joined_on_an_isolated_node, isolated_flights_age,
        setup(2, &[0], &[(1, Invalidate)]).deaf().faults(LONG);
}

// The scan of a pattern ends while a read is under way.
mutants! { assert_fence_is_needed:
    rule_forgotten_under_a_read, forgotten_rules_void_reads,
        setup(2, &[0], &[(1, Pattern)]).far_warm();
}

// A writer dies between its write of the source and the invalidation.
mutants! { assert_fence_is_needed:
    write_without_a_fence, fence_around_writes,
        setup(2, &[1], &[(0, Around)]).faults(CRASH);
    second_fence_in_place_of_the_first, fences_join,
        setup(2, &[1], &[(0, Around), (1, Around)]).deaf().faults(CRASH);
    lease_under_a_fence, fence_bars_leases,
        setup(2, &[1], &[(0, Around)]).faults(CRASH);
    fence_removed_by_an_invalidation, fence_outlives_invalidations,
        setup(2, &[1], &[(0, Around), (1, Invalidate)]).deaf().faults(CRASH);
    set_over_a_fence, fence_bars_sets,
        setup(2, &[], &[(0, Around), (1, Set)]).deaf().faults(CRASH);
    fence_removed_by_a_sweep, fence_outlives_sweeps,
        setup(2, &[1], &[(0, Around), (1, Clear)]).deaf().faults(CRASH);
    unleased_load_stored_under_a_fence, fence_bars_unleased,
        setup(2, &[1], &[(0, Around)]).first_deaf().faults(FAIL_AND_CRASH);
    fence_forgotten_with_its_caller, fence_outlives_its_caller,
        setup(1, &[0], &[(0, Around)]).deaf().faults(Faults { abandon: 1, fail: 1, ..NONE });
    unleased_load_kept_for_long, unleased_limited,
        joins_under_a_fence();
}

// What the model shows to be missing: as long as the code keeps what was loaded under a lease although the fill was never
// answered, these are its counterexamples.
mutants! { assert_fence_is_needed:
    unanswered_fill_stored_under_a_fence, unanswered_fill_is_unleased,
        setup(2, &[1], &[(0, Around)]).first_deaf().faults(FAIL_AND_CRASH);
    unanswered_fill_of_a_node_that_joins, unanswered_fill_is_unleased,
        joins_under_a_fence();
}

// A server takes over that lacks the latest.
mutants! { assert_fence_is_needed:
    lost_records_not_delivered_again, lost_is_owed,
        setup(1, &[], &[(0, Invalidate)]).far_warm().faults(FAILOVER);
    loss_not_seen_between_two_records, nothing_between,
        setup(1, &[], &[(0, Invalidate), (0, Other)]).far_warm().faults(FAILOVER);
    journal_read_from_behind_the_last, replay_from_the_last,
        setup(2, &[], &[(1, Invalidate), (0, Other)]).first_deaf().far_warm().faults(FAILOVER);
}

// Missing in the code as well: the answer for a lost record may be heard after the journal was read without it, or
// something else be read in its place.
mutants! { assert_fence_is_needed:
    lost_record_acknowledged_late, late_acknowledgement_noticed,
        setup(1, &[], &[(0, Invalidate), (0, Other)]).far_warm().faults(FAILOVER);
    another_record_read_in_the_place_of_a_lost_one, replay_agrees,
        setup(2, &[], &[(1, Invalidate), (0, Other)]).first_deaf().far_warm().collide().faults(FAILOVER);
}

// Invalidations that wait until no node can serve the old value.
mutants! { assert_fence_is_needed:
    strict_invalidation_that_does_not_wait, strict_waits,
        setup(2, &[], &[(1, Strict)]).warm();
    registered_with_what_is_known, registers_what_is_applied,
        setup(2, &[], &[(1, Strict), (0, Other)]).warm();
    not_waited_for_what_the_deaf_have_read, strict_waits_for_age,
        reads_by_itself();
    not_waited_for_those_whose_registration_was_lost, strict_waits_for_the_lost,
        setup(2, &[], &[(1, Strict)]).warm().faults(Faults { flush: 1, tick: 2, ..NONE });
    sure_of_what_was_heard_after_the_question, confirms_from_the_question,
        setup(2, &[], &[(1, Strict)]).warm().faults(Faults { tick: 3, ..NONE });
}

// Values that are sent along with their records.
mutants! { assert_fence_is_needed:
    replica_taken_while_a_change_waits, replica_asks_for_debts,
        setup(2, &[], &[(0, Replicate), (1, Invalidate)]).first_deaf().faults(FAIL);
    replica_taken_under_an_invalidation, epoch_on_replica,
        setup(2, &[], &[(0, Replicate), (1, Invalidate)]).first_deaf().faults(FAIL);
    replica_taken_after_a_later_record, replica_is_newest,
        setup(2, &[], &[(0, Replicate), (1, Invalidate)]).first_deaf();
}

// Sets that come out of order.
mutants! { assert_fence_is_needed:
    older_version_over_a_newer_one, put_compares_versions,
        setup(2, &[], &[(0, Versioned), (1, Versioned)]);
    refused_version_kept_near, superseded_stays_out,
        setup(2, &[], &[(0, Versioned), (1, Versioned)]);
}

// A journal that has lost positions at which something was born.
mutants! { assert_fence_is_needed:
    positions_given_twice, begin_raises,
        setup(2, &[], &[(1, Invalidate)]).lost();
}

// A fence that is heard of after a later record of this node was acknowledged.
mutants! { assert_fence_is_needed:
    fence_that_voids_by_birth, fence_voids_any_birth,
        setup(2, &[1], &[(0, Around)]).fenced().first_deaf().faults(FAIL_AND_CRASH);
}
