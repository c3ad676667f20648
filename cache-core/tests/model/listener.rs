//! How a node follows the journal over the bus.

use crate::failover;
use crate::setup::Setup;
use crate::state::{
    Asked, Beginning, Change, Entry, Link, Listener, Position, Record, Registration, START, State, Taking, VoidStage,
    Voiding,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListenerStep {
    Connect,
    LastPosition,
    CatchUp,
    ReadAfter,
    Receive,
    /// Looks whether a value that came with a record may be taken.
    Take,
    InsertReplica,
    /// The next record of what was read.
    Next,
    Apply(VoidStage),
    Begin(VoidStage),
    Isolate,
}

/// The step that the listener takes next: it is one task. Beside it, a heartbeat or the end of a lost connection.
pub(crate) fn steps(state: &State, setup: &Setup, node: u8, push: &mut dyn FnMut(ListenerStep)) {
    let listener = &state.node(node).listener;
    if let Some(applying) = listener.applying {
        return push(ListenerStep::Apply(applying.stage));
    }
    if let Some(beginning) = listener.beginning {
        return push(ListenerStep::Begin(beginning.stage));
    }
    if let Some(taking) = listener.taking {
        return push(if taking.ticket.is_some() { ListenerStep::InsertReplica } else { ListenerStep::Take });
    }
    match listener.link {
        Link::Off if node < setup.deaf => return,
        Link::Off => return push(ListenerStep::Connect),
        Link::Cut => push(ListenerStep::Isolate),
        Link::Open => {}
        Link::Gone => return,
    }
    if !listener.page.is_empty() {
        return push(ListenerStep::Next);
    }
    if listener.catching_up.is_some() {
        if listener.link == Link::Open {
            push(ListenerStep::ReadAfter);
        }
        return;
    }
    match listener.asked {
        None if listener.connecting => {
            if listener.link == Link::Open {
                push(ListenerStep::LastPosition);
            }
        }
        Some(_) if listener.connecting || listener.messages.is_empty() => push(ListenerStep::CatchUp),
        Some(_) => push(ListenerStep::Receive),
        None => {
            if !listener.messages.is_empty() {
                push(ListenerStep::Receive);
            }
            if listener.link == Link::Open && has_something_to_tell(state, node) {
                push(ListenerStep::LastPosition);
            }
        }
    }
}

/// A heartbeat that would change nothing is left out, so that the model comes to rest.
fn has_something_to_tell(state: &State, node: u8) -> bool {
    state.node(node).applied != Some(state.last_position())
        || state.node(node).lost
        || state.fails_over() && state.node(node).known > state.last_position()
        || state.redis.announced > state.node(node).must
        || state.node(node).confirmed < state.now
        || has_to_register(state, node)
}

/// A node says at once what it has applied where that is asked for.
fn has_to_register(state: &State, node: u8) -> bool {
    let registered = state.redis.heard.get(usize::from(node));
    registered.is_some_and(|registered| registered.map(|registered| registered.applied) != state.node(node).applied)
}

pub(crate) fn step(state: &mut State, setup: &Setup, node: u8, step: ListenerStep) -> Option<()> {
    match step {
        ListenerStep::Connect => connect(state, node),
        ListenerStep::LastPosition => ask(state, setup, node),
        ListenerStep::CatchUp => catch_up(state, setup, node)?,
        ListenerStep::ReadAfter => read_after(state, setup, node)?,
        ListenerStep::Receive => receive(state, setup, node),
        ListenerStep::Take => take(state, setup, node)?,
        ListenerStep::InsertReplica => insert_replica(state, setup, node)?,
        ListenerStep::Next => {
            let record = state.node_mut(node).listener.page.remove(0);
            let applied = state.node(node).applied.unwrap_or(START);
            let known = state.node(node);
            let another = setup.protocol.replay_agrees && !known.agrees(record.position, record.change);
            if another || !known.allows(applied, record.position, &setup.protocol) {
                failover::reset(state, setup, node);
                return Some(());
            }
            start_applying(state, setup, node, record);
        }
        ListenerStep::Apply(_) => apply(state, setup, node),
        ListenerStep::Begin(_) => begin(state, setup, node),
        ListenerStep::Isolate => isolate(state, setup, node),
    }
    Some(())
}

fn connect(state: &mut State, node: u8) {
    let listener = &mut state.node_mut(node).listener;
    listener.link = Link::Open;
    listener.connecting = true;
}

/// Asks for the last position, and opens a journal that has none.
fn ask(state: &mut State, setup: &Setup, node: u8) {
    if state.redis.journal.is_empty() && setup.protocol.journal_opened {
        state.append(Change::Other, 0, &setup.protocol);
    }
    let known = if setup.fails_over() { state.node(node).known } else { START };
    if state.node(node).listener.connecting {
        failover::raise(state, setup, node);
    } else {
        register(state, setup, node);
    }
    let (last, at, announced) = (state.last_position(), state.now, state.redis.announced);
    state.node_mut(node).listener.asked = Some(Asked { last, known, at, announced });
}

/// The script `beat`.
fn register(state: &mut State, setup: &Setup, node: u8) {
    let applied = if setup.protocol.registers_what_is_applied {
        state.node(node).applied.unwrap_or(START)
    } else {
        state.node(node).known
    };
    let till = state.now + setup.bound();
    if let Some(registered) = state.redis.heard.get_mut(usize::from(node)) {
        *registered = Some(Registration { applied, till });
    }
}

/// Compares the journal's end with what was applied.
fn catch_up(state: &mut State, setup: &Setup, node: u8) -> Option<()> {
    let asked = state.node(node).listener.asked?;
    let connecting = state.node(node).listener.connecting;
    let Some(applied) = state.node(node).applied else {
        start_beginning(state, setup, node, asked.last);
        return Some(());
    };
    if setup.fails_over() {
        failover::compare(state, setup, node, asked, applied);
        return Some(());
    }
    let looks = if connecting { setup.protocol.catch_up_on_connect } else { setup.protocol.gap_by_heartbeat };
    if looks && asked.last < applied && setup.protocol.reset_on_backwards {
        start_beginning(state, setup, node, asked.last);
    } else if looks && asked.last > applied {
        state.node_mut(node).listener.catching_up = Some(asked.last);
    } else {
        confirm(state, setup, node, asked);
    }
    Some(())
}

/// Every invalidation up to the question has been heard. A connection that was brought up to date is asked once more.
pub(crate) fn confirm(state: &mut State, setup: &Setup, node: u8, asked: Asked) {
    let at = if setup.protocol.confirms_from_the_question { asked.at } else { state.now };
    let state = state.node_mut(node);
    state.listener.asked = None;
    if std::mem::take(&mut state.listener.connecting) {
        return;
    }
    state.confirmed = at;
    state.until = setup.trusted_until(at);
    state.must = state.must.max(asked.announced);
}

fn read_after(state: &mut State, setup: &Setup, node: u8) -> Option<()> {
    let last = state.node(node).listener.catching_up?;
    let applied = state.node(node).applied.unwrap_or(START);
    if setup.fails_over() {
        failover::read_after(state, setup, node, applied, last);
        return Some(());
    }
    let records: Vec<Record> = state.redis.journal.iter().filter(|record| record.position > applied).copied().collect();
    let reaches_back = state.redis.journal.first().is_some_and(|oldest| oldest.position <= applied);
    if (reaches_back || !setup.protocol.reset_on_trim) && !records.is_empty() {
        state.node_mut(node).listener.page = records;
    } else if setup.protocol.reset_on_trim {
        let newest = records.last().map_or(last, |record| record.position);
        state.node_mut(node).listener.catching_up = None;
        start_beginning(state, setup, node, newest);
    } else {
        finish_catching_up(state, setup, node);
    }
    Some(())
}

pub(crate) fn finish_catching_up(state: &mut State, setup: &Setup, node: u8) {
    state.node_mut(node).listener.catching_up = None;
    if let Some(asked) = state.node(node).listener.asked.filter(|_| may_confirm(&state.node(node).listener)) {
        confirm(state, setup, node, asked);
    }
}

/// A heartbeat takes the messages first, and then looks again.
fn may_confirm(listener: &Listener) -> bool {
    listener.connecting || listener.messages.is_empty()
}

fn receive(state: &mut State, setup: &Setup, node: u8) {
    let message = state.node_mut(node).listener.messages.remove(0);
    let applied = state.node(node).applied.unwrap_or(START);
    let position = message.record.position;
    if message.swept {
        return state.forget_rule(node, position);
    }
    let known = state.node(node);
    if !known.allows(message.previous, position, &setup.protocol) || !known.agrees(position, message.record.change) {
        return failover::reset(state, setup, node);
    }
    if message.previous == applied || (!setup.protocol.gap_by_previous && position > applied) {
        let replica = message.replica.filter(|(_, by)| *by != node && message.previous == applied);
        state.node_mut(node).listener.taking = replica.map(|(version, _)| Taking { version, position, ticket: None });
        start_applying(state, setup, node, message.record);
    } else if position > applied {
        state.node_mut(node).listener.catching_up = Some(position);
    }
}

/// Notes the epoch, and then looks whether a change of this node is on its way, or waits: of that nobody knows whether it
/// comes before or after.
fn take(state: &mut State, setup: &Setup, node: u8) -> Option<()> {
    let ticket = state.note(node);
    let debts = setup.protocol.replica_asks_for_debts && state.has_debts(node);
    let taking = &mut state.node_mut(node).listener.taking;
    taking.as_mut()?.ticket = Some(ticket);
    if debts {
        *taking = None;
    }
    Some(())
}

fn insert_replica(state: &mut State, setup: &Setup, node: u8) -> Option<()> {
    let Taking { version, position, ticket } = state.node_mut(node).listener.taking.take()?;
    let (ticket, protocol) = (ticket?, &setup.protocol);
    let stands = ticket.stands || !protocol.epoch_on_replica;
    let newest = state.node(node).voided_before <= position || !protocol.replica_is_newest;
    let younger = state.node(node).near.is_none_or(|there| there.birth < position);
    if stands && newest && younger && !ticket.fenced && !state.is_ruled_out(node, position, protocol) {
        let as_of = state.now;
        state.node_mut(node).near = Some(Entry { version, birth: position, as_of, limited: false });
    }
    Some(())
}

fn start_applying(state: &mut State, setup: &Setup, node: u8, record: Record) {
    state.node_mut(node).listener.applying = Some(Voiding { record, previous: None, stage: VoidStage::Learn });
    if !setup.fine {
        apply(state, setup, node);
    }
}

fn apply(state: &mut State, setup: &Setup, node: u8) {
    while let Some(voiding) = state.node(node).listener.applying {
        let next = state.void_before(node, voiding, &setup.protocol);
        state.node_mut(node).listener.applying = next.map(|stage| Voiding { stage, ..voiding });
        if next.is_none() {
            applied(state, setup, node, voiding.record);
        }
        if setup.fine {
            return;
        }
    }
}

fn applied(state: &mut State, setup: &Setup, node: u8, record: Record) {
    let state_of_node = state.node_mut(node);
    state_of_node.applied = Some(record.position);
    if record.change != Change::Other {
        state_of_node.must = state_of_node.must.max(record.version);
    }
    let listener = &state.node(node).listener;
    if listener.page.is_empty() && listener.catching_up.is_some_and(|last| last <= record.position) {
        finish_catching_up(state, setup, node);
    }
}

pub(crate) fn start_beginning(state: &mut State, setup: &Setup, node: u8, last: Position) {
    state.node_mut(node).listener.beginning = Some(Beginning { last, stage: VoidStage::Learn });
    if !setup.fine {
        begin(state, setup, node);
    }
}

pub(crate) fn begin(state: &mut State, setup: &Setup, node: u8) {
    while let Some(beginning) = state.node(node).listener.beginning {
        let next = state.begin(node, beginning.last, beginning.stage, &setup.protocol);
        state.node_mut(node).listener.beginning = next.map(|stage| Beginning { stage, ..beginning });
        if next.is_none() {
            finish_catching_up(state, setup, node);
        }
        if setup.fine {
            return;
        }
    }
}

fn isolate(state: &mut State, setup: &Setup, node: u8) {
    let state = state.node_mut(node);
    state.until = state.confirmed + setup.isolated_ttl;
    state.listener = Listener {
        link: Link::Off,
        messages: Vec::new(),
        connecting: false,
        asked: None,
        catching_up: None,
        page: Vec::new(),
        applying: None,
        taking: None,
        beginning: None,
    };
}
