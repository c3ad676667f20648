//! Publishes the counters to the `metrics` facade.
//!
//! The counters of a service are its own, so that a hit costs no more with this feature than without. A task copies them
//! over now and then. Only what a counter cannot tell, such as how long a load took, is told as it happens.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Label, SharedString, counter, gauge, histogram};

use crate::event::LoadFailure;
use crate::service::{Inner, WriteBehindStats};
use crate::stats::{KeyspaceStats, KeyspaceTierStats, Stats, TierStats};
use crate::status::BusStatus;

impl Inner {
    /// Publishes every counter and gauge as it stands.
    pub(in crate::service) fn publish_metrics(&self) {
        let namespace = [self.namespace_label()];
        let stats = self.stats();
        for (name, count) in totals(&stats) {
            counter!(name, namespace.iter()).absolute(count);
        }
        for tier in &stats.tiers {
            self.publish_tier(tier);
        }
        stats.keyspaces.iter().for_each(|keyspace| self.publish_keyspace(keyspace));
        for (keyspace, stats) in self.write_behinds.snapshot() {
            let labels = [self.namespace_label(), Label::new("keyspace", SharedString::from(keyspace))];
            for (name, count) in write_totals(&stats) {
                counter!(name, labels.iter()).absolute(count);
            }
        }
        let healthy = !matches!(self.coherence.trust.status(self.clock.now()), BusStatus::Isolated { .. });
        gauge!("cache_aside_bus_healthy", namespace.iter()).set(flag(healthy));
        for far in &self.far {
            let labels = self.tier_labels(far.tier.name());
            gauge!("cache_aside_breaker_open", labels.iter()).set(flag(far.is_down()));
            gauge!("cache_aside_queued_invalidations", labels.iter()).set(far.queued() as f64);
        }
    }

    fn publish_tier(&self, tier: &TierStats) {
        let labels = self.tier_labels(tier.name);
        for (name, count) in [
            ("cache_aside_tier_hits_total", Some(tier.hits)),
            ("cache_aside_tier_misses_total", Some(tier.misses)),
            ("cache_aside_tier_errors_total", Some(tier.errors)),
            ("cache_aside_tier_skipped_total", Some(tier.skipped)),
            ("cache_aside_tier_retries_total", Some(tier.retries)),
            ("cache_aside_tier_evictions_total", tier.evictions),
        ] {
            if let Some(count) = count {
                counter!(name, labels.iter()).absolute(count);
            }
        }
        for (name, held) in [("cache_aside_tier_entries", tier.entries), ("cache_aside_tier_bytes", tier.bytes)] {
            if let Some(held) = held {
                gauge!(name, labels.iter()).set(held as f64);
            }
        }
    }

    fn publish_keyspace(&self, keyspace: &KeyspaceStats) {
        for KeyspaceTierStats { name, hits, misses } in &keyspace.tiers {
            let [namespace, tier] = self.tier_labels(name);
            let prefix = Label::new("keyspace", SharedString::from(keyspace.prefix.clone()));
            let labels = [namespace, prefix, tier];
            counter!("cache_aside_keyspace_hits_total", labels.iter()).absolute(*hits);
            counter!("cache_aside_keyspace_misses_total", labels.iter()).absolute(*misses);
        }
    }

    /// Publishes now and then, until dropped.
    pub(in crate::service) fn publishes(&self) -> impl Future<Output = ()> + Send + use<> {
        let (this, clock, interval) = (self.this.clone(), Arc::clone(&self.clock), self.metrics_interval);
        async move {
            while let Some(inner) = this.upgrade() {
                inner.publish_metrics();
                drop(inner);
                clock.sleep(interval).await;
            }
        }
    }

    /// A load has taken so long.
    pub(in crate::service) fn measure_load(&self, took: Duration, failure: Option<LoadFailure>) {
        let outcome = failure.map_or("ok", LoadFailure::as_str);
        let labels = [self.namespace_label(), Label::from_static_parts("outcome", outcome)];
        histogram!("cache_aside_load_seconds", labels.iter()).record(took);
    }

    /// A value was served so long after it was fresh.
    pub(in crate::service) fn measure_staleness(&self, by: Duration) {
        let labels = [self.namespace_label()];
        histogram!("cache_aside_stale_seconds", labels.iter()).record(by);
    }

    fn tier_labels(&self, tier: &'static str) -> [Label; 2] {
        [self.namespace_label(), Label::from_static_parts("tier", tier)]
    }

    fn namespace_label(&self) -> Label {
        Label::new("namespace", SharedString::from(self.namespace.as_str().to_owned()))
    }
}

const fn flag(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

/// Takes each counter's name from its field, so that it cannot be another.
macro_rules! named {
    ($prefix:literal: $($field:ident)*) => {
        vec![$((concat!($prefix, stringify!($field), "_total"), *$field)),*]
    };
}

/// The counters of a service, by the names under which they are published.
fn totals(stats: &Stats) -> Vec<(&'static str, u64)> {
    macro_rules! totals {
        ($($field:ident)*) => {{
            // Every field is named here: tiers and keyspaces are published on their own.
            let Stats { tiers: _, keyspaces: _, $($field),* } = stats;
            named!("cache_aside_": $($field)*)
        }};
    }
    totals! {
        loads load_failures coalesced stale_served refreshes refresh_failures throttled fenced_fills lease_timeouts
        invalidations_sent invalidations_received foreign_invalidations
        queue_overflows replicas_received unfenced_writes replays resets invalid_keys undecodable unencodable too_large
        handler_panics
    }
}

/// The same of the writes of a keyspace.
fn write_totals(stats: &WriteBehindStats) -> Vec<(&'static str, u64)> {
    macro_rules! totals {
        ($($field:ident)*) => {{
            let WriteBehindStats { $($field),* } = stats;
            named!("cache_aside_write_behind_": $($field)*)
        }};
    }
    totals! { accepted refused applied failed repeated dead unreadable lost_leases }
}
