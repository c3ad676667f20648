//! The whole protocol, with every fence, in several settings: each has a few of everything, since all of everything at
//! once has too many states.

use crate::assertions::assert_holds;
use crate::setup::{Setup, setup};
use crate::state::Faults;
use crate::state::Kind::{Around, Clear, Invalidate, Other, Pattern, Replicate, Set, Strict, Versioned};

const NONE: Faults = Faults::NONE;
const FAILOVER: Faults = Faults { failover: 1, ..NONE };
const CRASH: Faults = Faults { crash: 1, ..NONE };

macro_rules! settings {
    ($($name:ident: $setup:expr;)*) => {
        $(#[test]
        fn $name() {
            assert_holds(Setup { title: stringify!($name), ..$setup });
        })*
    };
}

settings! {
    fills_and_an_invalidation_with_expiry:
        setup(2, &[0, 1], &[(1, Invalidate)]).far_warm().faults(Faults { evict: 1, ..NONE });
    writers_on_two_nodes:
        setup(2, &[0], &[(1, Invalidate), (0, Other)]);
    every_lock_a_step_of_its_own:
        setup(1, &[0], &[(0, Invalidate), (0, Other)]).fine().far_warm();
    a_record_applied_lock_by_lock:
        setup(2, &[0, 0], &[(1, Invalidate)]).fine().far_warm();
    a_clear_applied_lock_by_lock:
        setup(1, &[0, 0], &[(0, Clear)]).fine().far_warm();
    a_reset_lock_by_lock:
        setup(2, &[0], &[(1, Invalidate)]).fine().warm().faults(Faults { cut: 1, trim: 1, ..NONE });
    a_clear_and_a_fill_on_two_nodes:
        setup(2, &[0, 1], &[(1, Clear)]);
    a_pattern_and_a_fill_on_two_nodes:
        setup(2, &[0, 1], &[(1, Pattern)]);
    a_set_against_a_load:
        setup(2, &[0, 1], &[(0, Set)]);
    a_set_against_an_invalidation:
        setup(2, &[], &[(0, Set), (1, Invalidate)]).far_warm();
    two_sets_on_two_nodes:
        setup(2, &[], &[(0, Set), (1, Set)]);
    an_answer_lost_and_the_queue:
        setup(2, &[0], &[(0, Invalidate)]).far_warm().faults(Faults { fail: 1, ..NONE });
    a_failed_clear_and_the_queue:
        setup(1, &[0], &[(0, Clear)]).far_warm().faults(Faults { fail: 2, ..NONE });
    a_cut_a_loss_and_a_trim:
        setup(2, &[], &[(1, Invalidate), (1, Other)]).warm().faults(Faults { cut: 1, drop: 1, trim: 1, ..NONE });
    cuts_while_a_load_runs:
        setup(2, &[0], &[(1, Invalidate)]).far_warm().faults(Faults { cut: 2, ..NONE });
    a_restart_with_the_data:
        setup(2, &[0], &[(1, Invalidate)]).far_warm().faults(Faults { restart: 1, ..NONE });
    a_restart_without_the_data:
        setup(2, &[0], &[(1, Invalidate)]).far_warm().faults(Faults { restart_empty: 1, ..NONE });
    a_flush_and_a_loss:
        setup(2, &[], &[(1, Invalidate)]).warm().faults(Faults { flush: 1, drop: 1, ..NONE });
    a_node_that_joins:
        setup(2, &[0], &[(1, Invalidate)]).far_warm().joining();
    deaf_for_long:
        setup(2, &[0], &[(1, Invalidate)]).far_warm().deaf().faults(Faults { tick: 4, ..NONE });
    a_cut_for_long:
        setup(2, &[], &[(1, Invalidate)]).warm().faults(Faults { cut: 1, tick: 4, ..NONE });
    a_node_that_stands_still:
        setup(2, &[], &[(1, Invalidate)]).warm().faults(Faults { tick: 5, ..NONE });
    a_holder_that_dies:
        setup(2, &[0, 1], &[(1, Invalidate)]).faults(Faults { die: 1, ..NONE });
    a_write_between_fences_and_a_crash:
        setup(2, &[1], &[(0, Around)]).warm().faults(CRASH);
    a_write_between_fences_with_an_answer_lost:
        setup(2, &[1], &[(0, Around)]).first_deaf().faults(Faults { crash: 1, fail: 1, ..NONE });
    a_write_between_fences_that_its_caller_leaves:
        setup(1, &[0], &[(0, Around)]).far_warm().faults(Faults { abandon: 1, fail: 1, ..NONE });
    two_writes_between_fences:
        setup(2, &[1], &[(0, Around), (1, Around)]).deaf().faults(CRASH);
    an_invalidation_under_a_fence:
        setup(2, &[1], &[(0, Around), (1, Invalidate)]).deaf().faults(CRASH);
    a_set_under_a_fence:
        setup(2, &[], &[(0, Around), (1, Set)]).first_deaf().faults(CRASH);
    a_clear_under_a_fence:
        setup(2, &[1], &[(0, Around), (1, Clear)]).deaf().faults(CRASH);
    a_node_that_joins_under_a_fence:
        setup(2, &[1], &[(0, Around)]).joining().first_deaf().faults(Faults { crash: 1, tick: 2, ..NONE });
    a_failover_on_two_nodes:
        setup(2, &[], &[(0, Invalidate)]).warm().faults(FAILOVER);
    a_failover_with_positions_given_twice:
        setup(1, &[], &[(0, Invalidate), (0, Other)]).warm().collide().faults(FAILOVER);
    a_failover_while_a_load_runs:
        setup(1, &[0], &[(0, Invalidate)]).far_warm().faults(FAILOVER);
    a_failover_that_loses_a_clear:
        setup(1, &[], &[(0, Clear), (0, Other)]).warm().faults(FAILOVER);
    a_strict_invalidation_and_a_load:
        setup(2, &[0], &[(1, Strict)]).far_warm();
    a_strict_invalidation_and_a_cut_for_long:
        setup(2, &[], &[(1, Strict)]).warm().faults(Faults { cut: 1, tick: 3, ..NONE });
    a_strict_invalidation_after_a_flush:
        setup(2, &[], &[(1, Strict)]).warm().faults(Faults { flush: 1, tick: 2, ..NONE });
    a_replica_against_an_invalidation:
        setup(2, &[], &[(0, Replicate), (1, Invalidate)]).first_deaf().far_warm().faults(Faults { fail: 1, ..NONE });
    a_replica_against_a_load:
        setup(2, &[1], &[(0, Replicate)]).far_warm();
    two_versions_out_of_order:
        setup(2, &[], &[(0, Versioned), (1, Versioned)]).far_warm();
}
