//! A server that takes over from another and lacks its latest, and what nodes do about that.

use std::ops::Bound;

use crate::faults::cut;
use crate::listener;
use crate::protocol::Protocol;
use crate::setup::{Begins, Setup};
use crate::state::{
    Asked, Change, Drain, Follower, Link, Node, Position, START, Slot, State, VoidStage, Voiding, WriterAt,
};

/// The follower has what there is now, and nothing that comes later.
pub(crate) fn fall_behind(state: &mut State) -> Option<()> {
    state.faults.failover = state.faults.failover.checked_sub(1)?;
    let redis = &state.redis;
    let (key, journal, next) = (redis.key, redis.journal.clone(), redis.next);
    let (cleared, pattern) = (redis.cleared, redis.pattern);
    state.redis.follower = Some(Box::new(Follower { key, journal, next, cleared, pattern }));
    Some(())
}

pub(crate) fn take_over(state: &mut State, setup: &Setup) -> Option<()> {
    let follower = state.redis.follower.take()?;
    let redis = &mut state.redis;
    (redis.key, redis.journal) = (follower.key, follower.journal);
    (redis.cleared, redis.pattern) = (follower.cleared, follower.pattern);
    if setup.collide {
        redis.next = follower.next;
    }
    redis.failed_over = true;
    for node in 0..setup.nodes {
        // One that is not connected loses nothing.
        let _ = cut(state, node);
    }
    Some(())
}

/// Specification: with everything delivered, nothing stays that the nodes know to be invalidated.
pub(crate) fn settled(setup: &Setup, state: &State) -> bool {
    let last = state.last_position();
    let rests = |node: &Node| {
        let listener = &node.listener;
        let busy = listener.connecting || listener.asked.is_some() || listener.catching_up.is_some();
        let owes = node.queue.key.is_some() || node.queue.rule.is_some() || node.drain != Drain::Idle;
        let heard = listener.messages.is_empty() && listener.page.is_empty() && node.applied == Some(last);
        listener.link == Link::Open && heard && !busy && !owes && !node.lost && node.known <= last
    };
    // One that has no bus promises nothing here.
    let over = state.redis.failed_over
        && state.nodes.iter().skip(usize::from(setup.deaf)).all(rests)
        && state.writers.iter().all(|writer| writer.at == WriterAt::Done);
    let announced = state.redis.announced;
    let accepts = |node, birth| !state.is_ruled_out(node, birth, &setup.protocol);
    let old = |node| matches!(state.redis.key, Slot::Value(it) if it.version < announced && accepts(node, it.birth));
    let near = |node| state.servable(node, setup).is_none_or(|entry| entry.version >= announced);
    !over || (setup.deaf..setup.nodes).all(|node| near(node) && !old(node))
}

/// The script `begin`.
pub(crate) fn raise(state: &mut State, setup: &Setup, node: u8) {
    let known = state.node(node).known;
    if setup.fails_over() && setup.protocol.begin_raises && state.last_position() < known {
        state.redis.next = state.redis.next.max(known + 1);
        state.append(Change::Other, 0, &setup.protocol);
    }
}

/// Compares the journal's end with what this node knows.
pub(crate) fn compare(state: &mut State, setup: &Setup, node: u8, asked: Asked, applied: Position) {
    if state.node(node).listener.connecting {
        state.node_mut(node).listener.catching_up = Some(asked.last);
    } else if asked.last < asked.known || state.node(node).lost {
        reset(state, setup, node);
    } else if asked.last > applied {
        state.node_mut(node).listener.catching_up = Some(asked.last);
    } else {
        listener::confirm(state, setup, node, asked);
    }
}

/// A page of the journal, from the last record that was applied.
pub(crate) fn read_after(state: &mut State, setup: &Setup, node: u8, applied: Position, last: Position) {
    let first = state.redis.journal.iter().find(|record| record.position >= applied).copied();
    let goes_on = first
        .map_or(applied == START, |first| first.position == applied && state.node(node).agrees(applied, first.change));
    let newest = state.last_position();
    if !goes_on && setup.protocol.replay_from_the_last || newest < last && newest <= applied {
        return reset(state, setup, node);
    }
    let records: Vec<_> = state.redis.journal.iter().filter(|record| record.position > applied).copied().collect();
    if records.is_empty() {
        listener::finish_catching_up(state, setup, node);
    } else {
        state.node_mut(node).listener.page = records;
    }
}

/// Goes on from the journal's end, and has done again what it lacks.
pub(crate) fn reset(state: &mut State, setup: &Setup, node: u8) {
    raise(state, setup, node);
    let lost = state.missing(node);
    let last = state.last_position();
    let listener = &mut state.node_mut(node).listener;
    let asked = listener.asked.take();
    listener.page.clear();
    listener.catching_up = None;
    listener::start_beginning(state, setup, node, last);
    if let Some(asked) = asked {
        listener::confirm(state, setup, node, asked);
    }
    for change in lost.into_iter().filter(|_| setup.protocol.lost_is_owed) {
        let source = state.source;
        for stage in [VoidStage::Fence, VoidStage::Remove, VoidStage::Detach] {
            state.void(node, change, stage, &setup.protocol);
        }
        state.enqueue(node, change, source, &setup.protocol);
    }
}

impl Node {
    /// Whether a journal that this node knows can have a record at `position`, and the one before it at `previous`.
    pub(crate) fn allows(&self, previous: Position, position: Position, protocol: &Protocol) -> bool {
        let between = (Bound::Excluded(previous), Bound::Excluded(position));
        !protocol.nothing_between || previous >= position || self.recent.range(between).next().is_none()
    }

    pub(crate) fn agrees(&self, position: Position, change: Change) -> bool {
        self.recent.get(&position).is_none_or(|known| *known == change)
    }

    /// Remembers a record, and notices by one of this node that the journal has lost others.
    pub(crate) fn remember(&mut self, voiding: Voiding, protocol: &Protocol) {
        let position = voiding.record.position;
        if let Some(previous) = voiding.previous {
            let late =
                self.applied >= Some(position) && position > self.renewed && !self.recent.contains_key(&position);
            let known = !late && self.agrees(position, voiding.record.change);
            let noticed = !known && protocol.late_acknowledgement_noticed;
            self.lost |= noticed || !self.allows(previous, position, protocol);
        }
        if position > self.renewed {
            // What is delivered again is never what was remembered first.
            self.recent.entry(position).or_insert(voiding.record.change);
        }
    }
}

impl State {
    /// Whether nobody appends yet: a node knows of a later position, and has not come back.
    pub(crate) fn awaits_a_beginning(&self, setup: &Setup) -> bool {
        setup.begins == Begins::Lost && self.nodes.iter().any(|node| node.known > self.last_position())
    }

    pub(crate) fn fails_over(&self) -> bool {
        self.faults.failover > 0 || self.redis.follower.is_some() || self.redis.failed_over
    }

    pub(crate) fn last_position(&self) -> Position {
        self.redis.journal.last().map_or(START, |record| record.position)
    }

    /// Whether the journal that a record of this node went to is still the one that the node follows.
    pub(crate) fn stands(&self, node: u8, voiding: Voiding) -> bool {
        let (node, position) = (self.node(node), voiding.record.position);
        voiding.previous.is_none() || position > node.renewed && node.agrees(position, voiding.record.change)
    }

    /// What `node` remembers and the journal lacks.
    fn missing(&self, node: u8) -> Vec<Change> {
        let (node, journal) = (self.node(node), &self.redis.journal);
        let Some(oldest) = journal.first().map(|record| record.position) else { return Vec::new() };
        let cleared_after =
            |at: Position| journal.iter().any(|record| record.position > at && record.change == Change::Clear);
        let has = |at: Position, change: Option<Change>| {
            journal.iter().any(|record| record.position == at && change.is_none_or(|change| change == record.change))
        };
        if oldest <= node.renewed && node.renewed != START && !has(node.renewed, None) {
            let last = node.recent.last_key_value().map_or(node.renewed, |(last, _)| *last);
            return if cleared_after(last) { Vec::new() } else { vec![Change::Clear] };
        }
        let missing = node.recent.range(oldest..).filter(|(at, change)| !has(**at, Some(**change)));
        let missing: Vec<_> = missing.filter(|(_, change)| **change != Change::Other).collect();
        let cleared = missing.last().is_some_and(|(at, _)| cleared_after(**at));
        if cleared { Vec::new() } else { missing.into_iter().map(|(_, change)| *change).collect() }
    }
}
