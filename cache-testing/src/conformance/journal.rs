//! The ordered record of invalidations.

use std::sync::Arc;

use cache_core::coherence::{Change, NodeId, Position, Record};
use cache_core::{Appended, CacheTier, Key, Pattern, TagSlot, Tags};

use super::store::unusual_keys;
use super::support::{
    HOUR, assert_absent, assert_acquired, assert_holds, connect, entry, eventually_absent, get, key, keys, put,
    record_of_keys, set, shared, stored, token,
};

fn record(change: Change) -> Record {
    Record::new(NodeId::new(u64::MAX), change)
}

async fn append(tier: &dyn CacheTier, record: &Record) -> Appended {
    shared(tier).invalidate(&[], record, None).await.expect("invalidate")
}

/// Value and record are one step, so the position says exactly since when the value holds.
pub async fn a_put_entry_is_born_at_its_record(tier: Arc<dyn CacheTier>) {
    let shared = shared(&*tier);
    let mut value = entry("v");
    value.token = token(5);
    for previous_birth in [Position::START, Position::new(u64::MAX, u64::MAX)] {
        value.birth = previous_birth;
        let record = record_of_keys(&keys(["k"]));
        let appended = stored(shared.put(&key("k"), put(value.clone(), HOUR), &record).await.expect("put"));
        let found = get(&*tier, &key("k")).await.expect("it was put");
        assert_eq!(found.birth, appended.position);
        assert_eq!((found.token, found.fresh_until), (token(5), value.fresh_until), "nothing else has changed");
        assert_holds(&*tier, &key("k"), "v").await;
    }
    let record = record_of_keys(&keys(["short"]));
    shared.put(&key("short"), put(value, super::support::SHORT), &record).await.expect("put");
    eventually_absent(&*tier, &key("short")).await;
}

/// An entry and a lease count; a key that is absent, or named before, does not.
pub async fn an_invalidation_tells_which_keys_it_removed(tier: Arc<dyn CacheTier>) {
    set(&*tier, &key("entry"), "v").await;
    set(&*tier, &key("other"), "stays").await;
    assert_acquired(&*tier, &key("lease"), token(1)).await;
    let keys = keys(["absent", "entry", "lease", "entry"]);
    let appended = shared(&*tier).invalidate(&keys, &record_of_keys(&keys), None).await.expect("invalidate");
    assert_eq!(appended.removed, [false, true, true, false]);
    assert_absent(&*tier, &key("entry")).await;
    assert_acquired(&*tier, &key("lease"), token(2)).await;
    assert_holds(&*tier, &key("other"), "stays").await;
}

/// A record of a pattern or of everything is appended first, and the scan comes after it.
pub async fn a_record_without_keys_removes_nothing(tier: Arc<dyn CacheTier>) {
    set(&*tier, &key("k"), "v").await;
    let appended = append(&*tier, &record(Change::Clear)).await;
    assert!(appended.removed.is_empty(), "{appended:?}");
    assert_holds(&*tier, &key("k"), "v").await;
}

/// Positions only grow, and a gap can be told by the link to the record before.
pub async fn each_record_names_the_one_before(tier: Arc<dyn CacheTier>) {
    let mut last = Position::START;
    for n in 0..50 {
        let keys = keys(["k"]);
        let appended = match n % 2 {
            0 => shared(&*tier).invalidate(&keys, &record_of_keys(&keys), None).await.expect("invalidate"),
            _ => {
                let outcome = shared(&*tier).put(&keys[0], put(entry("v"), HOUR), &record_of_keys(&keys)).await;
                stored(outcome.expect("put"))
            }
        };
        assert_eq!(appended.previous, last);
        assert!(appended.position > appended.previous, "{appended:?}");
        last = appended.position;
    }
}

/// Nothing was ever appended, and no node has joined.
pub async fn an_empty_journal_has_no_records(tier: Arc<dyn CacheTier>) {
    set(&*tier, &key("k"), "v").await;
    let page = shared(&*tier).read_after(Position::START, 10).await.expect("read_after");
    assert!(page.oldest.is_none() && page.records.is_empty(), "{page:?}");
}

/// Asked over a connection from before and over one from after the record.
pub async fn the_last_position_is_that_of_the_last_record(tier: Arc<dyn CacheTier>) {
    let mut early = connect(&*tier).await;
    for _ in 0..3 {
        let appended = append(&*tier, &record(Change::Clear)).await;
        assert_eq!(early.last_position().await.expect("last_position"), appended.position);
    }
    let last = append(&*tier, &record(Change::Clear)).await.position;
    assert_eq!(connect(&*tier).await.last_position().await.expect("last_position"), last);
}

/// Each page goes on where the one before ended; every page says how far the journal reaches back.
pub async fn the_journal_is_read_in_pages(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let oldest = connection.last_position().await.expect("last_position");
    let mut written = Vec::new();
    for n in 0..25 {
        let record = record_of_keys(&[key(format!("k{n}"))]);
        written.push((append(&*tier, &record).await.position, Some(record)));
    }
    let (mut read, mut after) = (Vec::new(), oldest);
    for expected in [10, 10, 5, 0] {
        let page = connection.read_after(after, 10).await.expect("read_after");
        assert_eq!(page.records.len(), expected);
        assert_eq!(page.oldest, Some(oldest));
        after = page.records.last().map_or(after, |(position, _)| *position);
        read.extend(page.records);
    }
    assert_eq!(read, written);
}

/// A node that is cut off from the bus asks for what it misses.
pub async fn the_journal_is_read_without_the_bus_as_well(tier: Arc<dyn CacheTier>) {
    let mut written = Vec::new();
    for _ in 0..5 {
        written.push(append(&*tier, &record(Change::Clear)).await.position);
    }
    for (after, limit, expected) in [(Position::START, 10, &written[..]), (written[1], 2, &written[2..4])] {
        let page = shared(&*tier).read_after(after, limit).await.expect("read_after");
        let read: Vec<Position> = page.records.iter().map(|(position, _)| *position).collect();
        assert_eq!((page.oldest, &read[..]), (Some(written[0]), expected));
    }
}

/// Also a record of unusual keys, and one of as many keys as a record may hold.
pub async fn every_kind_of_record_survives_the_journal(tier: Arc<dyn CacheTier>) {
    let many: Vec<Key> = (0..1_000).map(|n| key(format!("k{n}"))).collect();
    let patterns = ["*", "a b*", r"h[^\]]\*{x}é", "1 2:ab"].map(|text| Pattern::new(text).expect("it is valid"));
    let mut records = vec![record_of_keys(&unusual_keys()), record_of_keys(&many), record(Change::Clear)];
    let tags = [Tags::from_slots(vec![TagSlot::new(0), TagSlot::new(65_535)]), Tags::NONE];
    records.extend(tags.map(|tags| record(Change::Tags(tags))));
    records.extend(patterns.map(|pattern| record(Change::Pattern(pattern))));
    let mut connection = connect(&*tier).await;
    let begin = connection.last_position().await.expect("last_position");
    for record in &records {
        append(&*tier, record).await;
    }
    let page = connection.read_after(begin, 100).await.expect("read_after");
    let read: Vec<Record> = page.records.into_iter().map(|(_, record)| record.expect("it can be read")).collect();
    assert_eq!(read, records);
}

/// The journal tells the other nodes of the clear, so it must not be cleared itself.
pub async fn the_journal_outlives_a_clear(tier: Arc<dyn CacheTier>) {
    let appended = append(&*tier, &record(Change::Clear)).await;
    tier.clear().await.expect("clear");
    tier.invalidate_pattern(&Pattern::all()).await.expect("invalidate_pattern");
    let mut connection = connect(&*tier).await;
    assert_eq!(connection.last_position().await.expect("last_position"), appended.position);
    assert_eq!(append(&*tier, &record(Change::Clear)).await.previous, appended.position);
}

/// A server that takes over may lack what another had, and its clock may be behind.
pub async fn a_journal_goes_on_behind_what_is_known(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let last = append(&*tier, &record(Change::Clear)).await.position;
    connection.begin(last).await.expect("begin");
    assert_eq!(connection.last_position().await.expect("last_position"), last, "nothing is missing");
    let lost = Position::new(last.millis() + 3_600_000, 5);
    connection.begin(lost).await.expect("begin");
    let begun = connection.last_position().await.expect("last_position");
    assert!(begun > lost, "{begun} is behind {lost}");
    assert!(append(&*tier, &record(Change::Clear)).await.position > begun);
    let absurd = Position::new(u64::MAX - 1, 0);
    connection.begin(absurd).await.expect("begin");
    assert!(connection.last_position().await.expect("last_position") < absurd, "no server has ever given it");
}

/// Itself, where it is still there.
pub async fn the_last_record_until_a_position_is_found(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let first = connection.last_position().await.expect("last_position");
    let second = append(&*tier, &record(Change::Clear)).await.position;
    for (position, expected) in [
        (Position::START, None),
        (first, Some(first)),
        (second, Some(second)),
        (Position::new(second.millis(), second.sequence() + 1), Some(second)),
    ] {
        assert_eq!(connection.last_until(position).await.expect("last_until"), expected, "{position}");
    }
}
