//! Writes of the source between a fence and an invalidation, and fences that lapse.

use crate::protocol::Protocol;
use crate::setup::Setup;
use crate::state::{
    Caller, CallerAt, Change, Drain, Flight, Link, Queue, Record, Slot, State, Ticket, VoidStage, Voiding, Writer,
    WriterAt,
};
use crate::writers::{self, WriterStep};

pub(crate) fn steps(writer: &Writer, push: &mut dyn FnMut(WriterStep)) {
    match writer.at {
        WriterAt::Start => push(WriterStep::WriteSource),
        WriterAt::Fence => {
            push(WriterStep::Fence);
            push(WriterStep::FenceFails { ran: false });
            push(WriterStep::FenceFails { ran: true });
        }
        WriterAt::Change => push(WriterStep::WriteSource),
        WriterAt::EndWrite => push(WriterStep::EndWrite),
        WriterAt::Gone { pending: true } => push(WriterStep::SourceLate),
        _ => {}
    }
    // Between these it makes no difference where the writer is.
    if matches!(writer.at, WriterAt::Change | WriterAt::Carry | WriterAt::EndWrite) {
        push(WriterStep::Go { process: false });
        push(WriterStep::Go { process: true });
    }
}

pub(crate) fn step(state: &mut State, setup: &Setup, at: usize, step: WriterStep) -> Option<()> {
    let node = state.writers[at].node;
    match step {
        WriterStep::Fence => {
            let next = if state.is_ready(node, &setup.protocol) {
                let record = state.fence(at, &setup.protocol);
                WriterAt::VoidBefore(Voiding { record, previous: None, stage: VoidStage::Learn })
            } else {
                WriterAt::Change
            };
            state.writers[at].at = next;
        }
        WriterStep::FenceFails { ran } => {
            state.faults.fail = state.faults.fail.checked_sub(1)?;
            if ran {
                state.fence(at, &setup.protocol);
            }
            state.writers[at].at = WriterAt::Change;
        }
        WriterStep::EndWrite => {
            state.node_mut(node).writes -= 1;
            state.writers[at].at = WriterAt::Return;
        }
        WriterStep::Go { process } => go(state, setup, at, process)?,
        WriterStep::SourceLate => {
            state.source += 1;
            state.writers[at].at = WriterAt::Gone { pending: false };
        }
        _ => return None,
    }
    Some(())
}

/// `begin_write`, and the write itself.
pub(crate) fn write(state: &mut State, setup: &Setup, at: usize) {
    let node = state.writers[at].node;
    if state.writers[at].at == WriterAt::Start {
        state.node_mut(node).writes += 1;
    } else {
        state.source += 1;
        state.writers[at].version = state.source;
    }
    state.writers[at].at = WriterAt::Void { stage: VoidStage::Fence, again: false };
    if !setup.fine {
        writers::void(state, setup, at);
    }
}

/// A writer goes away, with its process or without. One that has put no fence is left out: nothing is promised then.
fn go(state: &mut State, setup: &Setup, at: usize, process: bool) -> Option<()> {
    let Writer { node, version, .. } = state.writers[at];
    if state.redis.fences & bit(at) == 0 {
        return None;
    }
    let budget = if process { &mut state.faults.crash } else { &mut state.faults.abandon };
    *budget = budget.checked_sub(1)?;
    state.writers[at] = gone(&state.writers[at], version == 0);
    if process {
        end(state, node);
        return Some(());
    }
    let here = state.node_mut(node);
    here.writes -= 1;
    here.fenced |= setup.protocol.fence_outlives_its_caller;
    let source = state.source;
    state.enqueue(node, Change::Key, source, &setup.protocol);
    for stage in [VoidStage::Fence, VoidStage::Detach] {
        state.void(node, Change::Key, stage, &setup.protocol);
    }
    Some(())
}

fn gone(writer: &Writer, pending: bool) -> Writer {
    let Writer { node, kind, .. } = *writer;
    let at = WriterAt::Gone { pending };
    Writer { node, kind, at, version: 0, ticket: Ticket::default(), birth: 0, queued: false, appended: 0 }
}

/// The process of `node` dies with all that it does and holds.
fn end(state: &mut State, node: u8) {
    let here = state.node_mut(node);
    (here.near, here.queue, here.drain) = (None, Queue::default(), Drain::Idle);
    here.listener.link = Link::Gone;
    here.listener.messages.clear();
    here.listener.page.clear();
    (here.listener.applying, here.listener.taking, here.listener.beginning) = (None, None, None);
    for writer in state.writers.iter_mut().filter(|writer| writer.node == node) {
        if !matches!(writer.at, WriterAt::Done | WriterAt::Gone { .. }) {
            *writer = gone(writer, false);
        }
    }
    for caller in state.callers.iter_mut().filter(|caller| caller.node == node && caller.at != CallerAt::Done) {
        let (ticket, flight) = (Ticket::default(), Flight::None);
        *caller = Caller { node, at: CallerAt::Dead, flight, ticket, held: None, must: 0 };
    }
}

/// The fences of those that have gone away lapse. What the source did not carry out by then it does not carry out.
pub(crate) fn lapse(state: &mut State) -> Option<()> {
    let gone = |writer: &Writer| matches!(writer.at, WriterAt::Gone { .. } | WriterAt::Done);
    let holds = |(at, writer): (usize, &Writer)| state.redis.fences & bit(at) != 0 && !gone(writer);
    if state.writers.iter().enumerate().any(holds) {
        return None;
    }
    for writer in &mut state.writers {
        if matches!(writer.at, WriterAt::Gone { .. }) {
            writer.at = WriterAt::Gone { pending: false };
        }
    }
    if matches!(state.redis.key, Slot::Fence(_)) {
        state.redis.key = Slot::Absent;
    }
    state.redis.fences = 0;
    state.promise();
    Some(())
}

fn bit(writer: usize) -> u8 {
    1 << writer
}

impl State {
    /// The script `fence`.
    fn fence(&mut self, at: usize, protocol: &Protocol) -> Record {
        let node = self.writers[at].node;
        let others = match self.redis.key {
            Slot::Fence(others) if protocol.fences_join => others,
            _ => 0,
        };
        self.redis.fences |= bit(at);
        self.redis.key = if protocol.fence_around_writes { Slot::Fence(others | bit(at)) } else { Slot::Absent };
        self.append(Change::Fence(node), 0, protocol)
    }

    /// Lifts the fence of a writer.
    pub(crate) fn lift(&mut self, at: usize) {
        self.redis.fences &= !bit(at);
        if let Slot::Fence(fences) = self.redis.key {
            let left = fences & !bit(at);
            self.redis.key = if left == 0 { Slot::Absent } else { Slot::Fence(left) };
        }
        if self.redis.fences == 0 {
            self.nodes.iter_mut().for_each(|node| node.fenced = false);
        }
    }

    /// Specification: with the fence gone, nobody who has heard of it, or hears of it later, may give what is older than the
    /// source. Whoever never hears of it may for as long as a node that hears nothing.
    fn promise(&mut self) {
        let source = self.source;
        self.redis.floor = self.redis.floor.max(source);
        self.lapsed = (source, self.now);
        let raise = |record: &mut Record| {
            if matches!(record.change, Change::Fence(_)) {
                record.version = source;
            }
        };
        self.redis.journal.iter_mut().for_each(raise);
        for (at, node) in self.nodes.iter_mut().enumerate() {
            let left = |writer: &Writer| usize::from(writer.node) == at && matches!(writer.at, WriterAt::Gone { .. });
            if std::mem::take(&mut node.fenced) || self.writers.iter().any(left) {
                node.tiers_must = node.tiers_must.max(source);
            }
            node.listener.messages.iter_mut().for_each(|message| raise(&mut message.record));
            node.listener.page.iter_mut().for_each(raise);
            node.listener.applying.iter_mut().for_each(|voiding| raise(&mut voiding.record));
        }
    }
}
