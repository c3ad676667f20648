//! Fences: nothing is stored under a key whose value is about to change in the source.

use std::sync::Arc;

use cache_core::coherence::{BusMessage, Change};
use cache_core::{CacheTier, PutOutcome};

use super::support::{
    HOUR, SHORT, assert_absent, assert_acquired, connect, entry, eventually, fence, is_fenced, keys, lift, next, put,
    record_of_keys, set, shared, token,
};

/// Neither by a lease that is older, nor by one that is newer, nor by a `set`.
pub async fn nothing_is_stored_under_a_fence(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    let k = &keys[0];
    assert_acquired(&*tier, k, token(1)).await;
    fence(&*tier, &keys, 2, HOUR).await;
    assert!(!shared(&*tier).fill(k, token(1), entry("old"), HOUR).await.expect("fill"));
    assert!(!shared(&*tier).extend(k, token(1), HOUR).await.expect("extend"));
    assert!(is_fenced(&*tier, k).await);
    let outcome = shared(&*tier).put(k, put(entry("set"), HOUR), &record_of_keys(&keys)).await.expect("put");
    assert!(matches!(outcome, PutOutcome::Fenced(_)), "{outcome:?}");
    assert_absent(&*tier, k).await;
    assert!(tier.get_many(&keys).await.expect("get_many")[0].is_none());
    lift(&*tier, &keys, 2).await;
    assert_acquired(&*tier, k, token(3)).await;
}

/// A process that dies in between has made its record, and what it was about to change is gone.
pub async fn a_fence_removes_what_is_there_and_is_a_record(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let keys = keys(["entry", "lease", "absent"]);
    set(&*tier, &keys[0], "v").await;
    assert_acquired(&*tier, &keys[1], token(1)).await;
    let appended = fence(&*tier, &keys, 2, HOUR).await;
    assert_eq!(appended.removed, [true, true, false]);
    let BusMessage::Appended { position, record, .. } = next(&mut *connection).await else { panic!("a record") };
    assert_eq!((position, record.change), (appended.position, Change::Fence(keys.clone().into(), HOUR)));
    assert_absent(&*tier, &keys[0]).await;
    assert_eq!(lift(&*tier, &keys, 2).await.removed, [false, false, false], "a fence is nothing that was stored");
}

/// Other invalidations do not know when the write ends.
pub async fn only_its_holder_lifts_a_fence(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    fence(&*tier, &keys, 1, HOUR).await;
    shared(&*tier).invalidate(&keys, &record_of_keys(&keys), None).await.expect("invalidate");
    lift(&*tier, &keys, 2).await;
    shared(&*tier).release(&keys[0], token(1)).await.expect("release");
    tier.delete(&keys).await.expect("delete");
    assert_eq!(tier.clear().await.expect("clear"), 0, "nothing was stored");
    assert!(is_fenced(&*tier, &keys[0]).await);
    lift(&*tier, &keys, 1).await;
    assert!(!is_fenced(&*tier, &keys[0]).await);
}

/// Two writes of one key may be under way at once.
pub async fn a_key_is_fenced_until_the_last_fence_is_lifted(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    for holder in [1, 2, 3, 2] {
        fence(&*tier, &keys, holder, HOUR).await;
    }
    for holder in [2, 3, 1] {
        assert!(is_fenced(&*tier, &keys[0]).await);
        lift(&*tier, &keys, holder).await;
    }
    assert!(!is_fenced(&*tier, &keys[0]).await);
}

/// Its holder may have died.
pub async fn a_fence_lapses_unless_it_is_renewed(tier: Arc<dyn CacheTier>) {
    let keys = keys(["lapses", "renewed", "held by another"]);
    fence(&*tier, &keys, 1, SHORT).await;
    fence(&*tier, &keys[1..2], 1, HOUR).await;
    fence(&*tier, &keys[2..], 2, HOUR).await;
    eventually("it lapses", || async { !is_fenced(&*tier, &keys[0]).await }).await;
    assert!(is_fenced(&*tier, &keys[1]).await);
    // What has lapsed beside another fence is left out when the key is fenced again.
    fence(&*tier, &keys[2..], 3, HOUR).await;
    for holder in [2, 3] {
        assert!(is_fenced(&*tier, &keys[2]).await);
        lift(&*tier, &keys[2..], holder).await;
    }
    assert!(!is_fenced(&*tier, &keys[2]).await);
}

/// Its holder may have died, and another write of the key gone on for longer.
pub async fn a_fence_lapses_though_one_that_held_for_longer_was_lifted(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    fence(&*tier, &keys, 2, HOUR).await;
    fence(&*tier, &keys, 1, SHORT).await;
    lift(&*tier, &keys, 2).await;
    eventually("it lapses", || async { !is_fenced(&*tier, &keys[0]).await }).await;
}
