//! Who has heard of a record, and what a node that joins may find.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cache_core::coherence::{Beat, BusConnection, NodeId, Position};
use cache_core::{CacheTier, Key, Pattern};

use super::support::{
    HOUR, SHORT, assert_acquired, connect, eventually, key, keys, record_of_keys, set, shared, token,
};

async fn beat(connection: &mut dyn BusConnection, node: u64, applied: Position, trusted: Duration, alone: Duration) {
    let beat = Beat { node: NodeId::new(node), applied, trusted, alone };
    connection.beat(beat).await.expect("beat");
}

async fn append(tier: &dyn CacheTier) -> Position {
    let keys = keys(["k"]);
    shared(tier).invalidate(&keys, &record_of_keys(&keys), None).await.expect("invalidate").position
}

async fn unheard(tier: &dyn CacheTier, position: Position) -> Duration {
    shared(tier).unheard(position, Duration::ZERO).await.expect("unheard")
}

/// It says where the journal ends, as a node needs to know with each heartbeat.
pub async fn a_beat_tells_the_last_position(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let last = append(&*tier).await;
    let beat = Beat { node: NodeId::new(1), applied: last, trusted: HOUR, alone: Duration::ZERO };
    assert_eq!(connection.beat(beat).await.expect("beat"), last);
    assert!(connection.try_next().is_some(), "what was announced before the answer is ready");
}

/// Those that have applied it are not.
pub async fn nodes_are_waited_for_until_they_have_applied(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let before = append(&*tier).await;
    beat(&mut *connection, 1, before, HOUR, Duration::ZERO).await;
    beat(&mut *connection, 2, before, HOUR / 2, Duration::ZERO).await;
    assert!(unheard(&*tier, before).await.is_zero());
    let position = append(&*tier).await;
    let wait = unheard(&*tier, position).await;
    assert!(wait > HOUR / 2 && wait <= HOUR, "{wait:?}");
    beat(&mut *connection, 1, position, HOUR, Duration::ZERO).await;
    let wait = unheard(&*tier, position).await;
    assert!(wait > HOUR / 4 && wait <= HOUR / 2, "{wait:?}");
    beat(&mut *connection, 2, append(&*tier).await, HOUR, Duration::ZERO).await;
    assert!(unheard(&*tier, position).await.is_zero());
}

/// Whether it has ended, has died, or hears nothing.
pub async fn a_node_is_waited_for_no_longer_than_it_may_serve(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let before = append(&*tier).await;
    for node in [1, 2] {
        beat(&mut *connection, node, before, HOUR, Duration::ZERO).await;
    }
    beat(&mut *connection, 3, before, SHORT, SHORT * 2).await;
    let position = append(&*tier).await;
    shared(&*tier).leave(NodeId::new(1)).await.expect("leave");
    assert!(!unheard(&*tier, position).await.is_zero());
    shared(&*tier).leave(NodeId::new(2)).await.expect("leave");
    shared(&*tier).leave(NodeId::new(2)).await.expect("a node that has left may leave");
    eventually("its registration lapses", || async { unheard(&*tier, position).await.is_zero() }).await;
    // It may still load and serve on its own, though what it held is too old by now.
    beat(&mut *connection, 3, before, Duration::from_millis(1), HOUR).await;
    assert!(unheard(&*tier, append(&*tier).await).await > HOUR / 2);
}

/// In whatever order, and as often as it likes.
pub async fn a_scan_tells_every_key_that_matches(tier: Arc<dyn CacheTier>) {
    let mut expected = BTreeSet::new();
    for n in 0..700 {
        let key = key(format!("k{n}"));
        set(&*tier, &key, "v").await;
        expected.insert(key);
    }
    set(&*tier, &key("other"), "v").await;
    assert_acquired(&*tier, &key("k lease"), token(1)).await;
    let mut found = BTreeSet::<Key>::new();
    let mut scan = shared(&*tier).scan(&Pattern::new("k*").expect("a valid pattern")).await.expect("scan");
    while let Some(keys) = scan.next().await.expect("next") {
        found.extend(keys);
    }
    assert!(scan.next().await.expect("next").is_none(), "it has ended");
    found.remove(&key("k lease"));
    assert_eq!(found, expected);
}

/// There may have been others, of which it does not know any more.
pub async fn a_tier_that_knows_nobody_waits_for_those_before(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let position = append(&*tier).await;
    let unheard = || async { shared(&*tier).unheard(position, HOUR).await.expect("unheard") };
    assert!(unheard().await > HOUR / 2);
    beat(&mut *connection, 1, position, HOUR, Duration::ZERO).await;
    assert!(unheard().await > HOUR / 2);
    assert!(shared(&*tier).unheard(position, Duration::ZERO).await.expect("unheard").is_zero());
}
