//! The right to fill a key.

use std::sync::Arc;

use cache_core::{Acquire, CacheTier};
use tokio::task::JoinSet;

use super::support::{
    HOUR, SHORT, acquire, assert_absent, assert_acquired, assert_held, assert_holds, assert_payload, entry,
    entry_with_token, eventually, key, keys, set, shared, token,
};

/// Declare the tier with `shared`, so that its leases and its journal are tested as well.
pub async fn a_tier_not_declared_as_shared_is_not(tier: Arc<dyn CacheTier>) {
    assert!(
        tier.shared().is_none(),
        "it offers shared operations: declare it so, `conformance!(shared name: factory)`"
    );
}

/// Nobody fills the key, so the first who asks may.
pub async fn an_absent_key_is_acquired(tier: Arc<dyn CacheTier>) {
    assert_acquired(&*tier, &key("k"), token(1)).await;
    assert_acquired(&*tier, &key("other"), token(1)).await;
}

/// Readers see nothing where a lease is.
pub async fn a_lease_is_no_entry(tier: Arc<dyn CacheTier>) {
    assert_acquired(&*tier, &key("leased"), token(1)).await;
    set(&*tier, &key("set"), "v").await;
    assert_absent(&*tier, &key("leased")).await;
    let found = tier.get_many(&keys(["leased", "set"])).await.expect("get_many");
    assert!(found[0].is_none() && found[1].is_some(), "{found:?}");
}

/// Whoever comes second, also with the same token or over it, waits.
pub async fn a_leased_key_is_held(tier: Arc<dyn CacheTier>) {
    assert_acquired(&*tier, &key("k"), token(1)).await;
    assert_held(&*tier, &key("k")).await;
    for (token_given, over) in [(token(1), None), (token(2), Some(token(1))), (token(1), Some(token(1)))] {
        let outcome = shared(&*tier).acquire(&key("k"), token_given, over, HOUR).await.expect("acquire");
        assert!(matches!(outcome, Acquire::Held), "{outcome:?}");
    }
}

/// There is nothing to load where there is an entry.
pub async fn an_entry_is_found_instead(tier: Arc<dyn CacheTier>) {
    tier.set(&key("k"), entry_with_token("v", token(7)), HOUR).await.expect("set");
    let Acquire::Found(found) = acquire(&*tier, &key("k"), token(1), HOUR).await else { panic!("an entry is there") };
    assert_payload(Some(&found), "v", &key("k"));
    assert_eq!(found.token, token(7));
    assert_holds(&*tier, &key("k"), "v").await;

    let negative = entry_with_token("", token(8)).with_value(cache_core::Value::Absent);
    tier.set(&key("n"), negative, HOUR).await.expect("set");
    let Acquire::Found(found) = acquire(&*tier, &key("n"), token(1), HOUR).await else { panic!("an entry is there") };
    assert!(matches!(found.value, cache_core::Value::Absent), "{found:?}");
}

/// Who refreshes an entry claims that very one.
pub async fn an_entry_is_acquired_over_its_own_token(tier: Arc<dyn CacheTier>) {
    tier.set(&key("k"), entry_with_token("old", token(7)), HOUR).await.expect("set");
    let outcome = shared(&*tier).acquire(&key("k"), token(1), Some(token(7)), HOUR).await.expect("acquire");
    assert!(matches!(outcome, Acquire::Acquired), "{outcome:?}");
    assert_held(&*tier, &key("k")).await;
    assert!(shared(&*tier).fill(&key("k"), token(1), entry("new"), HOUR).await.expect("fill"));
    assert_holds(&*tier, &key("k"), "new").await;

    let outcome = shared(&*tier).acquire(&key("absent"), token(1), Some(token(7)), HOUR).await.expect("acquire");
    assert!(matches!(outcome, Acquire::Acquired), "an absent key is free, also for a refresher: {outcome:?}");
}

/// An entry that was replaced meanwhile is not what the refresher saw.
pub async fn an_entry_is_not_acquired_over_another_token(tier: Arc<dyn CacheTier>) {
    tier.set(&key("k"), entry_with_token("newer", token(8)), HOUR).await.expect("set");
    let outcome = shared(&*tier).acquire(&key("k"), token(1), Some(token(7)), HOUR).await.expect("acquire");
    let Acquire::Found(found) = outcome else { panic!("{outcome:?}") };
    assert_payload(Some(&found), "newer", &key("k"));
    assert_holds(&*tier, &key("k"), "newer").await;
}

/// However many ask at once.
pub async fn one_of_many_acquires_wins(tier: Arc<dyn CacheTier>) {
    for round in 0..20 {
        let mut tasks = JoinSet::new();
        for n in 0..64 {
            let tier = Arc::clone(&tier);
            tasks.spawn(async move { acquire(&*tier, &key(format!("k{round}")), token(n), HOUR).await });
        }
        let outcomes = tasks.join_all().await;
        let winners = outcomes.iter().filter(|outcome| matches!(outcome, Acquire::Acquired)).count();
        let losers = outcomes.iter().filter(|outcome| matches!(outcome, Acquire::Held)).count();
        assert_eq!((winners, losers), (1, 63));
    }
}

/// A holder that died keeps nobody waiting for ever.
pub async fn a_lease_lapses_by_itself(tier: Arc<dyn CacheTier>) {
    assert!(matches!(acquire(&*tier, &key("k"), token(1), SHORT).await, Acquire::Acquired));
    eventually("the lease lapses", || async {
        matches!(acquire(&*tier, &key("k"), token(2), HOUR).await, Acquire::Acquired)
    })
    .await;
}

/// A holder that lives keeps its lease.
pub async fn an_extended_lease_outlives_its_first_term(tier: Arc<dyn CacheTier>) {
    let shared = shared(&*tier);
    assert!(matches!(acquire(&*tier, &key("extended"), token(1), SHORT).await, Acquire::Acquired));
    assert!(shared.extend(&key("extended"), token(1), HOUR).await.expect("extend"));
    // Somebody waits for it, which must not change whose it is.
    assert_held(&*tier, &key("extended")).await;
    assert!(shared.extend(&key("extended"), token(1), HOUR).await.expect("extend"));
    // Acquired later, so that the first term of the other has passed when this one has.
    assert!(matches!(acquire(&*tier, &key("lapses"), token(1), SHORT).await, Acquire::Acquired));
    eventually("the lease lapses", || async {
        matches!(acquire(&*tier, &key("lapses"), token(2), HOUR).await, Acquire::Acquired)
    })
    .await;
    assert_held(&*tier, &key("extended")).await;
    assert!(shared.fill(&key("extended"), token(1), entry("v"), HOUR).await.expect("fill"));
}

/// Neither another's lease, nor none, nor an entry.
pub async fn a_lease_that_is_not_ones_own_is_not_extended(tier: Arc<dyn CacheTier>) {
    let shared = shared(&*tier);
    assert!(matches!(acquire(&*tier, &key("k"), token(1), SHORT).await, Acquire::Acquired));
    assert!(!shared.extend(&key("k"), token(2), HOUR).await.expect("extend"));
    assert!(!shared.extend(&key("absent"), token(2), HOUR).await.expect("extend"));
    assert_absent(&*tier, &key("absent")).await;
    tier.set(&key("entry"), entry_with_token("v", token(2)), HOUR).await.expect("set");
    assert!(!shared.extend(&key("entry"), token(2), SHORT).await.expect("extend"));
    eventually("the lease lapses", || async {
        matches!(acquire(&*tier, &key("k"), token(3), HOUR).await, Acquire::Acquired)
    })
    .await;
    assert_holds(&*tier, &key("entry"), "v").await;
}

/// A holder whose load failed lets the next one try.
pub async fn a_released_key_is_free(tier: Arc<dyn CacheTier>) {
    assert_acquired(&*tier, &key("k"), token(1)).await;
    shared(&*tier).release(&key("k"), token(1)).await.expect("release");
    assert_absent(&*tier, &key("k")).await;
    assert_acquired(&*tier, &key("k"), token(2)).await;
}

/// Neither another's lease, nor the entry that it has become.
pub async fn only_ones_own_lease_is_released(tier: Arc<dyn CacheTier>) {
    let shared = shared(&*tier);
    shared.release(&key("absent"), token(1)).await.expect("release");
    assert_acquired(&*tier, &key("k"), token(1)).await;
    shared.release(&key("k"), token(2)).await.expect("release");
    assert_held(&*tier, &key("k")).await;
    assert!(shared.fill(&key("k"), token(1), entry_with_token("v", token(1)), HOUR).await.expect("fill"));
    shared.release(&key("k"), token(1)).await.expect("release");
    assert_holds(&*tier, &key("k"), "v").await;
}

/// A lease counts like an entry, by key, by pattern and by clear.
pub async fn a_lease_is_counted_when_it_is_removed(tier: Arc<dyn CacheTier>) {
    for leased in keys(["a", "b1", "b2", "c"]) {
        assert_acquired(&*tier, &leased, token(1)).await;
    }
    assert_eq!(tier.delete(&keys(["a", "absent"])).await.expect("delete"), 1);
    let pattern = cache_core::Pattern::new("b*").expect("it is valid");
    assert_eq!(tier.invalidate_pattern(&pattern).await.expect("invalidate_pattern"), 2);
    assert_eq!(tier.clear().await.expect("clear"), 1);
    assert_acquired(&*tier, &key("c"), token(2)).await;
}
