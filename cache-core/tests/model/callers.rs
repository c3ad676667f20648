//! The way of a read: `get_or_load`, and the flight that its first caller leads.

use crate::setup::Setup;
use crate::state::{Caller, CallerAt, Entry, Flight, Permit, START, Slot, State, Ticket};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallerStep {
    LookNear,
    Join,
    PeekNear,
    Get,
    GetFails,
    Accept,
    Acquire,
    AcquireFails { ran: bool },
    Load,
    Store,
    Fill,
    FillFails { ran: bool },
    InsertNear,
    End,
    Die,
}

/// The steps that a caller may take next. Whether it can is told by [`step`].
pub(crate) fn steps(at: CallerAt, fails: bool) -> &'static [CallerStep] {
    use CallerStep as Step;
    match at {
        CallerAt::Start => &[Step::LookNear],
        CallerAt::Join => &[Step::Join],
        CallerAt::Peek => &[Step::PeekNear],
        CallerAt::Get if fails => &[Step::Get, Step::GetFails],
        CallerAt::Get => &[Step::Get],
        CallerAt::Accept => &[Step::Accept],
        CallerAt::Acquire if fails => {
            &[Step::Acquire, Step::AcquireFails { ran: false }, Step::AcquireFails { ran: true }]
        }
        CallerAt::Acquire => &[Step::Acquire],
        CallerAt::Load(_) => &[Step::Load, Step::Die],
        CallerAt::Store(_) => &[Step::Store],
        CallerAt::Fill if fails => &[Step::Fill, Step::FillFails { ran: false }, Step::FillFails { ran: true }],
        CallerAt::Fill => &[Step::Fill],
        CallerAt::InsertNear => &[Step::InsertNear],
        CallerAt::End => &[Step::End],
        CallerAt::Follow(_) | CallerAt::Done | CallerAt::Dead => &[],
    }
}

/// Takes a step, or tells that it cannot be taken now.
pub(crate) fn step(state: &mut State, setup: &Setup, at: usize, step: CallerStep) -> Option<()> {
    match step {
        CallerStep::LookNear => look_near(state, setup, at),
        CallerStep::Join => join(state, setup, at),
        CallerStep::PeekNear => peek_near(state, setup, at),
        CallerStep::Get => get(state, setup, at),
        CallerStep::GetFails => get_fails(state, setup, at)?,
        CallerStep::Accept => accept(state, setup, at),
        CallerStep::Acquire => acquire(state, setup, at)?,
        CallerStep::AcquireFails { ran } => acquire_fails(state, setup, at, ran)?,
        CallerStep::Load => load(state, setup, at),
        CallerStep::Store => store(state, setup, at),
        CallerStep::Fill => fill(state, setup, at),
        CallerStep::FillFails { ran } => fill_fails(state, setup, at, ran)?,
        CallerStep::InsertNear => insert_near(state, setup, at),
        CallerStep::End => state.end_flight(at),
        CallerStep::Die => die(state, at)?,
    }
    Some(())
}

fn look_near(state: &mut State, setup: &Setup, at: usize) {
    let node = state.callers[at].node;
    state.callers[at].must = state.must(node);
    match state.servable(node, setup) {
        Some(entry) => state.give(at, entry.version),
        None => state.callers[at].at = CallerAt::Join,
    }
}

fn join(state: &mut State, setup: &Setup, at: usize) {
    let node = state.callers[at].node;
    let leads = |other: &Caller| other.node == node && state.is_joined(node, other.flight, setup);
    if let Some(leader) = state.callers.iter().position(leads) {
        state.callers[at].at = CallerAt::Follow(u8::try_from(leader).unwrap_or(u8::MAX));
        return;
    }
    // What is attached still has grown too old to be joined.
    state.detach(node, None);
    let known = state.node(node).known;
    let applied = state.node(node).applied.unwrap_or(START);
    let born = if setup.protocol.flight_born_at_applied { applied } else { known };
    state.callers[at].flight = Flight::Attached { born, began: state.now };
    state.callers[at].at = CallerAt::Peek;
}

fn peek_near(state: &mut State, setup: &Setup, at: usize) {
    match state.servable(state.callers[at].node, setup) {
        Some(entry) => {
            state.callers[at].held = Some(entry);
            state.callers[at].at = CallerAt::End;
        }
        None => state.callers[at].at = CallerAt::Get,
    }
}

/// `read_far`: notes the epoch, and asks.
fn get(state: &mut State, setup: &Setup, at: usize) {
    let (node, now) = (state.callers[at].node, state.now);
    let (ready, ticket) = (state.is_ready(node, &setup.protocol), state.note(node));
    let caller = &mut state.callers[at];
    caller.ticket = ticket;
    match state.redis.key {
        Slot::Value(entry) if ready => {
            caller.held = Some(Entry { as_of: now, ..entry });
            caller.at = CallerAt::Accept;
        }
        _ => caller.at = CallerAt::Acquire,
    }
}

fn get_fails(state: &mut State, setup: &Setup, at: usize) -> Option<()> {
    spend_failure(state, setup, at)?;
    state.callers[at].at = CallerAt::Acquire;
    Some(())
}

/// Checks the rules, and promotes what they do not void.
fn accept(state: &mut State, setup: &Setup, at: usize) {
    let (node, now) = (state.callers[at].node, state.now);
    let Some(mut entry) = state.callers[at].held else { return };
    if !setup.protocol.note_before_read {
        state.callers[at].ticket = state.note(node);
    }
    if !setup.protocol.as_of_before_read {
        entry.as_of = now;
    }
    let forgotten = setup.protocol.forgotten_rules_void_reads && !state.callers[at].ticket.rules_stand;
    if forgotten || state.is_ruled_out(node, entry.birth, &setup.protocol) {
        state.callers[at].held = (!forgotten).then_some(entry);
        state.callers[at].at = CallerAt::Acquire;
        return;
    }
    if state.admits(node, state.callers[at].ticket, entry.birth, &setup.protocol) {
        state.node_mut(node).near = Some(entry);
    }
    state.callers[at].at = CallerAt::End;
}

/// One round of `permit`. A lease of someone else is waited for.
fn acquire(state: &mut State, setup: &Setup, at: usize) -> Option<()> {
    let (node, now) = (state.callers[at].node, state.now);
    let over = state.callers[at].held.take();
    state.callers[at].ticket = state.note(node);
    if !state.is_ready(node, &setup.protocol) {
        state.callers[at].at = CallerAt::Load(Permit::Unshared);
        return Some(());
    }
    match state.redis.key {
        Slot::Lease(_) => return None,
        Slot::Fence(_) if setup.protocol.fence_bars_leases => {
            state.callers[at].at = CallerAt::Load(Permit::Barred);
        }
        Slot::Value(entry) if over.is_none_or(|over| (over.version, over.birth) != (entry.version, entry.birth)) => {
            state.callers[at].held = Some(Entry { as_of: now, ..entry });
            state.callers[at].at = CallerAt::Accept;
        }
        Slot::Value(_) | Slot::Absent | Slot::Fence(_) => {
            state.redis.key = Slot::Lease(u8::try_from(at).unwrap_or(u8::MAX));
            state.callers[at].at = CallerAt::Load(Permit::Lease);
        }
    }
    Some(())
}

fn acquire_fails(state: &mut State, setup: &Setup, at: usize, ran: bool) -> Option<()> {
    spend_failure(state, setup, at)?;
    if ran {
        acquire(state, setup, at)?;
    }
    state.callers[at].held = None;
    state.callers[at].at = CallerAt::Load(Permit::Unshared);
    Some(())
}

/// `origin`, then the loader.
fn load(state: &mut State, setup: &Setup, at: usize) {
    let CallerAt::Load(permit) = state.callers[at].at else { return };
    let birth = state.node(state.callers[at].node).known;
    let birth = if setup.protocol.birth_before_load { birth } else { START };
    let entry = Entry { version: state.source, birth, as_of: state.now, limited: false };
    let ticket = state.note(state.callers[at].node);
    let limited = permit == Permit::Unshared && setup.protocol.unleased_limited;
    let caller = &mut state.callers[at];
    caller.ticket = ticket;
    caller.held = Some(Entry { limited, ..entry });
    caller.at = if permit == Permit::Barred { CallerAt::End } else { CallerAt::Store(permit) };
}

/// `store`: looks whether the value is still good.
fn store(state: &mut State, setup: &Setup, at: usize) {
    let CallerAt::Store(permit) = state.callers[at].at else { return };
    let node = state.callers[at].node;
    let Some(mut entry) = state.callers[at].held else { return };
    if permit == Permit::Unshared && state.callers[at].ticket.fenced && setup.protocol.fence_bars_unleased {
        state.callers[at].at = CallerAt::End;
        return;
    }
    if !setup.protocol.birth_before_load {
        entry.birth = state.node(node).known;
        state.callers[at].ticket = state.note(node);
        state.callers[at].held = Some(entry);
    }
    if !state.admits(node, state.callers[at].ticket, entry.birth, &setup.protocol) {
        release(state, setup, at);
        state.callers[at].at = CallerAt::End;
        return;
    }
    state.callers[at].at = if permit == Permit::Lease { CallerAt::Fill } else { CallerAt::InsertNear };
}

/// A lease that is dropped is given back, if the tier may be asked.
fn release(state: &mut State, setup: &Setup, at: usize) {
    if holds_lease(state, at) && state.is_ready(state.callers[at].node, &setup.protocol) {
        state.redis.key = Slot::Absent;
    }
}

fn holds_lease(state: &State, at: usize) -> bool {
    matches!(state.redis.key, Slot::Lease(holder) if usize::from(holder) == at)
}

fn fill(state: &mut State, setup: &Setup, at: usize) {
    let Some(entry) = state.callers[at].held else { return };
    state.callers[at].at = CallerAt::InsertNear;
    if !state.is_ready(state.callers[at].node, &setup.protocol) {
        return unanswered(state, setup, at);
    }
    if holds_lease(state, at) || !setup.protocol.lease_in_fill {
        state.redis.key = Slot::Value(Entry { as_of: 0, limited: false, ..entry });
    } else {
        state.callers[at].at = CallerAt::End;
    }
}

/// The fill is not heard of: it may have run.
fn fill_fails(state: &mut State, setup: &Setup, at: usize, ran: bool) -> Option<()> {
    spend_failure(state, setup, at)?;
    if ran {
        fill(state, setup, at);
    }
    unanswered(state, setup, at);
    Some(())
}

/// Nobody has said whether the lease was still there, so what was loaded counts as loaded without one.
fn unanswered(state: &mut State, setup: &Setup, at: usize) {
    let unleased = setup.protocol.unanswered_fill_is_unleased;
    let barred = unleased && state.callers[at].ticket.fenced;
    if let Some(held) = &mut state.callers[at].held {
        held.limited |= unleased;
    }
    state.callers[at].at = if barred { CallerAt::End } else { CallerAt::InsertNear };
}

fn insert_near(state: &mut State, setup: &Setup, at: usize) {
    let node = state.callers[at].node;
    let Some(entry) = state.callers[at].held else { return };
    if state.admits(node, state.callers[at].ticket, entry.birth, &setup.protocol) {
        state.node_mut(node).near = Some(entry);
    }
    state.callers[at].at = CallerAt::End;
}

/// The caller goes away with its lease, and another takes over.
fn die(state: &mut State, at: usize) -> Option<()> {
    state.faults.die = state.faults.die.checked_sub(1)?;
    let leader = u8::try_from(at).unwrap_or(u8::MAX);
    for follower in state.callers.iter_mut().filter(|caller| caller.at == CallerAt::Follow(leader)) {
        follower.at = CallerAt::Join;
    }
    let caller = &mut state.callers[at];
    *caller = Caller {
        node: caller.node,
        at: CallerAt::Dead,
        flight: Flight::None,
        ticket: Ticket::default(),
        held: None,
        must: 0,
    };
    Some(())
}

/// A command of a node that may ask the tier fails.
fn spend_failure(state: &mut State, setup: &Setup, at: usize) -> Option<()> {
    if !state.is_ready(state.callers[at].node, &setup.protocol) {
        return None;
    }
    state.faults.fail = state.faults.fail.checked_sub(1)?;
    Some(())
}
