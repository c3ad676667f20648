//! The rules that a joining node must know: what patterns, tags and clears have voided.

use std::sync::Arc;

use cache_core::coherence::{BusConnection, BusMessage, Change, NodeId, Position, Record, RuleSet};
use cache_core::{CacheTier, Pattern, TagSlot, Tags};

use super::support::{connect, next, shared};

async fn append(tier: &dyn CacheTier, change: Change) -> Position {
    let record = Record::new(NodeId::new(7), change);
    shared(tier).invalidate(&[], &record, None).await.expect("invalidate").position
}

async fn rules(connection: &mut dyn BusConnection) -> RuleSet {
    connection.rules().await.expect("rules")
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).expect("the suite uses valid patterns")
}

fn tags(numbers: &[u16]) -> Tags {
    Tags::from_slots(numbers.iter().copied().map(TagSlot::new).collect())
}

/// Nobody remembers what was void before the rules were there, so all of it is; and that is a record like others.
pub async fn rules_begin_with_a_record(tier: Arc<dyn CacheTier>) {
    let mut connection = shared(&*tier).bus().connect().await.expect("the bus can be connected to");
    connection.begin(Position::START).await.expect("begin");
    let begun = rules(&mut *connection).await;
    assert!(begun.cleared > Position::START && begun.patterns.is_empty() && begun.tags.is_empty(), "{begun:?}");
    assert_eq!(connection.last_position().await.expect("last_position"), begun.cleared);
    let BusMessage::Appended { previous: Position::START, position, record, .. } = next(&mut *connection).await else {
        panic!("the beginning is announced as the first record")
    };
    assert_eq!((position, record.change), (begun.cleared, Change::Begin));
    assert_eq!(rules(&mut *connect(&*tier).await).await.cleared, begun.cleared, "they begin once");
}

/// With the position of the last record that gave it.
pub async fn each_rule_is_kept_with_its_position(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let cleared = rules(&mut *connection).await.cleared;
    append(&*tier, Change::Pattern(pattern("user:*"))).await;
    append(&*tier, Change::Tags(tags(&[7, 65_535]))).await;
    let other = append(&*tier, Change::Pattern(pattern(r"h[^\]]\*{x}é"))).await;
    let user = append(&*tier, Change::Pattern(pattern("user:*"))).await;
    let tag = append(&*tier, Change::Tags(tags(&[7]))).await;

    let mut found = rules(&mut *connection).await;
    assert_eq!(found.cleared, cleared);
    found.patterns.sort_by_key(|(_, position)| *position);
    assert_eq!(found.patterns, [(pattern(r"h[^\]]\*{x}é"), other), (pattern("user:*"), user)]);
    found.tags.sort_by_key(|(_, position)| *position);
    assert_eq!(found.tags.len(), 2);
    assert!(found.tags[0].0 == TagSlot::new(65_535) && found.tags[0].1 < other, "{found:?}");
    assert_eq!(found.tags[1], (TagSlot::new(7), tag));
}

/// What came before a clear is void in any case.
pub async fn a_clear_takes_the_place_of_the_rules_before(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    append(&*tier, Change::Pattern(pattern("a*"))).await;
    append(&*tier, Change::Tags(tags(&[1]))).await;
    let cleared = append(&*tier, Change::Clear).await;
    let later = append(&*tier, Change::Pattern(pattern("b*"))).await;
    let found = rules(&mut *connection).await;
    assert_eq!(found.cleared, cleared);
    assert_eq!(found.patterns, [(pattern("b*"), later)]);
    assert!(found.tags.is_empty(), "{found:?}");
}

/// Removing entries removes no rule.
pub async fn rules_outlive_a_clear_of_the_entries(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let before = rules(&mut *connection).await.cleared;
    let position = append(&*tier, Change::Pattern(pattern("*"))).await;
    tier.clear().await.expect("clear");
    tier.invalidate_pattern(&Pattern::all()).await.expect("invalidate_pattern");
    let found = rules(&mut *connection).await;
    assert_eq!((found.cleared, found.patterns), (before, vec![(pattern("*"), position)]));
}

/// Once everything is removed that it covers, and every node hears of it.
pub async fn a_swept_pattern_is_forgotten(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let swept = append(&*tier, Change::Pattern(pattern("a*"))).await;
    let kept = append(&*tier, Change::Pattern(pattern("b*"))).await;
    shared(&*tier).swept(&pattern("a*"), swept).await.expect("swept");
    assert_eq!(rules(&mut *connection).await.patterns, [(pattern("b*"), kept)]);
    next(&mut *connection).await;
    next(&mut *connection).await;
    let BusMessage::Swept(announced, position) = next(&mut *connection).await else { panic!("the sweep is announced") };
    assert_eq!((announced, position), (pattern("a*"), swept));
}

/// The sweep of the earlier record says nothing about entries that were stored after it.
pub async fn a_pattern_that_was_given_again_is_not_forgotten(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let first = append(&*tier, Change::Pattern(pattern("a*"))).await;
    let again = append(&*tier, Change::Pattern(pattern("a*"))).await;
    shared(&*tier).swept(&pattern("a*"), first).await.expect("swept");
    assert_eq!(rules(&mut *connection).await.patterns, [(pattern("a*"), again)]);
    shared(&*tier).swept(&pattern("a*"), again).await.expect("swept");
    assert!(rules(&mut *connection).await.patterns.is_empty());
    shared(&*tier).swept(&pattern("never given"), again).await.expect("swept");
}

/// Every entry that it voids has run out.
pub async fn a_tags_rule_is_forgotten_unless_it_was_given_again(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let first = append(&*tier, Change::Tags(tags(&[7, 9]))).await;
    let again = append(&*tier, Change::Tags(tags(&[9]))).await;
    connection.forget(&[(TagSlot::new(7), first), (TagSlot::new(9), first)]).await.expect("forget");
    let found = rules(&mut *connection).await;
    assert_eq!(found.tags, [(TagSlot::new(9), again)]);
    assert!(found.cleared > Position::START);
}
