//! Removal by pattern, with [`Pattern`] as the judge.

use std::sync::Arc;

use cache_core::{CacheTier, Key, Pattern};

use super::store::unusual_keys;
use super::support::{HOUR, assert_absent, assert_holds, entry, key, keys, set};

/// How many random patterns are tried, each on a tier filled anew.
const ROUNDS: usize = 150;

fn pattern(text: impl AsRef<str>) -> Pattern {
    Pattern::new(text).expect("the suite uses valid patterns")
}

/// Stores nothing but `keys`, removes what `pattern` matches, and checks the count and each key.
async fn check(tier: &dyn CacheTier, pattern: &Pattern, keys: &[Key]) {
    tier.clear().await.expect("clear");
    let entries = keys.iter().map(|key| (key.clone(), entry("v"), HOUR));
    tier.set_many(entries.collect()).await.expect("set_many");
    let removed = tier.invalidate_pattern(pattern).await.expect("invalidate_pattern");
    let found = tier.get_many(keys).await.expect("get_many");
    for (key, found) in keys.iter().zip(&found) {
        let matches = pattern.matches(key.as_str());
        assert_eq!(found.is_none(), matches, "{key:?} with {pattern:?}: removed, matches");
    }
    let expected = keys.iter().filter(|key| pattern.matches(key.as_str())).count();
    assert_eq!(removed, expected as u64, "removed by {pattern:?} from {keys:?}");
}

/// Stars, question marks, classes, ranges, negations and escapes, as Redis has them.
pub async fn a_pattern_removes_what_matches_and_nothing_else(tier: Arc<dyn CacheTier>) {
    let keys = keys([
        "hello",
        "hallo",
        "hxllo",
        "hllo",
        "heello",
        "h*llo",
        "h?llo",
        "h[ae]llo",
        "hbllo",
        "h-llo",
        "h^llo",
        "h]llo",
        "h\\llo",
        "hello:1",
        "user:1",
        "user:1:name",
        "héllo",
        "HELLO",
        " hello",
        "hello ",
    ]);
    for text in [
        "*",
        "hello",
        "h*llo",
        "h**o",
        "*:*",
        "user:*",
        "user:?",
        "h?llo",
        "h??llo",
        "?????",
        "h[ae]llo",
        "h[a-e]llo",
        "h[e-a]llo",
        "h[^e]llo",
        "h[^a-e]llo",
        "h[ae-]llo",
        "h[a-e]?lo*",
        r"h\*llo",
        r"h\?llo",
        r"h\[ae\]llo",
        r"h[\]]llo",
        r"h[\^]llo",
        r"h[\\]llo",
        r"h\\llo",
        r"h[\-]llo",
        "h[]llo",
        "h[^]llo",
        "h]llo",
        "H*",
        "[a-z]*",
        "[^a-z]*",
        "*[1o]",
        "nothing",
        "*é*",
        "h[é]llo",
        "h[é][é]llo",
    ] {
        // A few of these are refused as malformed, which is for Pattern to decide.
        if let Ok(pattern) = Pattern::new(text) {
            check(&*tier, &pattern, &keys).await;
        }
    }
}

/// Patterns and keys of few characters, so that they often match.
pub async fn random_patterns_remove_what_matches_and_nothing_else(tier: Arc<dyn CacheTier>) {
    let mut tried = 0;
    while tried < ROUNDS {
        let text = random_text(&["a", "b", "c", ":", "*", "?", "[", "]", "[^", "-", "[a-c]", "\\", "é", "{", "!"], 8);
        if let Ok(pattern) = Pattern::new(text) {
            check(&*tier, &pattern, &random_keys()).await;
            tried += 1;
        }
    }
}

fn random_keys() -> Vec<Key> {
    let pieces = ["a", "b", "c", ":", "*", "?", "[", "]", "^", "-", "\\", "é", "{", "!"];
    let mut keys: Vec<Key> = (0..40).map(|_| key(random_text(&pieces, 5))).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn random_text(pieces: &[&str], longest: usize) -> String {
    (0..fastrand::usize(1..=longest)).map(|_| pieces[fastrand::usize(..pieces.len())]).collect()
}

/// [`Pattern::escape`] makes a pattern of any key.
pub async fn an_escaped_key_removes_only_itself(tier: Arc<dyn CacheTier>) {
    let keys = unusual_keys();
    for key in &keys {
        let escaped = pattern(Pattern::escape(key.as_str()));
        check(&*tier, &escaped, &keys).await;
    }
}

/// Nothing matches, nothing is removed, nothing is counted.
pub async fn a_pattern_that_matches_nothing_removes_nothing(tier: Arc<dyn CacheTier>) {
    assert_eq!(tier.invalidate_pattern(&pattern("*")).await.expect("invalidate_pattern"), 0);
    set(&*tier, &key("k"), "v").await;
    assert_eq!(tier.invalidate_pattern(&pattern("x*")).await.expect("invalidate_pattern"), 0);
    assert_holds(&*tier, &key("k"), "v").await;
}

/// A removal does not end after the first batch.
pub async fn a_pattern_reaches_every_one_of_thousands_of_keys(tier: Arc<dyn CacheTier>) {
    let keys: Vec<Key> = (0..3_000).map(|n| key(format!("{}:{n}", if n % 3 == 0 { "keep" } else { "drop" }))).collect();
    check(&*tier, &pattern("drop:*"), &keys).await;
}

/// The time to match does not explode.
pub async fn a_pattern_of_many_stars_ends(tier: Arc<dyn CacheTier>) {
    let key = key("a".repeat(Key::MAX_BYTES));
    check(&*tier, &pattern("a*".repeat(40) + "b"), &[key]).await;
}

/// Nothing is left, and the tier can be filled again.
pub async fn clear_removes_everything(tier: Arc<dyn CacheTier>) {
    assert_eq!(tier.clear().await.expect("clear"), 0);
    let keys = unusual_keys();
    for key in &keys {
        set(&*tier, key, "v").await;
    }
    assert_eq!(tier.clear().await.expect("clear"), keys.len() as u64);
    for key in &keys {
        assert_absent(&*tier, key).await;
    }
    set(&*tier, &key("k"), "v").await;
    assert_holds(&*tier, &key("k"), "v").await;
}
