//! Claims: one of many replaces an entry that the others go on reading.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{CacheTier, Claim};

use super::support::{
    HOUR, SHORT, assert_absent, assert_acquired, assert_holds, entry_with_token, eventually, key, keys, record_of_keys,
    shared, token,
};

async fn hold(tier: &dyn CacheTier, payload: &'static str, holder: u8) {
    tier.set(&key("k"), entry_with_token(payload, token(holder)), HOUR).await.expect("set");
}

async fn claim(tier: &dyn CacheTier, over: u8, ttl: Duration) -> Claim {
    shared(tier).claim(&key("k"), token(over), ttl).await.expect("claim")
}

async fn refill(tier: &dyn CacheTier, over: u8, payload: &'static str, next: u8) -> bool {
    shared(tier).refill(&key("k"), token(over), entry_with_token(payload, token(next)), HOUR).await.expect("refill")
}

/// However many ask, and whoever reads meanwhile.
pub async fn one_claims_an_entry_and_all_read_it(tier: Arc<dyn CacheTier>) {
    hold(&*tier, "stale", 1).await;
    assert_eq!(claim(&*tier, 1, HOUR).await, Claim::Claimed);
    assert_eq!(claim(&*tier, 1, HOUR).await, Claim::Taken);
    assert_holds(&*tier, &key("k"), "stale").await;
    assert!(refill(&*tier, 1, "fresh", 2).await);
    assert_holds(&*tier, &key("k"), "fresh").await;
    assert_eq!(claim(&*tier, 2, HOUR).await, Claim::Claimed, "it is another entry");
}

/// Whoever made it may have died.
pub async fn a_claim_lapses(tier: Arc<dyn CacheTier>) {
    hold(&*tier, "stale", 1).await;
    assert_eq!(claim(&*tier, 1, SHORT).await, Claim::Claimed);
    eventually("it lapses", || async { claim(&*tier, 1, SHORT).await == Claim::Claimed }).await;
}

/// A claim is on one very entry.
pub async fn only_the_entry_that_is_there_is_claimed(tier: Arc<dyn CacheTier>) {
    assert_eq!(claim(&*tier, 1, HOUR).await, Claim::Gone);
    hold(&*tier, "other", 2).await;
    assert_eq!(claim(&*tier, 1, HOUR).await, Claim::Gone);
    tier.delete(&keys(["k"])).await.expect("delete");
    assert_acquired(&*tier, &key("k"), token(1)).await;
    assert_eq!(claim(&*tier, 1, HOUR).await, Claim::Gone, "a lease is no entry");
}

/// An invalidation, a `set` or another load that came in between has the last word.
pub async fn a_refill_goes_only_over_the_entry_that_was_claimed(tier: Arc<dyn CacheTier>) {
    hold(&*tier, "stale", 1).await;
    assert_eq!(claim(&*tier, 1, HOUR).await, Claim::Claimed);
    let keys = keys(["k"]);
    shared(&*tier).invalidate(&keys, &record_of_keys(&keys), None).await.expect("invalidate");
    assert!(!refill(&*tier, 1, "overtaken", 9).await);
    assert_absent(&*tier, &key("k")).await;
    assert_acquired(&*tier, &key("k"), token(1)).await;
    assert!(!refill(&*tier, 1, "overtaken", 9).await, "a lease is no entry");
    hold(&*tier, "newer", 2).await;
    assert!(!refill(&*tier, 1, "overtaken", 9).await);
    assert_holds(&*tier, &key("k"), "newer").await;
}
