//! Counters, gauges and histograms for the `metrics` facade, where the feature is on.

#[cfg(feature = "metrics")]
mod published;

#[cfg(not(feature = "metrics"))]
mod unpublished {
    use std::time::Duration;

    use crate::event::LoadFailure;
    use crate::service::Inner;

    impl Inner {
        #[allow(clippy::unused_self, reason = "the same call with the feature")]
        pub(in crate::service) const fn measure_load(&self, _took: Duration, _failure: Option<LoadFailure>) {}

        #[allow(clippy::unused_self, reason = "the same call with the feature")]
        pub(in crate::service) const fn measure_staleness(&self, _by: Duration) {}
    }
}
