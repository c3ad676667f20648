//! Writes and invalidations, and the delivery of those that had to wait.

use crate::setup::Setup;
use crate::state::{Change, Drain, Entry, Kind, Record, State, VoidStage, Voiding, Writer, WriterAt};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriterStep {
    WriteSource,
    Void(VoidStage),
    Carry,
    CarryFails { ran: bool, late: bool },
    VoidBefore(VoidStage),
    Sweep,
    SweepFails,
    Detach,
    InsertNear,
    Return,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainStep {
    Take,
    Carry,
    CarryFails { ran: bool },
    VoidBefore(VoidStage),
    Sweep,
}

impl Kind {
    fn change(self) -> Change {
        match self {
            Self::Invalidate | Self::Set => Change::Key,
            Self::Clear => Change::Rule,
            Self::Other => Change::Other,
        }
    }
}

pub(crate) fn steps(writer: &Writer, push: &mut dyn FnMut(WriterStep)) {
    match writer.at {
        WriterAt::Start => push(WriterStep::WriteSource),
        WriterAt::Void { stage, .. } => push(WriterStep::Void(stage)),
        WriterAt::Carry => {
            push(WriterStep::Carry);
            push(WriterStep::CarryFails { ran: false, late: false });
            push(WriterStep::CarryFails { ran: true, late: false });
            if writer.kind == Kind::Set {
                push(WriterStep::CarryFails { ran: false, late: true });
            }
        }
        WriterAt::VoidBefore(voiding) => push(WriterStep::VoidBefore(voiding.stage)),
        WriterAt::Sweep => {
            push(WriterStep::Sweep);
            push(WriterStep::SweepFails);
        }
        WriterAt::Detach => push(WriterStep::Detach),
        WriterAt::InsertNear => push(WriterStep::InsertNear),
        WriterAt::Return => push(WriterStep::Return),
        WriterAt::Done => {}
    }
}

pub(crate) fn step(state: &mut State, setup: &Setup, at: usize, step: WriterStep) -> Option<()> {
    let node = state.writers[at].node;
    match step {
        WriterStep::WriteSource => {
            state.source += 1;
            state.writers[at].version = state.source;
            let next = WriterAt::Void { stage: VoidStage::Fence, again: false };
            state.writers[at].at = next;
        }
        WriterStep::Void(_) => void(state, setup, at),
        WriterStep::Carry => carry(state, setup, at),
        WriterStep::CarryFails { ran, late } => carry_fails(state, setup, at, ran, late)?,
        WriterStep::VoidBefore(_) => void_before(state, setup, at),
        WriterStep::Sweep => {
            let version = state.writers[at].version;
            state.sweep(version, &setup.protocol);
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

fn void(state: &mut State, setup: &Setup, at: usize) {
    let Writer { node, kind, .. } = state.writers[at];
    while let WriterAt::Void { stage, again } = state.writers[at].at {
        let next = state.void(node, kind.change(), stage, &setup.protocol);
        let known = state.node(node).known;
        let writer = &mut state.writers[at];
        if kind == Kind::Set && stage == VoidStage::Fence && !again {
            writer.ticket = true;
        }
        writer.at = match next {
            Some(stage) => WriterAt::Void { stage, again },
            None if again => WriterAt::Return,
            None => {
                writer.birth = if kind == Kind::Set { known } else { 0 };
                WriterAt::Carry
            }
        };
        if setup.fine {
            return;
        }
    }
}

fn carry(state: &mut State, setup: &Setup, at: usize) {
    let Writer { node, kind, .. } = state.writers[at];
    if !state.is_ready(node, &setup.protocol) {
        if kind == Kind::Set {
            write_unheard(state, at);
        }
        return queue(state, setup, at);
    }
    let record = run_script(state, setup, at);
    state.writers[at].at = if setup.protocol.void_on_acknowledgement {
        WriterAt::VoidBefore(Voiding { record, stage: VoidStage::Learn })
    } else {
        acknowledged(kind)
    };
}

fn run_script(state: &mut State, setup: &Setup, at: usize) -> Record {
    let Writer { kind, birth, .. } = state.writers[at];
    if kind != Kind::Set {
        return state.invalidate(kind.change(), state.writers[at].version, &setup.protocol);
    }
    state.source += 1;
    let version = state.source;
    state.writers[at].version = version;
    let record = state.put(version, birth, &setup.protocol);
    if setup.protocol.birth_of_put {
        state.writers[at].birth = record.position;
    }
    record
}

/// What a set that Redis did not run has written is in the source all the same.
fn write_unheard(state: &mut State, at: usize) {
    state.source += 1;
    state.writers[at].version = state.source;
}

fn carry_fails(state: &mut State, setup: &Setup, at: usize, ran: bool, late: bool) -> Option<()> {
    let Writer { node, kind, birth, .. } = state.writers[at];
    if !state.is_ready(node, &setup.protocol) {
        return None;
    }
    let budget = if late { &mut state.faults.late } else { &mut state.faults.fail };
    *budget = budget.checked_sub(1)?;
    if ran {
        run_script(state, setup, at);
        // Its position was never heard.
        state.writers[at].birth = birth;
    } else if kind == Kind::Set {
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
        Kind::Set => WriterAt::Detach,
        _ if setup.protocol.void_again_when_queued => WriterAt::Void { stage: VoidStage::Fence, again: true },
        _ => WriterAt::Return,
    };
}

fn acknowledged(kind: Kind) -> WriterAt {
    match kind {
        Kind::Clear => WriterAt::Sweep,
        Kind::Set => WriterAt::Detach,
        Kind::Invalidate | Kind::Other => WriterAt::Return,
    }
}

fn void_before(state: &mut State, setup: &Setup, at: usize) {
    let Writer { node, kind, .. } = state.writers[at];
    while let WriterAt::VoidBefore(voiding) = state.writers[at].at {
        let next = state.void_before(node, voiding, setup.protocol.learn_on_acknowledgement, &setup.protocol);
        state.writers[at].at = match next {
            Some(stage) => WriterAt::VoidBefore(Voiding { stage, ..voiding }),
            None => acknowledged(kind),
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
    if state.admits(node, ticket, birth, &setup.protocol) {
        let as_of = state.now;
        state.node_mut(node).near = Some(Entry { version, birth, as_of });
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
    }
    state.writers[at] = Writer { node, kind, at: WriterAt::Done, version: 0, ticket: false, birth: 0, queued: false };
}

pub(crate) fn drain_steps(state: &State, node: u8, push: &mut dyn FnMut(DrainStep)) {
    let node = state.node(node);
    match node.drain {
        Drain::Idle if node.queue.key.is_some() || node.queue.rule.is_some() => push(DrainStep::Take),
        Drain::Idle => {}
        Drain::Carry(..) => {
            push(DrainStep::Carry);
            push(DrainStep::CarryFails { ran: false });
            push(DrainStep::CarryFails { ran: true });
        }
        Drain::Void(voiding) => push(DrainStep::VoidBefore(voiding.stage)),
        Drain::Sweep(_) => push(DrainStep::Sweep),
    }
}

pub(crate) fn drain_step(state: &mut State, setup: &Setup, node: u8, step: DrainStep) -> Option<()> {
    match (step, state.node(node).drain) {
        (DrainStep::Take, _) => {
            let queue = &mut state.node_mut(node).queue;
            let (change, owed) =
                if queue.key.is_some() { (Change::Key, queue.key.take()) } else { (Change::Rule, queue.rule.take()) };
            state.node_mut(node).drain = Drain::Carry(change, owed?);
        }
        (DrainStep::Carry, Drain::Carry(change, version)) => {
            let record = state.invalidate(change, version, &setup.protocol);
            state.node_mut(node).drain = Drain::Void(Voiding { record, stage: VoidStage::Learn });
        }
        (DrainStep::CarryFails { ran }, Drain::Carry(change, version)) => {
            state.faults.fail = state.faults.fail.checked_sub(1)?;
            if ran {
                state.invalidate(change, version, &setup.protocol);
            }
            state.node_mut(node).drain = Drain::Idle;
            state.enqueue(node, change, version, &setup.protocol);
        }
        (DrainStep::VoidBefore(_), _) => drain_void(state, setup, node),
        (DrainStep::Sweep, Drain::Sweep(version)) => {
            state.sweep(version, &setup.protocol);
            state.node_mut(node).drain = Drain::Idle;
        }
        _ => return None,
    }
    Some(())
}

fn drain_void(state: &mut State, setup: &Setup, node: u8) {
    while let Drain::Void(voiding) = state.node(node).drain {
        let next = state.void_before(node, voiding, setup.protocol.learn_on_acknowledgement, &setup.protocol);
        state.node_mut(node).drain = match next {
            Some(stage) => Drain::Void(Voiding { stage, ..voiding }),
            None if voiding.record.change == Change::Rule => Drain::Sweep(voiding.record.version),
            None => Drain::Idle,
        };
        if setup.fine {
            return;
        }
    }
}
