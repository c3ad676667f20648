//! Claims: one of many replaces an entry that the others go on reading.

use std::sync::Arc;
use std::time::Duration;

use cache_core::coherence::BusMessage;
use cache_core::{CacheTier, Claim};

use super::support::{
    HOUR, SHORT, assert_absent, assert_acquired, assert_holds, connect, entry_with_token, eventually, key, keys, next,
    record_of_keys, shared, token,
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

/// A load may take long, and may be given up.
pub async fn a_claim_lasts_as_long_as_it_is_extended_and_ends_when_it_is_given_back(tier: Arc<dyn CacheTier>) {
    hold(&*tier, "stale", 1).await;
    assert_eq!(claim(&*tier, 1, SHORT).await, Claim::Claimed);
    assert!(shared(&*tier).extend_claim(&key("k"), token(1), HOUR).await.expect("extend_claim"));
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(claim(&*tier, 1, HOUR).await, Claim::Taken);
    assert!(shared(&*tier).end_claim(&key("k"), token(1), Duration::ZERO).await.expect("end_claim"));
    assert_eq!(claim(&*tier, 1, HOUR).await, Claim::Claimed);
    assert_holds(&*tier, &key("k"), "stale").await;
    assert!(!shared(&*tier).extend_claim(&key("k"), token(2), HOUR).await.expect("extend_claim"), "another entry");
    assert!(!shared(&*tier).end_claim(&key("none"), token(1), HOUR).await.expect("end_claim"), "no entry");
}

/// On no node: the source is to be left alone.
pub async fn nobody_claims_before_the_throttle_of_one_that_failed_has_passed(tier: Arc<dyn CacheTier>) {
    hold(&*tier, "stale", 1).await;
    assert_eq!(claim(&*tier, 1, HOUR).await, Claim::Claimed);
    assert!(shared(&*tier).end_claim(&key("k"), token(1), HOUR).await.expect("end_claim"));
    let Claim::Throttled(left) = claim(&*tier, 1, HOUR).await else { panic!("the last one failed") };
    assert!(left <= HOUR && left > HOUR / 2, "{left:?}");
    assert_holds(&*tier, &key("k"), "stale").await;
    assert!(shared(&*tier).end_claim(&key("k"), token(1), SHORT).await.expect("end_claim"));
    eventually("it passes", || async { claim(&*tier, 1, HOUR).await == Claim::Claimed }).await;
    assert_eq!(claim(&*tier, 1, HOUR).await, Claim::Taken, "the next one has not failed");
    assert!(refill(&*tier, 1, "fresh", 2).await);
}

/// However it ends. One that nobody waits for costs no message.
pub async fn the_end_of_a_claim_is_announced_if_someone_waited(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    hold(&*tier, "stale", 1).await;
    for (waited, throttle) in [(false, None), (true, Some(SHORT)), (true, Some(Duration::ZERO)), (true, None)] {
        eventually("the claim is free", || async { claim(&*tier, 1, HOUR).await == Claim::Claimed }).await;
        if waited {
            assert_eq!(claim(&*tier, 1, HOUR).await, Claim::Taken);
        }
        match throttle {
            Some(throttle) => {
                assert!(shared(&*tier).end_claim(&key("k"), token(1), throttle).await.expect("end_claim"))
            }
            None => assert!(refill(&*tier, 1, "again", 1).await),
        }
        if waited {
            let message = next(&mut *connection).await;
            assert!(matches!(&message, BusMessage::LeaseEnded(ended) if *ended == key("k")), "{message:?}");
        }
    }
    connection.last_position().await.expect("last_position");
    assert!(connection.try_next().is_none());
}
