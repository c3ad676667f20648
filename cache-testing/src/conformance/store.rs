//! One entry at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::Timestamp;
use cache_core::coherence::Position;
use cache_core::{CacheTier, Entry, Key, TagSlot, Tags, Value};

use super::support::{HOUR, assert_absent, assert_holds, entry, get, key, keys, set, token};

/// A key that was never set holds nothing.
pub async fn an_absent_key_holds_nothing(tier: Arc<dyn CacheTier>) {
    assert_absent(&*tier, &key("absent")).await;
}

/// What was set is read, and reading it takes nothing away.
pub async fn an_entry_is_read_as_often_as_wanted(tier: Arc<dyn CacheTier>) {
    set(&*tier, &key("k"), "v").await;
    for _ in 0..3 {
        assert_holds(&*tier, &key("k"), "v").await;
    }
}

/// A key holds one entry: the last.
pub async fn a_later_entry_replaces_an_earlier_one(tier: Arc<dyn CacheTier>) {
    for payload in ["first, and longer", "second", ""] {
        set(&*tier, &key("k"), payload).await;
        assert_holds(&*tier, &key("k"), payload).await;
    }
    assert_eq!(tier.delete(&keys(["k"])).await.expect("delete"), 1);
    assert_absent(&*tier, &key("k")).await;
}

/// What was deleted is not read, and can be set again.
pub async fn a_deleted_entry_is_gone(tier: Arc<dyn CacheTier>) {
    set(&*tier, &key("k"), "old").await;
    set(&*tier, &key("other"), "stays").await;
    tier.delete(&keys(["k"])).await.expect("delete");
    assert_absent(&*tier, &key("k")).await;
    assert_holds(&*tier, &key("other"), "stays").await;
    set(&*tier, &key("k"), "new").await;
    assert_holds(&*tier, &key("k"), "new").await;
}

/// An absent key counts nothing, and a key that is named twice counts once.
pub async fn delete_counts_what_was_there(tier: Arc<dyn CacheTier>) {
    for present in keys(["a", "b", "c"]) {
        set(&*tier, &present, "v").await;
    }
    assert_eq!(tier.delete(&keys(["a", "absent", "b", "a"])).await.expect("delete"), 2);
    assert_eq!(tier.delete(&keys(["a", "b"])).await.expect("delete"), 0);
    assert_eq!(tier.delete(&keys(["c"])).await.expect("delete"), 1);
}

/// Any bytes are a value.
pub async fn binary_values_survive(tier: Arc<dyn CacheTier>) {
    let every_byte: Vec<u8> = (0..=255).collect();
    for payload in [every_byte, b"\0".to_vec(), b"\r\n".to_vec(), b"\xca\xc3\x01V".to_vec(), vec![0xff; 100]] {
        set(&*tier, &key("k"), payload.clone()).await;
        assert_holds(&*tier, &key("k"), payload).await;
    }
}

/// A value of no bytes is neither a miss nor a negative entry.
pub async fn an_empty_value_is_a_value(tier: Arc<dyn CacheTier>) {
    set(&*tier, &key("k"), "").await;
    assert_holds(&*tier, &key("k"), "").await;
}

/// Large values come back whole.
pub async fn a_value_of_a_mebibyte_survives(tier: Arc<dyn CacheTier>) {
    let payload: Bytes = (0..1_u32 << 20).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    set(&*tier, &key("large"), payload.clone()).await;
    assert_holds(&*tier, &key("large"), payload).await;
}

/// That the source has no value is something known.
pub async fn a_negative_entry_is_not_a_miss(tier: Arc<dyn CacheTier>) {
    let absent = entry("").with_value(Value::Absent);
    tier.set(&key("k"), absent, HOUR).await.expect("set");
    let found = get(&*tier, &key("k")).await.expect("a negative entry is an entry");
    assert!(matches!(found.value, Value::Absent), "{found:?}");
    assert_eq!(tier.delete(&keys(["k"])).await.expect("delete"), 1);
}

/// All fields but `as_of`, `tag_sequence` and `size`, which far tiers do not keep.
pub async fn everything_that_the_protocol_needs_of_an_entry_survives(tier: Arc<dyn CacheTier>) {
    let stored = [plain_entry(), rich_entry(), rich_entry().with_value(Value::Absent)];
    for (n, stored) in stored.into_iter().enumerate() {
        let key = key(format!("k{n}"));
        tier.set(&key, stored.clone(), HOUR).await.expect("set");
        assert_same(&get(&*tier, &key).await.expect("it was set"), &stored);
    }
}

fn plain_entry() -> Entry {
    Entry::new(Value::Encoded { bytes: Bytes::new(), codec: 0 }, Timestamp::ZERO, Timestamp::ZERO)
}

fn rich_entry() -> Entry {
    let mut entry = entry("payload");
    entry.value = Value::Encoded { bytes: Bytes::from_static(b"payload"), codec: 255 };
    entry.token = token(0xab);
    entry.fresh_until = Timestamp::from_millis(1_700_000_060_123);
    entry.expires = Timestamp::from_millis(u64::MAX - 1);
    entry.cost = Duration::from_millis(1_234);
    entry.birth = Position::new(1_699_999_999_999, 42);
    entry.schema = u32::MAX;
    entry.tags = Tags::from_slots(vec![TagSlot::new(0), TagSlot::new(65_535)]);
    entry
}

fn assert_same(found: &Entry, stored: &Entry) {
    match (&found.value, &stored.value) {
        (Value::Absent, Value::Absent) => {}
        (Value::Encoded { bytes, codec }, Value::Encoded { bytes: stored_bytes, codec: stored_codec }) => {
            assert_eq!((bytes, codec), (stored_bytes, stored_codec));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(found.token, stored.token);
    assert_eq!(found.created, stored.created);
    assert_eq!(found.fresh_until, stored.fresh_until);
    assert_eq!(found.expires, stored.expires);
    assert_eq!(found.cost, stored.cost);
    assert_eq!(found.birth, stored.birth);
    assert_eq!(found.schema, stored.schema);
    assert_eq!(found.tags, stored.tags);
}

/// Whatever [`Key`] allows works as a key.
pub async fn unusual_keys_are_keys_like_others(tier: Arc<dyn CacheTier>) {
    let keys = unusual_keys();
    for key in &keys {
        set(&*tier, key, key.as_str().to_owned()).await;
    }
    for key in &keys {
        assert_holds(&*tier, key, key.as_str()).await;
    }
    let found = tier.get_many(&keys).await.expect("get_many");
    assert!(found.iter().all(Option::is_some), "{found:?}");
    for key in &keys {
        assert_eq!(tier.delete(std::slice::from_ref(key)).await.expect("delete"), 1, "{key:?}");
        assert_absent(&*tier, key).await;
    }
}

pub(super) fn unusual_keys() -> Vec<Key> {
    let long = ["k".repeat(Key::MAX_BYTES), "é".repeat(Key::MAX_BYTES / 2)];
    let short = [
        " ",
        "a b",
        " a",
        "a ",
        ":",
        "::",
        "a:b:c",
        "{",
        "}",
        "{}",
        "{a}b",
        "a{b",
        "!",
        "{cache}!journal",
        "cache:k",
        "*",
        "**",
        "?",
        "[",
        "]",
        "[a-z]",
        "[^a]",
        "\\",
        "\\*",
        "a\\",
        "\"",
        "'",
        "a'b\"c",
        "%00",
        "$",
        "$5",
        "+OK",
        "-ERR",
        "é",
        "日本語",
        "🦀",
        "e\u{301}",
        "\u{a0}",
        "\u{feff}",
        "0",
        "-1",
        "null",
        "lease ",
        "..",
        "/",
        "a/b",
        "key=value&x=y",
    ];
    short.into_iter().map(key).chain(long.iter().map(key)).collect()
}

/// No two keys are one: neither by case nor by blanks nor by how a letter is composed.
pub async fn similar_keys_are_kept_apart(tier: Arc<dyn CacheTier>) {
    let similar = keys(["k", "K", "k ", " k", "k:", ":k", "kk", "é", "e\u{301}", "1", "01", "1.0", "k\\", "k*"]);
    for key in &similar {
        set(&*tier, key, key.as_str().to_owned()).await;
    }
    assert_eq!(tier.delete(&keys(["k"])).await.expect("delete"), 1);
    for key in &similar[1..] {
        assert_holds(&*tier, key, key.as_str()).await;
    }
}

/// A tier that was just used is able to serve.
pub async fn a_tier_that_works_answers_a_ping(tier: Arc<dyn CacheTier>) {
    tier.ping().await.expect("ping");
    set(&*tier, &key("k"), "v").await;
    tier.ping().await.expect("ping");
}

/// A figure that the tier gives is exact at rest, as long as nothing has been evicted.
pub async fn usage_is_right_where_it_is_known(tier: Arc<dyn CacheTier>) {
    let entries = |expected: u64| {
        let usage = tier.usage();
        assert!(usage.entries.is_none_or(|entries| entries == expected), "{expected} entries, and {usage:?}");
        assert!(usage.evictions.is_none_or(|evictions| evictions == 0), "{usage:?}");
        usage.bytes
    };
    entries(0);
    for n in 0..10 {
        set(&*tier, &key(format!("k{n}")), vec![0; 1_000]).await;
    }
    set(&*tier, &key("k0"), vec![0; 1_000]).await;
    let full = entries(10);
    assert!(full.is_none_or(|bytes| bytes >= 10_000), "{full:?} bytes for 10 values of 1,000");
    tier.delete(&keys(["k0", "k1"])).await.expect("delete");
    let less = entries(8);
    assert!(less <= full, "{less:?} bytes after a delete, {full:?} before");
    tier.clear().await.expect("clear");
    entries(0);
}
