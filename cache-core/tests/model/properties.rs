//! What must hold.

use stateright::Property;

use crate::failover;
use crate::setup::Setup;
use crate::state::{CallerAt, Link, START, Slot, State, WriterAt};

pub(crate) fn all() -> Vec<Property<Setup>> {
    vec![
        Property::always("G1: Redis holds nothing that was loaded before an invalidation that has run", g1),
        Property::always("G2, G3: no near tier serves what was invalidated", near_tiers),
        Property::always("G2, G3: no read sees what was invalidated before it began", |_, state: &State| {
            state.redis.failed_over || !state.stale_read
        }),
        Property::always("flights: none that callers join carries what was invalidated", flights),
        Property::always("G2, G3: no far read would be accepted that was invalidated", far_reads),
        Property::always("G2: a node with nothing left to hear has heard everything", quiet),
        Property::always(
            "G2: after a failover, and with all delivered, nothing is older than what was announced",
            failover::settled,
        ),
        Property::sometimes(KEPT, kept),
        Property::eventually("every call returns", every_call_returns),
    ]
}

fn g1(_: &Setup, state: &State) -> bool {
    state.redis.failed_over || !matches!(state.redis.key, Slot::Value(entry) if entry.version < state.redis.floor)
}

fn near_tiers(setup: &Setup, state: &State) -> bool {
    state.redis.failed_over
        || (0..setup.nodes)
            .all(|node| state.servable(node, setup).is_none_or(|entry| entry.version >= state.tiers_must(node, setup)))
}

fn flights(setup: &Setup, state: &State) -> bool {
    state.redis.failed_over
        || state.callers.iter().all(|caller| {
            let joinable = state.is_joined(caller.node, caller.flight, setup);
            // A far entry that has not been accepted is not an outcome yet.
            let decided =
                matches!(caller.at, CallerAt::Store(_) | CallerAt::Fill | CallerAt::InsertNear | CallerAt::End);
            !(joinable && decided) || caller.held.is_none_or(|entry| entry.version >= state.must(caller.node))
        })
}

fn far_reads(setup: &Setup, state: &State) -> bool {
    let Slot::Value(entry) = state.redis.key else { return true };
    if state.redis.failed_over {
        return true;
    }
    (0..setup.nodes).all(|node| {
        let accepted = !state.is_ruled_out(node, entry.birth, &setup.protocol) && state.is_ready(node, &setup.protocol);
        !accepted || entry.version >= state.tiers_must(node, setup)
    })
}

fn quiet(setup: &Setup, state: &State) -> bool {
    let hears = |node: u8| {
        let listener = &state.node(node).listener;
        let busy = listener.connecting || listener.asked.is_some() || listener.catching_up.is_some();
        let works = listener.applying.is_some() || listener.beginning.is_some();
        listener.link == Link::Open && listener.messages.is_empty() && !busy && !works
    };
    // A message that was dropped is found out by the next record or heartbeat.
    setup.faults.drop > 0
        || state.redis.failed_over
        || (0..setup.nodes)
            .filter(|node| hears(*node))
            .all(|node| state.servable(node, setup).is_none_or(|entry| entry.version >= state.redis.announced))
}

pub(crate) const KEPT: &str = "a node keeps what is new before it hears of the record over the bus";

fn kept(setup: &Setup, state: &State) -> bool {
    if state.writers.iter().any(|writer| !matches!(writer.at, WriterAt::Done | WriterAt::Gone { .. })) {
        return false;
    }
    let last = state.redis.journal.last().map_or(START, |record| record.position);
    (0..setup.nodes).map(|node| state.node(node)).any(|node| {
        node.applied < Some(last) && state.source > 0 && node.near.is_some_and(|entry| entry.version == state.source)
    })
}

fn every_call_returns(_: &Setup, state: &State) -> bool {
    state.callers.iter().all(|caller| matches!(caller.at, CallerAt::Done | CallerAt::Dead))
}
