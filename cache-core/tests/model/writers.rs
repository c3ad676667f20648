//! Writes and invalidations.

use crate::fences;
use crate::setup::Setup;
use crate::state::{
    Change, Drain, Entry, Kind, Position, Record, Slot, State, Ticket, VoidStage, Voiding, Writer, WriterAt,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriterStep {
    WriteSource,
    Void(VoidStage),
    Carry,
    CarryFails {
        ran: bool,
        late: bool,
    },
    VoidBefore(VoidStage),
    Sweep,
    SweepFails,
    Swept,
    Unheard,
    Detach,
    InsertNear,
    Fence,
    FenceFails {
        ran: bool,
    },
    EndWrite,
    /// The caller goes away, and with the process or without.
    Go {
        process: bool,
    },
    SourceLate,
    Return,
}

impl Kind {
    fn change(self) -> Change {
        match self {
            Self::Invalidate | Self::Strict | Self::Set | Self::Replicate | Self::Versioned | Self::Around => {
                Change::Key
            }
            Self::Clear => Change::Clear,
            Self::Pattern => Change::Pattern,
            Self::Other => Change::Other,
        }
    }
}

pub(crate) fn steps(writer: &Writer, push: &mut dyn FnMut(WriterStep)) {
    if writer.kind == Kind::Around {
        fences::steps(writer, push);
    }
    match writer.at {
        WriterAt::Start if writer.kind == Kind::Around => {}
        WriterAt::Start => push(WriterStep::WriteSource),
        WriterAt::Void { stage, .. } => push(WriterStep::Void(stage)),
        WriterAt::Carry => {
            push(WriterStep::Carry);
            push(WriterStep::CarryFails { ran: false, late: false });
            push(WriterStep::CarryFails { ran: true, late: false });
            if writer.kind.is_set() {
                push(WriterStep::CarryFails { ran: false, late: true });
            }
        }
        WriterAt::VoidBefore(voiding) => push(WriterStep::VoidBefore(voiding.stage)),
        WriterAt::Swept(_) => push(WriterStep::Swept),
        WriterAt::Sweep(_) => {
            push(WriterStep::Sweep);
            push(WriterStep::SweepFails);
        }
        WriterAt::Heard(_) => push(WriterStep::Unheard),
        WriterAt::Detach => push(WriterStep::Detach),
        WriterAt::InsertNear => push(WriterStep::InsertNear),
        WriterAt::Return => push(WriterStep::Return),
        WriterAt::Fence | WriterAt::Change | WriterAt::EndWrite | WriterAt::Gone { .. } | WriterAt::Done => {}
    }
}

pub(crate) fn step(state: &mut State, setup: &Setup, at: usize, step: WriterStep) -> Option<()> {
    let node = state.writers[at].node;
    match step {
        WriterStep::WriteSource if state.writers[at].kind == Kind::Around => fences::write(state, setup, at),
        WriterStep::Fence
        | WriterStep::FenceFails { .. }
        | WriterStep::EndWrite
        | WriterStep::Go { .. }
        | WriterStep::SourceLate => {
            fences::step(state, setup, at, step)?;
        }
        WriterStep::WriteSource => {
            state.source += 1;
            state.writers[at].version = state.source;
            let next = WriterAt::Void { stage: VoidStage::Fence, again: false };
            state.writers[at].at = next;
        }
        WriterStep::Void(_) => void(state, setup, at),
        WriterStep::Carry => carry(state, setup, at)?,
        WriterStep::CarryFails { ran, late } => carry_fails(state, setup, at, ran, late)?,
        WriterStep::VoidBefore(_) => void_before(state, setup, at),
        WriterStep::Sweep => {
            let version = state.writers[at].version;
            state.sweep(version, &setup.protocol);
            state.writers[at].at = match state.writers[at] {
                Writer { kind: Kind::Pattern, at: WriterAt::Sweep(position), .. } => WriterAt::Swept(position),
                _ => WriterAt::Return,
            };
        }
        WriterStep::Swept => {
            let WriterAt::Swept(position) = state.writers[at].at else { return None };
            state.swept(position);
            state.forget_rule(node, position);
            state.writers[at].at = WriterAt::Return;
        }
        WriterStep::Unheard => {
            let WriterAt::Heard(position) = state.writers[at].at else { return None };
            if !state.is_heard_by_all(position, state.writers[at].appended, setup) {
                return None;
            }
            state.writers[at].at = WriterAt::Return;
        }
        WriterStep::SweepFails => {
            state.faults.fail = state.faults.fail.checked_sub(1)?;
            queue(state, setup, at);
        }
        WriterStep::Detach => {
            if setup.protocol.detach_on_void {
                state.detach(node, None);
            }
            state.writers[at].at = WriterAt::InsertNear;
        }
        WriterStep::InsertNear => insert_near(state, setup, at),
        WriterStep::Return => give_receipt(state, at),
    }
    Some(())
}

pub(crate) fn void(state: &mut State, setup: &Setup, at: usize) {
    let Writer { node, kind, .. } = state.writers[at];
    while let WriterAt::Void { stage, again } = state.writers[at].at {
        let next = state.void(node, kind.change(), stage, &setup.protocol);
        let (known, ticket) = (state.node(node).known, state.note(node));
        let writer = &mut state.writers[at];
        if kind.is_set() && stage == VoidStage::Fence && !again {
            writer.ticket = ticket;
        }
        writer.at = match next {
            Some(stage) => WriterAt::Void { stage, again },
            None if kind == Kind::Around && writer.version == 0 => WriterAt::Fence,
            None if again && kind == Kind::Around => WriterAt::EndWrite,
            None if again => WriterAt::Return,
            None => {
                writer.birth = if kind.is_set() { known } else { 0 };
                WriterAt::Carry
            }
        };
        if setup.fine {
            return;
        }
    }
}

fn carry(state: &mut State, setup: &Setup, at: usize) -> Option<()> {
    let Writer { node, .. } = state.writers[at];
    if state.awaits_a_beginning(setup) {
        return None;
    }
    if !state.is_ready(node, &setup.protocol) {
        write_unheard(state, at);
        queue(state, setup, at);
        return Some(());
    }
    let previous = setup.fails_over().then(|| state.last_position());
    let Some(record) = run_script(state, setup, at) else {
        state.writers[at].at = WriterAt::Detach;
        return Some(());
    };
    state.writers[at].at = if setup.protocol.void_on_acknowledgement {
        WriterAt::VoidBefore(Voiding { record, previous, stage: VoidStage::Learn })
    } else {
        acknowledged(&state.writers[at], record.position)
    };
    Some(())
}

/// Runs the script. No record, where a newer version is there.
fn run_script(state: &mut State, setup: &Setup, at: usize) -> Option<Record> {
    let Writer { node, kind, birth, .. } = state.writers[at];
    if kind == Kind::Around {
        state.lift(at);
    }
    if kind == Kind::Strict {
        state.writers[at].appended = state.now;
    }
    if !kind.is_set() {
        return Some(state.invalidate(kind.change(), state.writers[at].version, &setup.protocol));
    }
    if kind == Kind::Versioned && setup.protocol.put_compares_versions && has_newer(state, at) {
        state.writers[at].ticket.fenced |= setup.protocol.superseded_stays_out;
        return None;
    }
    write_unheard(state, at);
    let version = state.writers[at].version;
    let (record, stored) = state.put(version, birth, (kind == Kind::Replicate).then_some(node), &setup.protocol);
    // Nor does the near tier get what the shared one refused.
    state.writers[at].ticket.fenced |= !stored;
    if setup.protocol.birth_of_put {
        state.writers[at].birth = record.position;
    }
    Some(record)
}

fn has_newer(state: &State, at: usize) -> bool {
    matches!(state.redis.key, Slot::Value(entry) if entry.version > state.writers[at].version)
}

/// What a set writes is in the source, whether or not Redis runs it. One with a version has it from there.
fn write_unheard(state: &mut State, at: usize) {
    if matches!(state.writers[at].kind, Kind::Set | Kind::Replicate) {
        state.source += 1;
        state.writers[at].version = state.source;
    }
}

fn carry_fails(state: &mut State, setup: &Setup, at: usize, ran: bool, late: bool) -> Option<()> {
    let Writer { node, birth, .. } = state.writers[at];
    if !state.is_ready(node, &setup.protocol) {
        return None;
    }
    let budget = if late { &mut state.faults.late } else { &mut state.faults.fail };
    *budget = budget.checked_sub(1)?;
    if ran {
        run_script(state, setup, at);
        // Its position was never heard.
        state.writers[at].birth = birth;
    } else {
        write_unheard(state, at);
    }
    if late {
        state.redis.late.push(state.writers[at].version);
    }
    queue(state, setup, at);
    Some(())
}

fn queue(state: &mut State, setup: &Setup, at: usize) {
    let Writer { node, kind, version, .. } = state.writers[at];
    if kind == Kind::Other {
        state.writers[at].at = WriterAt::Return;
        return;
    }
    state.enqueue(node, kind.change(), version, &setup.protocol);
    state.writers[at].queued = true;
    state.writers[at].at = match kind {
        _ if kind.is_set() => WriterAt::Detach,
        _ if setup.protocol.void_again_when_queued => WriterAt::Void { stage: VoidStage::Fence, again: true },
        _ => WriterAt::Return,
    };
}

fn acknowledged(writer: &Writer, position: Position) -> WriterAt {
    match writer.kind {
        Kind::Around if writer.version == 0 => WriterAt::Change,
        Kind::Around => WriterAt::EndWrite,
        Kind::Clear | Kind::Pattern => WriterAt::Sweep(position),
        Kind::Set | Kind::Replicate | Kind::Versioned => WriterAt::Detach,
        Kind::Strict => WriterAt::Heard(position),
        Kind::Invalidate | Kind::Other => WriterAt::Return,
    }
}

fn void_before(state: &mut State, setup: &Setup, at: usize) {
    let Writer { node, .. } = state.writers[at];
    while let WriterAt::VoidBefore(voiding) = state.writers[at].at {
        let next = state.void_before(node, voiding, &setup.protocol);
        if next.is_none() && !state.stands(node, voiding) {
            return queue(state, setup, at);
        }
        state.writers[at].at = match next {
            Some(stage) => WriterAt::VoidBefore(Voiding { stage, ..voiding }),
            None => acknowledged(&state.writers[at], voiding.record.position),
        };
        if setup.fine {
            return;
        }
    }
}

/// Puts the value of a set into the near tier; where something else was under way, nothing stays there.
fn insert_near(state: &mut State, setup: &Setup, at: usize) {
    let Writer { node, version, birth, ticket, .. } = state.writers[at];
    state.writers[at].at = WriterAt::Return;
    if ticket.fenced {
        return;
    }
    if state.admits(node, ticket, birth, &setup.protocol) {
        let as_of = state.now;
        state.node_mut(node).near = Some(Entry { version, birth, as_of, limited: false });
        if setup.protocol.put_moves_epoch {
            state.move_epoch(node);
        }
    } else if setup.protocol.void_refused_put {
        state.writers[at].at = WriterAt::Void { stage: VoidStage::Fence, again: true };
    }
}

fn give_receipt(state: &mut State, at: usize) {
    let Writer { node, kind, version, queued, .. } = state.writers[at];
    if kind != Kind::Other {
        let must = &mut state.node_mut(node).must;
        *must = (*must).max(version);
        if !queued {
            state.returned[0] = state.returned[0].max(version);
        }
        if !queued && kind == Kind::Strict {
            // On every node, from now on.
            state.nodes.iter_mut().for_each(|node| node.must = node.must.max(version));
        }
    }
    let (at_end, ticket) = (WriterAt::Done, Ticket::default());
    state.writers[at] = Writer { node, kind, at: at_end, version: 0, ticket, birth: 0, queued: false, appended: 0 };
}

impl State {
    /// The script `unheard`: whether every node has applied what was appended at `position`, or may not serve what is older.
    fn is_heard_by_all(&self, position: Position, appended: u8, setup: &Setup) -> bool {
        let Setup { protocol, isolated_ttl, .. } = setup;
        let passed = |until: u8| setup.timed() && self.now >= until;
        if !protocol.strict_waits || passed(appended + setup.bound()) {
            return true;
        }
        let lost =
            protocol.strict_waits_for_the_lost && self.redis.lost_at.is_some_and(|at| !passed(at + setup.bound()));
        let lapsed = |till: u8| passed(till) && (passed(appended + isolated_ttl) || !protocol.strict_waits_for_age);
        !lost && self.redis.heard.iter().flatten().all(|node| node.applied >= position || lapsed(node.till))
    }

    /// Whether a change of `node` is on its way to Redis, or waits.
    pub(crate) fn has_debts(&self, node: u8) -> bool {
        let under_way = |at: WriterAt| matches!(at, WriterAt::VoidBefore(_) | WriterAt::Sweep(_) | WriterAt::Swept(_));
        let here = self.node(node);
        let owes = here.queue.key.is_some() || here.queue.rule.is_some() || here.drain != Drain::Idle;
        owes || self.writers.iter().any(|writer| writer.node == node && under_way(writer.at))
    }
}
