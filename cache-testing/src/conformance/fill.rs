//! The fenced fill: whatever removes the lease voids the fill.

use std::sync::Arc;

use cache_core::coherence::{Change, NodeId, Record};
use cache_core::{Acquire, CacheTier, Pattern};

use super::support::{
    HOUR, SHORT, acquire, assert_absent, assert_acquired, assert_held, assert_holds, entry, entry_with_token,
    eventually, eventually_absent, get, key, keys, put, record_of_keys, set, shared, token,
};

async fn fill(tier: &dyn CacheTier, holder: u8, payload: &'static str) -> bool {
    let entry = entry_with_token(payload, token(holder));
    shared(tier).fill(&key("k"), token(holder), entry, HOUR).await.expect("fill")
}

/// The fill of the lease `1` under `k` comes too late: it is refused, and stored nowhere.
async fn assert_void(tier: &dyn CacheTier) {
    assert!(!fill(tier, 1, "stale").await, "the fill must be refused");
    assert_absent(tier, &key("k")).await;
}

/// The entry comes with the token that it was given.
pub async fn a_fill_under_ones_own_lease_is_stored(tier: Arc<dyn CacheTier>) {
    assert_acquired(&*tier, &key("k"), token(1)).await;
    assert!(fill(&*tier, 1, "v").await);
    let found = get(&*tier, &key("k")).await.expect("it was filled");
    assert_eq!(found.token, token(1));
    assert_holds(&*tier, &key("k"), "v").await;

    assert_acquired(&*tier, &key("waited for"), token(2)).await;
    assert_held(&*tier, &key("waited for")).await;
    assert!(shared(&*tier).fill(&key("waited for"), token(2), entry("v"), HOUR).await.expect("fill"));
    assert_holds(&*tier, &key("waited for"), "v").await;
}

/// The entry lives for its own time, not for that of the lease.
pub async fn a_fill_takes_its_time_to_live(tier: Arc<dyn CacheTier>) {
    let shared = shared(&*tier);
    assert!(matches!(acquire(&*tier, &key("stays"), token(1), SHORT).await, Acquire::Acquired));
    assert!(shared.fill(&key("stays"), token(1), entry("v"), HOUR).await.expect("fill"));
    assert_acquired(&*tier, &key("goes"), token(1)).await;
    assert!(shared.fill(&key("goes"), token(1), entry("v"), SHORT).await.expect("fill"));
    eventually_absent(&*tier, &key("goes")).await;
    assert_holds(&*tier, &key("stays"), "v").await;
}

/// And the lease stays whose it was.
pub async fn a_fill_with_another_token_is_refused(tier: Arc<dyn CacheTier>) {
    assert_acquired(&*tier, &key("k"), token(1)).await;
    assert!(!fill(&*tier, 2, "foreign").await);
    assert_absent(&*tier, &key("k")).await;
    assert_held(&*tier, &key("k")).await;
    assert!(fill(&*tier, 1, "own").await);
    assert_holds(&*tier, &key("k"), "own").await;
}

/// Not even on a key that is free.
pub async fn a_fill_without_a_lease_is_refused(tier: Arc<dyn CacheTier>) {
    assert_void(&*tier).await;
}

/// A lease is good for one fill.
pub async fn a_second_fill_is_refused(tier: Arc<dyn CacheTier>) {
    assert_acquired(&*tier, &key("k"), token(1)).await;
    assert!(fill(&*tier, 1, "first").await);
    assert!(!fill(&*tier, 1, "second").await);
    assert_holds(&*tier, &key("k"), "first").await;
}

/// Also when the key was deleted as one of several.
pub async fn a_fill_after_a_delete_is_refused(tier: Arc<dyn CacheTier>) {
    for deleted in [&keys(["k"])[..], &keys(["other", "k"])] {
        assert_acquired(&*tier, &key("k"), token(1)).await;
        tier.delete(deleted).await.expect("delete");
        assert_void(&*tier).await;
    }
}

/// Also when somebody holds a lease anew.
pub async fn a_fill_after_an_invalidation_is_refused(tier: Arc<dyn CacheTier>) {
    assert_acquired(&*tier, &key("k"), token(1)).await;
    let keys = keys(["k"]);
    shared(&*tier).invalidate(&keys, &record_of_keys(&keys), None).await.expect("invalidate");
    assert_void(&*tier).await;
    assert_acquired(&*tier, &key("k"), token(2)).await;
    assert_void(&*tier).await;
    assert!(fill(&*tier, 2, "new").await);
    assert_holds(&*tier, &key("k"), "new").await;
}

/// A pattern reaches leases as well.
pub async fn a_fill_after_a_pattern_is_refused(tier: Arc<dyn CacheTier>) {
    assert_acquired(&*tier, &key("k"), token(1)).await;
    tier.invalidate_pattern(&Pattern::new("[k]*").expect("it is valid")).await.expect("invalidate_pattern");
    assert_void(&*tier).await;
}

/// So does a clear.
pub async fn a_fill_after_a_clear_is_refused(tier: Arc<dyn CacheTier>) {
    assert_acquired(&*tier, &key("k"), token(1)).await;
    tier.clear().await.expect("clear");
    assert_void(&*tier).await;
}

/// What was set while the load ran is newer.
pub async fn a_fill_after_a_set_is_refused(tier: Arc<dyn CacheTier>) {
    assert_acquired(&*tier, &key("k"), token(1)).await;
    set(&*tier, &key("k"), "newer").await;
    assert!(!fill(&*tier, 1, "stale").await);
    assert_holds(&*tier, &key("k"), "newer").await;
}

/// What was put while the load ran is newer.
pub async fn a_fill_after_a_put_is_refused(tier: Arc<dyn CacheTier>) {
    assert_acquired(&*tier, &key("k"), token(1)).await;
    let record = Record::new(NodeId::new(7), Change::Keys([key("k")].into()));
    shared(&*tier).put(&key("k"), put(entry("newer"), HOUR), &record).await.expect("put");
    assert!(!fill(&*tier, 1, "stale").await);
    assert_holds(&*tier, &key("k"), "newer").await;
}

/// The lease was another's meanwhile, or nobody's.
pub async fn a_fill_after_the_lease_has_lapsed_is_refused(tier: Arc<dyn CacheTier>) {
    assert!(matches!(acquire(&*tier, &key("k"), token(1), SHORT).await, Acquire::Acquired));
    eventually("the lease lapses", || async {
        matches!(acquire(&*tier, &key("k"), token(2), HOUR).await, Acquire::Acquired)
    })
    .await;
    assert_void(&*tier).await;
    shared(&*tier).release(&key("k"), token(2)).await.expect("release");
    assert_void(&*tier).await;
}
