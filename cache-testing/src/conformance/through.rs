//! Writes that are carried through to the source under a fence, and whose value is then stored in its place.

use std::sync::Arc;

use cache_core::coherence::BusMessage;
use cache_core::{Acquire, CacheTier, Key, PutOutcome};

use super::support::{
    HOUR, SHORT, acquire, assert_absent, assert_acquired, assert_holds, connect, entry, eventually, fence, get,
    is_fenced, key, keys, lift, next, put, record_of_keys, set, shared, stored, token,
};

async fn enclose(tier: &dyn CacheTier, key: &Key, fence: u8, lease: u8) -> bool {
    shared(tier).enclose(key, token(fence), token(lease), HOUR).await.expect("enclose")
}

async fn conclude(tier: &dyn CacheTier, key: &Key, fence: u8, lease: u8) -> PutOutcome {
    let record = record_of_keys(std::slice::from_ref(key));
    shared(tier).conclude(key, put(entry("new"), HOUR), &record, token(fence), token(lease)).await.expect("conclude")
}

/// Checks that a write that was concluded has stored nothing, and has lifted its fence.
async fn assert_not_stored(tier: &dyn CacheTier, key: &Key, outcome: PutOutcome) {
    assert!(matches!(outcome, PutOutcome::Fenced(_)), "{outcome:?}");
    assert_absent(tier, key).await;
    assert_acquired(tier, key, token(98)).await;
}

/// The value takes the place of lease and fence in one step, with its record.
pub async fn a_write_under_its_only_fence_is_stored_and_the_fence_is_lifted(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    set(&*tier, &keys[0], "old").await;
    let mut connection = connect(&*tier).await;
    let fenced = fence(&*tier, &keys, 1, HOUR).await;
    assert!(enclose(&*tier, &keys[0], 1, 2).await);
    assert_absent(&*tier, &keys[0]).await;
    let appended = stored(conclude(&*tier, &keys[0], 1, 2).await);
    assert_eq!(appended.previous, fenced.position);
    let found = get(&*tier, &keys[0]).await.expect("it is stored");
    assert_eq!(found.birth, entry("new").birth, "a tag may have been invalidated since");
    assert_holds(&*tier, &keys[0], "new").await;
    next(&mut *connection).await;
    let BusMessage::Appended { position, .. } = next(&mut *connection).await else { panic!("a record") };
    assert_eq!(position, appended.position);
    assert!(!is_fenced(&*tier, &keys[0]).await);
}

/// To them the key is fenced: its value is about to change.
pub async fn readers_are_given_no_lease_while_a_write_is_enclosed(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    fence(&*tier, &keys, 1, HOUR).await;
    assert!(enclose(&*tier, &keys[0], 1, 2).await);
    assert!(matches!(acquire(&*tier, &keys[0], token(3), HOUR).await, Acquire::Fenced | Acquire::Held));
    stored(conclude(&*tier, &keys[0], 1, 2).await);
}

/// Neither without a fence, nor under that of another, nor under two.
pub async fn a_key_that_is_not_fenced_by_the_writer_alone_is_not_enclosed(tier: Arc<dyn CacheTier>) {
    let keys = keys(["none", "another's", "two"]);
    fence(&*tier, &keys[1..], 1, HOUR).await;
    fence(&*tier, &keys[2..], 2, HOUR).await;
    for key in &keys {
        assert!(!enclose(&*tier, key, 2, 3).await, "{key:?}");
    }
}

/// Somebody else is about to store something there.
pub async fn a_key_that_is_not_empty_is_not_enclosed(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    fence(&*tier, &keys, 1, HOUR).await;
    assert!(enclose(&*tier, &keys[0], 1, 2).await);
    assert!(!enclose(&*tier, &keys[0], 1, 3).await, "the lease of the first is there");
    stored(conclude(&*tier, &keys[0], 1, 2).await);
}

/// Nobody knows which of the two the source has carried out last.
pub async fn nothing_is_stored_if_another_write_has_begun(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    fence(&*tier, &keys, 1, HOUR).await;
    assert!(enclose(&*tier, &keys[0], 1, 2).await);
    fence(&*tier, &keys, 3, HOUR).await;
    let outcome = conclude(&*tier, &keys[0], 1, 2).await;
    assert!(matches!(outcome, PutOutcome::Fenced(_)), "{outcome:?}");
    assert!(is_fenced(&*tier, &keys[0]).await, "the other goes on");
    lift(&*tier, &keys, 3).await;
    assert_absent(&*tier, &keys[0]).await;
    assert_acquired(&*tier, &keys[0], token(4)).await;
}

/// Its holder may have died, and the write that was concluded may have held for longer.
pub async fn another_fence_lapses_though_the_write_was_concluded(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    fence(&*tier, &keys, 1, HOUR).await;
    assert!(enclose(&*tier, &keys[0], 1, 2).await);
    fence(&*tier, &keys, 3, SHORT).await;
    let outcome = conclude(&*tier, &keys[0], 1, 2).await;
    assert!(matches!(outcome, PutOutcome::Fenced(_)), "{outcome:?}");
    eventually("it lapses", || async { !is_fenced(&*tier, &keys[0]).await }).await;
}

/// Even if it has ended by then.
pub async fn nothing_is_stored_if_another_write_came_in_between(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    fence(&*tier, &keys, 1, HOUR).await;
    assert!(enclose(&*tier, &keys[0], 1, 2).await);
    fence(&*tier, &keys, 3, HOUR).await;
    lift(&*tier, &keys, 3).await;
    let outcome = conclude(&*tier, &keys[0], 1, 2).await;
    assert_not_stored(&*tier, &keys[0], outcome).await;
}

/// Whatever removes the key takes the lease away.
pub async fn nothing_is_stored_if_the_key_was_invalidated_in_between(tier: Arc<dyn CacheTier>) {
    let all = keys(["by key", "by delete", "by pattern", "by set", "by clear"]);
    for key in &all {
        let one = std::slice::from_ref(key);
        fence(&*tier, one, 1, HOUR).await;
        assert!(enclose(&*tier, key, 1, 2).await);
        match key.as_str() {
            "by key" => drop(shared(&*tier).invalidate(one, &record_of_keys(one), None).await.expect("invalidate")),
            "by set" => {
                let set = shared(&*tier).put(key, put(entry("set"), HOUR), &record_of_keys(one)).await.expect("put");
                assert!(matches!(set, PutOutcome::Fenced(_)), "{set:?}");
            }
            "by delete" => drop(tier.delete(one).await.expect("delete")),
            "by pattern" => {
                let pattern = cache_core::Pattern::new("by pat*").expect("it is valid");
                tier.invalidate_pattern(&pattern).await.expect("invalidate_pattern");
            }
            _ => drop(tier.clear().await.expect("clear")),
        }
        let outcome = conclude(&*tier, key, 1, 2).await;
        assert_not_stored(&*tier, key, outcome).await;
    }
}

/// The writer stood still, and others may have loaded and changed the value since.
pub async fn nothing_is_stored_once_the_lease_has_lapsed(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    fence(&*tier, &keys, 1, HOUR).await;
    assert!(shared(&*tier).enclose(&keys[0], token(1), token(2), SHORT).await.expect("enclose"));
    // Another lease fits in once it has.
    eventually("the lease lapses", || async { enclose(&*tier, &keys[0], 1, 3).await }).await;
    let outcome = conclude(&*tier, &keys[0], 1, 2).await;
    assert_not_stored(&*tier, &keys[0], outcome).await;
}

/// A tier that cannot enclose, and one that did not, ends a write like any other invalidation.
pub async fn a_write_that_was_not_enclosed_is_a_removal_and_a_record(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    fence(&*tier, &keys, 1, HOUR).await;
    let before = connect(&*tier).await.last_position().await.expect("last_position");
    let outcome = conclude(&*tier, &key("k"), 1, 2).await;
    let PutOutcome::Fenced(appended) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(appended.previous, before);
    assert_not_stored(&*tier, &keys[0], outcome).await;
}

/// Then whatever is written through is stored nowhere, and readers load it.
pub async fn a_tier_that_encloses_no_writes_never_does(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    fence(&*tier, &keys, 1, HOUR).await;
    assert!(!enclose(&*tier, &keys[0], 1, 2).await, "the tier encloses: declare that it does, so that it is tested");
}
