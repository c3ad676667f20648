//! What must hold.

use stateright::Property;

use crate::setup::Setup;
use crate::state::{CallerAt, Flight, Slot, State};

pub fn all() -> Vec<Property<Setup>> {
    vec![
        Property::always("G1: Redis holds nothing that was loaded before an invalidation that has run", g1),
        Property::always("G2, G3: no near tier serves what was invalidated", near_tiers),
        Property::always("G2, G3: no read sees what was invalidated before it began", |_, state: &State| {
            !state.stale_read
        }),
        Property::always("flights: none that callers join carries what was invalidated", flights),
        Property::eventually("every call returns", every_call_returns),
    ]
}

fn g1(_: &Setup, state: &State) -> bool {
    !matches!(state.redis.key, Slot::Value(entry) if entry.version < state.redis.floor)
}

fn near_tiers(setup: &Setup, state: &State) -> bool {
    (0..setup.nodes).all(|node| state.servable(node, setup).is_none_or(|entry| entry.version >= state.must(node)))
}

fn flights(_: &Setup, state: &State) -> bool {
    state.callers.iter().all(|caller| {
        let joinable = matches!(caller.flight, Flight::Attached(_));
        // A far entry that has not been accepted is not an outcome yet.
        let decided = matches!(caller.at, CallerAt::Store(_) | CallerAt::Fill | CallerAt::InsertNear | CallerAt::End);
        !(joinable && decided) || caller.held.is_none_or(|entry| entry.version >= state.must(caller.node))
    })
}

fn every_call_returns(_: &Setup, state: &State) -> bool {
    state.callers.iter().all(|caller| matches!(caller.at, CallerAt::Done | CallerAt::Dead))
}
