//! Several entries at a time.

use std::sync::Arc;

use cache_core::{CacheTier, Entry, Key};

use super::support::{HOUR, assert_absent, assert_holds, assert_payload, entry, get, key, keys, set};

/// More than any tier is likely to put into one command.
const MANY: usize = 2_500;

/// What `get_each` gives, which `get_many` must give as well.
async fn get_many(tier: &dyn CacheTier, keys: &[Key]) -> Vec<Option<Entry>> {
    let all = tier.get_many(keys).await.expect("get_many");
    let each = tier.get_each(keys).await.expect("get_each");
    let each: Vec<Option<Entry>> = each.into_iter().map(|found| found.expect("the key can be asked for")).collect();
    assert_eq!((all.len(), each.len()), (keys.len(), keys.len()), "one answer for each key");
    assert!(all.iter().zip(&each).all(|(one, other)| one.is_some() == other.is_some()), "{all:?} and {each:?}");
    each
}

/// The order is that of the keys, not that of the tier.
pub async fn get_many_answers_in_the_order_of_the_keys(tier: Arc<dyn CacheTier>) {
    let keys = keys(["c", "a", "d", "b"]);
    for key in &keys {
        set(&*tier, key, key.as_str().to_owned()).await;
    }
    for keys in [keys.clone(), {
        let mut reversed = keys;
        reversed.reverse();
        reversed
    }] {
        for (key, found) in keys.iter().zip(get_many(&*tier, &keys).await) {
            assert_payload(found.as_ref(), key.as_str(), key);
        }
    }
}

/// Absent keys leave their places empty.
pub async fn get_many_tells_absent_keys_from_present_ones(tier: Arc<dyn CacheTier>) {
    set(&*tier, &key("a"), "a").await;
    set(&*tier, &key("b"), "").await;
    let found = get_many(&*tier, &keys(["absent", "a", "missing", "b", "gone"])).await;
    let present: Vec<bool> = found.iter().map(Option::is_some).collect();
    assert_eq!(present, [false, true, false, true, false]);
    assert_payload(found[1].as_ref(), "a", &key("a"));
}

/// A key that is named twice is answered twice.
pub async fn get_many_answers_each_duplicate(tier: Arc<dyn CacheTier>) {
    set(&*tier, &key("a"), "a").await;
    let found = get_many(&*tier, &keys(["a", "absent", "a", "absent", "a"])).await;
    for place in [0, 2, 4] {
        assert_payload(found[place].as_ref(), "a", &key("a"));
    }
    assert!(found[1].is_none() && found[3].is_none(), "{found:?}");
}

/// Every entry is stored, over what was there.
pub async fn set_many_stores_every_entry(tier: Arc<dyn CacheTier>) {
    set(&*tier, &key("b"), "old").await;
    let entries = keys(["a", "b", "c"]).map(|key| (key.clone(), entry(key.as_str().to_owned()), HOUR));
    tier.set_many(entries.into()).await.expect("set_many");
    for key in keys(["a", "b", "c"]) {
        assert_holds(&*tier, &key, key.as_str()).await;
    }
}

/// A batch is stored in its order.
pub async fn the_last_of_several_entries_for_a_key_stays(tier: Arc<dyn CacheTier>) {
    let entries = ["first", "second", "last"].map(|payload| (key("k"), entry(payload), HOUR));
    tier.set_many(entries.into()).await.expect("set_many");
    assert_holds(&*tier, &key("k"), "last").await;
}

/// Nothing asked, nothing done, nothing wrong.
pub async fn an_empty_batch_does_nothing(tier: Arc<dyn CacheTier>) {
    set(&*tier, &key("k"), "v").await;
    assert!(get_many(&*tier, &[]).await.is_empty());
    tier.set_many(Vec::new()).await.expect("set_many");
    assert_eq!(tier.delete(&[]).await.expect("delete"), 0);
    assert_holds(&*tier, &key("k"), "v").await;
}

/// A batch has no largest size.
pub async fn thousands_of_keys_fit_into_one_batch(tier: Arc<dyn CacheTier>) {
    let keys: Vec<Key> = (0..MANY).map(|n| key(format!("k{n}"))).collect();
    let entries = keys.iter().map(|key| (key.clone(), entry(key.as_str().to_owned()), HOUR));
    tier.set_many(entries.collect()).await.expect("set_many");
    for (key, found) in keys.iter().zip(get_many(&*tier, &keys).await) {
        assert_payload(found.as_ref(), key.as_str(), key);
    }
    assert_eq!(tier.delete(&keys[1..]).await.expect("delete"), MANY as u64 - 1);
    assert!(get(&*tier, &keys[0]).await.is_some());
    assert_absent(&*tier, &keys[MANY - 1]).await;
}
