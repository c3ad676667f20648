//! The time to live.

use std::sync::Arc;
use std::time::Duration;

use cache_core::CacheTier;

use super::support::{HOUR, SHORT, assert_holds, entry, eventually_absent, key, keys, set};

/// An entry goes by itself, and takes no other along.
pub async fn an_entry_is_gone_after_its_time_to_live(tier: Arc<dyn CacheTier>) {
    set(&*tier, &key("stays"), "v").await;
    tier.set(&key("goes"), entry("v"), SHORT).await.expect("set");
    eventually_absent(&*tier, &key("goes")).await;
    assert_holds(&*tier, &key("stays"), "v").await;
    set(&*tier, &key("goes"), "again").await;
    assert_holds(&*tier, &key("goes"), "again").await;
}

/// The entries of a batch do not share one time to live.
pub async fn each_entry_of_a_batch_has_its_own_time_to_live(tier: Arc<dyn CacheTier>) {
    let entries =
        vec![(key("first"), entry("v"), HOUR), (key("goes"), entry("v"), SHORT), (key("last"), entry("v"), HOUR)];
    tier.set_many(entries).await.expect("set_many");
    eventually_absent(&*tier, &key("goes")).await;
    assert_holds(&*tier, &key("first"), "v").await;
    assert_holds(&*tier, &key("last"), "v").await;
}

/// Neither the longer nor the shorter time to live of what was there before counts.
pub async fn a_replacement_brings_its_own_time_to_live(tier: Arc<dyn CacheTier>) {
    tier.set(&key("longer"), entry("old"), SHORT).await.expect("set");
    set(&*tier, &key("longer"), "new").await;
    set(&*tier, &key("shorter"), "old").await;
    // Set last, so that the time to live that was replaced has passed when this one has.
    tier.set(&key("shorter"), entry("new"), SHORT).await.expect("set");
    eventually_absent(&*tier, &key("shorter")).await;
    assert_holds(&*tier, &key("longer"), "new").await;
}

/// A time to live below what the store can express is no error, and does not mean forever.
pub async fn a_time_to_live_of_zero_passes_at_once(tier: Arc<dyn CacheTier>) {
    for ttl in [Duration::ZERO, Duration::from_nanos(1)] {
        set(&*tier, &key("k"), "old").await;
        tier.set(&key("k"), entry("new"), ttl).await.expect("set");
        eventually_absent(&*tier, &key("k")).await;
    }
}

/// A time to live beyond what the store can express is no error, and does not wrap around.
pub async fn the_longest_time_to_live_is_accepted(tier: Arc<dyn CacheTier>) {
    for ttl in [Duration::MAX, Duration::from_millis(u64::MAX), Duration::from_secs(u64::from(u32::MAX) * 1_000)] {
        tier.set(&key("k"), entry("v"), ttl).await.expect("set");
        assert_holds(&*tier, &key("k"), "v").await;
        tier.delete(&keys(["k"])).await.expect("delete");
    }
}

/// What has expired was not there.
pub async fn an_entry_that_has_expired_is_not_counted(tier: Arc<dyn CacheTier>) {
    for key in keys(["a", "b", "c"]) {
        tier.set(&key, entry("v"), SHORT).await.expect("set");
    }
    // The last one set expires last.
    eventually_absent(&*tier, &key("c")).await;
    assert_eq!(tier.delete(&keys(["a"])).await.expect("delete"), 0);
    assert_eq!(tier.clear().await.expect("clear"), 0);
}
