//! One suite that every [`CacheTier`] passes, also one that you write.
//!
//! [`conformance!`](crate::conformance!) makes a module with one test for each property. It is given the module's name and
//! an async function that makes an empty tier with room for 4,000 entries and 8 MiB. Each test makes a tier of its own,
//! binds it to a namespace and closes it at the end.
//!
//! ```
//! use cache_local::LocalTier;
//! use cache_testing::conformance::Subject;
//!
//! async fn local() -> Subject {
//!     Subject::new(LocalTier::new(10_000))
//! }
//!
//! cache_testing::conformance!(local_tier: local);
//! # fn main() {}
//! ```
//!
//! A tier that offers [`shared`](CacheTier::shared) operations is declared so, and is held to the properties of leases and of
//! the journal as well. What must live as long as the tier, such as a server, is given along:
//!
//! ```
//! use cache_redis::RedisTier;
//! use cache_testing::{RedisServer, conformance::Subject};
//!
//! async fn redis() -> Subject {
//!     let server = RedisServer::start();
//!     Subject::new(RedisTier::new(server.url()).expect("the URL is valid")).keeping(server)
//! }
//!
//! cache_testing::conformance!(shared keeping writes redis_tier: redis);
//! # fn main() {}
//! ```
//!
//! `keeping writes` declares that it encloses writes and has a log of those that have yet to reach the source, and holds it to
//! the properties of both ([`through`], [`writes`]). A tier that has neither is declared as `shared` alone.
//!
//! The tests wait for real time only where a time to live of some 50 ms must pass.

pub mod batch;
pub mod bus;
pub mod claim;
pub mod expiry;
pub mod fence;
pub mod fill;
pub mod journal;
pub mod lease;
pub mod nodes;
pub mod pattern;
pub mod put;
pub mod rules;
pub mod store;
mod support;
pub mod through;
pub mod turmoil;
pub mod writes;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{CacheTier, Namespace};

/// Far longer than any test of the suite takes, so that a call that never ends is reported as what it is.
const BOUND: Duration = Duration::from_secs(60);

/// A tier to be tested, and what must live as long as it.
pub struct Subject {
    tier: Arc<dyn CacheTier>,
    /// Dropped after the tier, in the order of declaration.
    kept: Vec<Box<dyn Any>>,
}

impl Subject {
    /// A tier that holds nothing yet.
    pub fn new(tier: impl CacheTier) -> Self {
        Self { tier: Arc::new(tier), kept: Vec::new() }
    }

    /// Keeps `guard`, such as a server, until the tier is closed.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any) -> Self {
        self.kept.push(Box::new(guard));
        self
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("tier", &self.tier.name()).field("kept", &self.kept.len()).finish()
    }
}

/// Runs one property on a tier of its own. [`conformance!`](crate::conformance!) calls it.
///
/// # Panics
/// When the tier lacks the property, or when a call does not end.
pub fn run<S: Future<Output = Subject>>(factory: impl FnOnce() -> S, property: impl AsyncFnOnce(Arc<dyn CacheTier>)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let subject = factory().await;
        subject.tier.bind(&Namespace::default()).expect("a new tier can be bound");
        let test = async {
            property(Arc::clone(&subject.tier)).await;
            subject.tier.close().await;
        };
        tokio::time::timeout(BOUND, test).await.expect("every call of the tier ends");
    });
}

/// Makes a module with a test for each property of a [`CacheTier`]: see [the module of this name](mod@crate::conformance).
#[macro_export]
macro_rules! conformance {
    (shared keeping writes $name:ident: $factory:expr) => {
        mod $name {
            use super::*;

            $crate::conformance_tests!($factory, keeping_writes);
            $crate::conformance_tests!($factory, shared);
            $crate::conformance_tests!($factory, common);
        }
    };
    (shared $name:ident: $factory:expr) => {
        mod $name {
            use super::*;

            $crate::conformance_tests!($factory, keeping_no_writes);
            $crate::conformance_tests!($factory, shared);
            $crate::conformance_tests!($factory, common);
        }
    };
    ($name:ident: $factory:expr) => {
        mod $name {
            use super::*;

            $crate::conformance_tests!($factory, unshared);
            $crate::conformance_tests!($factory, common);
        }
    };
}

/// The list of the properties. A test below holds it against the functions that there are.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($factory:expr, common) => {
        $crate::conformance_tests! { $factory;
            store::an_absent_key_holds_nothing,
            store::an_entry_is_read_as_often_as_wanted,
            store::a_later_entry_replaces_an_earlier_one,
            store::a_deleted_entry_is_gone,
            store::delete_counts_what_was_there,
            store::binary_values_survive,
            store::an_empty_value_is_a_value,
            store::a_value_of_a_mebibyte_survives,
            store::a_negative_entry_is_not_a_miss,
            store::everything_that_the_protocol_needs_of_an_entry_survives,
            store::unusual_keys_are_keys_like_others,
            store::similar_keys_are_kept_apart,
            store::a_tier_that_works_answers_a_ping,
            store::usage_is_right_where_it_is_known,
            batch::get_many_answers_in_the_order_of_the_keys,
            batch::get_many_tells_absent_keys_from_present_ones,
            batch::get_many_answers_each_duplicate,
            batch::set_many_stores_every_entry,
            batch::the_last_of_several_entries_for_a_key_stays,
            batch::an_empty_batch_does_nothing,
            batch::thousands_of_keys_fit_into_one_batch,
            expiry::an_entry_is_gone_after_its_time_to_live,
            expiry::each_entry_of_a_batch_has_its_own_time_to_live,
            expiry::a_replacement_brings_its_own_time_to_live,
            expiry::a_time_to_live_of_zero_passes_at_once,
            expiry::the_longest_time_to_live_is_accepted,
            expiry::an_entry_that_has_expired_is_not_counted,
            pattern::a_pattern_removes_what_matches_and_nothing_else,
            pattern::random_patterns_remove_what_matches_and_nothing_else,
            pattern::an_escaped_key_removes_only_itself,
            pattern::a_pattern_that_matches_nothing_removes_nothing,
            pattern::a_pattern_reaches_every_one_of_thousands_of_keys,
            pattern::a_pattern_of_many_stars_ends,
            pattern::clear_removes_everything,
            turmoil::many_tasks_share_the_tier,
            turmoil::a_concurrent_replacement_is_never_torn,
            turmoil::a_cancelled_call_disturbs_no_other,
        }
    };
    ($factory:expr, unshared) => {
        $crate::conformance_tests! { $factory;
            lease::a_tier_not_declared_as_shared_is_not,
        }
    };
    ($factory:expr, shared) => {
        $crate::conformance_tests! { $factory;
            lease::an_absent_key_is_acquired,
            lease::a_lease_is_no_entry,
            lease::a_leased_key_is_held,
            lease::an_entry_is_found_instead,
            lease::an_entry_is_acquired_over_its_own_token,
            lease::an_entry_is_not_acquired_over_another_token,
            lease::one_of_many_acquires_wins,
            lease::a_lease_lapses_by_itself,
            lease::an_extended_lease_outlives_its_first_term,
            lease::a_lease_that_is_not_ones_own_is_not_extended,
            lease::a_released_key_is_free,
            lease::only_ones_own_lease_is_released,
            lease::a_lease_is_counted_when_it_is_removed,
            fill::a_fill_under_ones_own_lease_is_stored,
            fill::a_fill_takes_its_time_to_live,
            fill::a_fill_with_another_token_is_refused,
            fill::a_fill_without_a_lease_is_refused,
            fill::a_second_fill_is_refused,
            fill::a_fill_after_a_delete_is_refused,
            fill::a_fill_after_an_invalidation_is_refused,
            fill::a_fill_after_a_pattern_is_refused,
            fill::a_fill_after_a_clear_is_refused,
            fill::a_fill_after_a_set_is_refused,
            fill::a_fill_after_a_put_is_refused,
            fill::a_fill_after_the_lease_has_lapsed_is_refused,
            journal::a_put_entry_is_born_at_its_record,
            journal::an_invalidation_tells_which_keys_it_removed,
            journal::a_record_without_keys_removes_nothing,
            journal::each_record_names_the_one_before,
            journal::an_empty_journal_has_no_records,
            journal::the_last_position_is_that_of_the_last_record,
            journal::the_journal_is_read_in_pages,
            journal::every_kind_of_record_survives_the_journal,
            journal::the_journal_outlives_a_clear,
            journal::the_journal_is_read_without_the_bus_as_well,
            claim::one_claims_an_entry_and_all_read_it,
            claim::a_claim_lapses,
            claim::only_the_entry_that_is_there_is_claimed,
            claim::a_claim_lasts_as_long_as_it_is_extended_and_ends_when_it_is_given_back,
            claim::nobody_claims_before_the_throttle_of_one_that_failed_has_passed,
            claim::the_end_of_a_claim_is_announced_if_someone_waited,
            claim::a_refill_goes_only_over_the_entry_that_was_claimed,
            fence::nothing_is_stored_under_a_fence,
            fence::a_fence_removes_what_is_there_and_is_a_record,
            fence::only_its_holder_lifts_a_fence,
            fence::a_key_is_fenced_until_the_last_fence_is_lifted,
            fence::a_fence_lapses_unless_it_is_renewed,
            fence::a_fence_lapses_though_one_that_held_for_longer_was_lifted,
            put::an_older_version_does_not_replace_a_newer_one,
            put::without_a_version_the_last_one_stays,
            put::a_value_is_sent_with_its_record,
            through::a_write_that_was_not_enclosed_is_a_removal_and_a_record,
            nodes::a_beat_tells_the_last_position,
            nodes::nodes_are_waited_for_until_they_have_applied,
            nodes::a_node_is_waited_for_no_longer_than_it_may_serve,
            nodes::a_tier_that_knows_nobody_waits_for_those_before,
            nodes::a_scan_tells_every_key_that_matches,
            journal::a_journal_goes_on_behind_what_is_known,
            rules::rules_begin_with_a_record,
            rules::each_rule_is_kept_with_its_position,
            rules::a_clear_takes_the_place_of_the_rules_before,
            rules::rules_outlive_a_clear_of_the_entries,
            rules::a_swept_pattern_is_forgotten,
            rules::a_tags_rule_is_forgotten_unless_it_was_given_again,
            rules::a_pattern_that_was_given_again_is_not_forgotten,
            bus::records_arrive_in_order,
            bus::every_connection_hears_every_record,
            bus::what_was_announced_before_an_answer_is_ready,
            bus::a_dropped_wait_loses_no_message,
            bus::concurrent_records_form_one_chain,
            bus::the_end_of_a_lease_is_announced_if_someone_waited,
            bus::a_release_is_announced_if_someone_waited,
        }
    };
    ($factory:expr, keeping_no_writes) => {
        $crate::conformance_tests! { $factory;
            through::a_tier_that_encloses_no_writes_never_does,
            writes::a_tier_not_declared_to_keep_writes_does_not,
        }
    };
    ($factory:expr, keeping_writes) => {
        $crate::conformance_tests! { $factory;
            through::a_write_under_its_only_fence_is_stored_and_the_fence_is_lifted,
            through::readers_are_given_no_lease_while_a_write_is_enclosed,
            through::a_key_that_is_not_fenced_by_the_writer_alone_is_not_enclosed,
            through::a_key_that_is_not_empty_is_not_enclosed,
            through::nothing_is_stored_if_another_write_has_begun,
            through::another_fence_lapses_though_the_write_was_concluded,
            through::nothing_is_stored_if_another_write_came_in_between,
            through::nothing_is_stored_if_the_key_was_invalidated_in_between,
            through::nothing_is_stored_once_the_lease_has_lapsed,
            writes::a_write_is_kept_with_its_entry_and_its_record,
            writes::a_set_during_a_write_removes_its_entry,
            writes::a_write_without_an_entry_removes_what_is_there,
            writes::the_entry_of_a_write_is_not_stored_under_a_fence_and_the_write_is_kept,
            writes::a_load_that_began_before_a_write_is_not_stored,
            writes::a_key_is_closed_to_loads_until_its_last_write_is_settled,
            writes::a_fence_lapses_though_a_write_was_pending_beside_it,
            writes::the_entry_of_a_pending_write_is_not_claimed,
            writes::a_key_is_closed_for_no_longer_than_its_hold,
            writes::a_key_that_was_open_before_its_write_was_settled_is_void,
            writes::the_key_of_a_write_that_is_put_aside_is_void,
            writes::the_entry_of_a_write_is_kept_when_it_is_settled,
            writes::writes_are_taken_in_order_and_no_more_than_asked_for,
            writes::a_partition_has_one_worker_and_each_worker_another,
            writes::the_writes_of_a_worker_whose_lease_has_lapsed_are_given_to_another_one_by_one,
            writes::a_worker_keeps_its_partition_for_as_long_as_it_says,
            writes::nobody_takes_a_partition_that_rests,
            writes::no_more_writes_are_kept_than_the_bound,
            writes::logs_do_not_meet,
            writes::a_dead_write_is_kept_as_it_was_and_its_key_is_open,
            writes::dead_letters_are_told_in_pages_oldest_first,
            writes::discarded_letters_are_gone_and_counted,
            writes::a_dead_letter_becomes_a_new_write_once,
        }
    };
    ($factory:expr; $($module:ident::$property:ident,)*) => {
        $(
            #[test]
            fn $property() {
                $crate::conformance::run($factory, $crate::conformance::$module::$property);
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    /// A property that is not listed would never be tested.
    #[test]
    fn every_property_is_listed_once() {
        let listed = include_str!("mod.rs");
        let files = [
            ("batch", include_str!("batch.rs")),
            ("bus", include_str!("bus.rs")),
            ("claim", include_str!("claim.rs")),
            ("expiry", include_str!("expiry.rs")),
            ("fence", include_str!("fence.rs")),
            ("fill", include_str!("fill.rs")),
            ("journal", include_str!("journal.rs")),
            ("lease", include_str!("lease.rs")),
            ("nodes", include_str!("nodes.rs")),
            ("pattern", include_str!("pattern.rs")),
            ("put", include_str!("put.rs")),
            ("rules", include_str!("rules.rs")),
            ("store", include_str!("store.rs")),
            ("through", include_str!("through.rs")),
            ("turmoil", include_str!("turmoil.rs")),
            ("writes", include_str!("writes.rs")),
        ];
        for (module, source) in files {
            let properties = source.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split_once('('));
            for (property, _) in properties {
                let entry = format!(" {module}::{property},\n");
                assert_eq!(listed.matches(&entry).count(), 1, "{module}::{property}");
            }
        }
    }
}
