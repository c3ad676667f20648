//! What the steps of different actors have in common: the scripts of Redis, and the state that one node keeps.

use crate::protocol::Protocol;
use crate::setup::Setup;
use crate::state::{
    CallerAt, Change, Drain, Entry, Flight, Link, Message, Node, Position, Record, START, Slot, State, Ticket,
    VoidStage, Voiding,
};

impl State {
    pub(crate) fn node(&self, node: u8) -> &Node {
        &self.nodes[usize::from(node)]
    }

    pub(crate) fn node_mut(&mut self, node: u8) -> &mut Node {
        &mut self.nodes[usize::from(node)]
    }

    /// Specification: what a read that starts now on `node` must see at the least.
    pub(crate) fn must(&self, node: u8) -> u8 {
        self.node(node).must.max(self.returned.last().copied().unwrap_or(0))
    }

    /// Specification: what the tiers of `node` must give at the least. A fence that lapses is no invalidation: a load that
    /// began under it may end later, and be shared by then, but is not stored.
    pub(crate) fn tiers_must(&self, node: u8, setup: &Setup) -> u8 {
        let (lapsed, at) = self.lapsed;
        let bounded = if setup.timed() && self.now >= at + setup.bound() { lapsed } else { 0 };
        self.must(node).max(self.node(node).tiers_must).max(bounded)
    }

    /// What the near tier of `node` may serve now.
    pub(crate) fn servable(&self, node: u8, setup: &Setup) -> Option<Entry> {
        let trusted = self.is_trusted(node, setup) || !setup.protocol.isolation;
        let by_age = |entry: &Entry| self.now < entry.as_of + setup.isolated_ttl;
        self.node(node).near.filter(|entry| trusted && !entry.limited || by_age(entry))
    }

    /// Whether `node` may serve what it holds whatever its age.
    fn is_trusted(&self, node: u8, setup: &Setup) -> bool {
        !setup.timed() || self.now < self.node(node).until
    }

    /// Whether callers that come to `node` now join `flight`.
    pub(crate) fn is_joined(&self, node: u8, flight: Flight, setup: &Setup) -> bool {
        let Flight::Attached { began, .. } = flight else { return false };
        let bounded = setup.protocol.isolated_flights_age && !self.is_trusted(node, setup);
        !bounded || self.now < began + setup.isolated_ttl
    }

    /// Whether `node` may ask the far tier.
    pub(crate) fn is_ready(&self, node: u8, protocol: &Protocol) -> bool {
        let node = self.node(node);
        let backlog = node.queue.key.is_some() || node.queue.rule.is_some() || node.drain != Drain::Idle;
        node.listener.link != Link::Gone && !(backlog && protocol.backlog_blocks_reads)
    }

    /// Appends a record to the journal and publishes it.
    pub(crate) fn append(&mut self, change: Change, version: u8, protocol: &Protocol) -> Record {
        let redis = &mut self.redis;
        let previous = redis.journal.last().map_or(START, |record| record.position);
        let record = Record { position: redis.next, change, version };
        redis.next += 1;
        redis.journal.push(record);
        match change {
            Change::Clear => redis.cleared = record.position,
            Change::Pattern => redis.pattern = record.position,
            Change::Key | Change::Fence(_) | Change::Other => {}
        }
        if change != Change::Other {
            redis.announced = redis.announced.max(version);
        }
        for node in &mut self.nodes {
            let listener = &mut node.listener;
            if listener.link == Link::Open && (protocol.subscribe_first || !listener.connecting) {
                listener.messages.push(Message { previous, record, swept: false, replica: None });
            }
        }
        record
    }

    /// The script `invalidate`.
    pub(crate) fn invalidate(&mut self, change: Change, version: u8, protocol: &Protocol) -> Record {
        if change == Change::Key {
            let fenced = matches!(self.redis.key, Slot::Fence(_)) && protocol.fence_outlives_invalidations;
            self.redis.key = if fenced { self.redis.key } else { Slot::Absent };
            self.redis.floor = self.redis.floor.max(version);
        }
        self.append(change, version, protocol)
    }

    pub(crate) fn sweep(&mut self, version: u8, protocol: &Protocol) {
        let fenced = matches!(self.redis.key, Slot::Fence(_)) && protocol.fence_outlives_sweeps;
        if protocol.sweep && !fenced {
            self.redis.key = Slot::Absent;
        }
        self.redis.floor = self.redis.floor.max(version);
    }

    /// The script `put`, and whether it stored. `replica` is the node whose value is sent along.
    pub(crate) fn put(
        &mut self,
        version: u8,
        birth: Position,
        replica: Option<u8>,
        protocol: &Protocol,
    ) -> (Record, bool) {
        let record = self.append(Change::Key, version, protocol);
        let birth = if protocol.birth_of_put { record.position } else { birth };
        let stores = !matches!(self.redis.key, Slot::Fence(_)) || !protocol.fence_bars_sets;
        if stores {
            self.redis.key = Slot::Value(Entry { version, birth, as_of: 0, limited: false });
            let messages = self.nodes.iter_mut().filter_map(|node| node.listener.messages.last_mut());
            for message in messages.filter(|message| message.record.position == record.position) {
                message.replica = replica.map(|node| (version, node));
            }
        }
        self.redis.floor = self.redis.floor.max(version);
        (record, stores)
    }

    /// Moves the epoch: whoever noted it cannot insert any more.
    pub(crate) fn move_epoch(&mut self, node: u8) {
        self.callers.iter_mut().filter(|caller| caller.node == node).for_each(|caller| caller.ticket.stands = false);
        self.writers.iter_mut().filter(|writer| writer.node == node).for_each(|writer| writer.ticket.stands = false);
        let taking = self.node_mut(node).listener.taking.as_mut().and_then(|taking| taking.ticket.as_mut());
        taking.into_iter().for_each(|ticket| ticket.stands = false);
    }

    pub(crate) fn detach(&mut self, node: u8, position: Option<Position>) {
        for caller in self.callers.iter_mut().filter(|caller| caller.node == node) {
            if matches!(caller.flight, Flight::Attached { born, .. } if position.is_none_or(|position| born < position))
            {
                caller.flight = Flight::Detached;
            }
        }
    }

    /// Whether an entry born at `birth` and read with `ticket` may go into the near tier.
    pub(crate) fn admits(&self, node: u8, ticket: Ticket, birth: Position, protocol: &Protocol) -> bool {
        let stands = ticket.stands || !protocol.epoch_on_insert;
        let voided_before = self.node(node).voided_before;
        let unmoved = voided_before == ticket.voided_before || voided_before <= birth;
        stands && (unmoved || !protocol.voided_before_on_insert) && !self.is_ruled_out(node, birth, protocol)
    }

    /// Whether a rule that is known voids what was born at `birth`.
    pub(crate) fn is_ruled_out(&self, node: u8, birth: Position, protocol: &Protocol) -> bool {
        let node = self.node(node);
        protocol.rules_on_far_reads && (birth < node.cleared || birth < node.pattern)
    }

    /// What a reader notes before it asks.
    pub(crate) fn note(&self, node: u8) -> Ticket {
        let state = self.node(node);
        let fenced = state.writes > 0 || state.fenced;
        Ticket { stands: true, voided_before: state.voided_before, rules_stand: true, fenced }
    }

    /// The script `swept`: everything that the pattern at `position` covered is gone.
    pub(crate) fn swept(&mut self, position: Position) {
        if self.redis.pattern != position {
            return;
        }
        self.redis.pattern = START;
        let record = Record { position, change: Change::Pattern, version: 0 };
        for node in &mut self.nodes {
            if node.listener.link == Link::Open {
                node.listener.messages.push(Message { previous: START, record, swept: true, replica: None });
            }
        }
    }

    /// Forgets a pattern, unless it was given again since.
    pub(crate) fn forget_rule(&mut self, node: u8, position: Position) {
        if self.node(node).pattern == START || self.node(node).pattern > position {
            return;
        }
        self.node_mut(node).pattern = START;
        let readers = self.callers.iter_mut().filter(|caller| caller.node == node);
        readers.for_each(|caller| caller.ticket.rules_stand = false);
    }

    /// One stage of `void`, and the stage after it.
    pub(crate) fn void(
        &mut self,
        node: u8,
        change: Change,
        stage: VoidStage,
        protocol: &Protocol,
    ) -> Option<VoidStage> {
        let removes_at_once = change == Change::Key;
        match stage {
            VoidStage::Learn | VoidStage::Fence => {
                self.move_epoch(node);
                if removes_at_once {
                    self.node_mut(node).near = None;
                }
            }
            VoidStage::Remove => self.node_mut(node).near = None,
            VoidStage::Detach => {
                if protocol.detach_on_void {
                    self.detach(node, None);
                }
            }
        }
        after(stage, removes_at_once, protocol)
    }

    /// One stage of `void_before`, and the stage after it.
    pub(crate) fn void_before(&mut self, node: u8, voiding: Voiding, protocol: &Protocol) -> Option<VoidStage> {
        let Record { position, change, .. } = voiding.record;
        // A node knows of its own writes, and when they end.
        let fences = matches!(change, Change::Fence(by) if by != node);
        let removes_at_once = matches!(change, Change::Key | Change::Fence(_));
        if fences && voiding.stage == VoidStage::Fence && protocol.fence_voids_any_birth {
            self.move_epoch(node);
            self.node_mut(node).near = None;
        }
        let fails_over = self.fails_over();
        let holds = matches!(change, Change::Fence(by) if by != node) && self.redis.fences != 0;
        let state = self.node_mut(node);
        let remove = |state: &mut Node| {
            if state.near.is_some_and(|entry| entry.birth < position) {
                state.near = None;
            }
        };
        match voiding.stage {
            VoidStage::Learn => {
                state.known = state.known.max(position);
                if fails_over {
                    state.remember(voiding, protocol);
                }
                return (change != Change::Other).then_some(VoidStage::Fence);
            }
            VoidStage::Fence => {
                state.fenced |= holds;
                match change {
                    Change::Clear => state.cleared = state.cleared.max(position),
                    Change::Pattern => state.pattern = state.pattern.max(position),
                    Change::Key | Change::Fence(_) | Change::Other => {}
                }
                state.voided_before = state.voided_before.max(position);
                if removes_at_once {
                    remove(state);
                }
            }
            VoidStage::Remove => remove(state),
            VoidStage::Detach => {
                if protocol.detach_on_record {
                    self.detach(node, (!fences).then_some(position));
                }
            }
        }
        after(voiding.stage, removes_at_once, protocol)
    }

    /// One stage of `begin`, and the stage after it.
    pub(crate) fn begin(
        &mut self,
        node: u8,
        last: Position,
        stage: VoidStage,
        protocol: &Protocol,
    ) -> Option<VoidStage> {
        let (cleared, pattern, fails_over) = (self.redis.cleared, self.redis.pattern, self.fails_over());
        let state = self.node_mut(node);
        match stage {
            VoidStage::Learn => {
                state.renewed = if state.applied.is_some() && fails_over { last } else { START };
                state.applied = Some(last);
                state.known = last;
                state.recent.clear();
                state.lost = false;
                (state.cleared, state.pattern) =
                    if protocol.rules_loaded_on_begin { (cleared, pattern) } else { (START, START) };
                return Some(VoidStage::Fence);
            }
            VoidStage::Fence => {
                if protocol.reset_voids_fills {
                    state.voided_before = START;
                    self.move_epoch(node);
                }
            }
            VoidStage::Remove => {
                if protocol.reset_removes {
                    state.near = None;
                }
            }
            VoidStage::Detach => self.detach(node, None),
        }
        after(stage, false, protocol)
    }

    /// Remembers a change that the far tier has yet to hear of.
    pub(crate) fn enqueue(&mut self, node: u8, change: Change, version: u8, protocol: &Protocol) {
        let state = self.node_mut(node);
        let in_delivery = match state.drain {
            Drain::Idle => None,
            Drain::Carry(change, _) => Some(change),
            Drain::Void(voiding) => Some(voiding.record.change),
            Drain::Sweep(_) => Some(Change::Clear),
        };
        if !protocol.queue_when_failed || (!protocol.queue_during_delivery && in_delivery == Some(change)) {
            return;
        }
        let owed = if change == Change::Key { &mut state.queue.key } else { &mut state.queue.rule };
        *owed = Some(owed.map_or(version, |owed| owed.max(version)));
    }

    /// Ends the flight of `caller`: whoever waits for it has its value.
    pub(crate) fn end_flight(&mut self, caller: usize) {
        let Some(version) = self.callers[caller].held.map(|entry| entry.version) else { return };
        let leader = u8::try_from(caller).unwrap_or(u8::MAX);
        for waiting in 0..self.callers.len() {
            if waiting == caller || self.callers[waiting].at == CallerAt::Follow(leader) {
                self.give(waiting, version);
            }
        }
    }

    /// Answers a caller.
    pub(crate) fn give(&mut self, caller: usize, version: u8) {
        let caller = &mut self.callers[caller];
        self.stale_read |= version < caller.must;
        caller.at = CallerAt::Done;
        caller.flight = Flight::None;
        caller.ticket = Ticket::default();
        caller.held = None;
        caller.must = 0;
    }
}

/// The stage after `stage`, where the fence may have removed already.
fn after(stage: VoidStage, removes_at_once: bool, protocol: &Protocol) -> Option<VoidStage> {
    match (stage, removes_at_once, protocol.detach_last) {
        (VoidStage::Learn | VoidStage::Fence, true, _) => Some(VoidStage::Detach),
        (VoidStage::Learn | VoidStage::Fence, false, true) => Some(VoidStage::Remove),
        (VoidStage::Learn | VoidStage::Fence, false, false) => Some(VoidStage::Detach),
        (VoidStage::Remove, false, true) => Some(VoidStage::Detach),
        (VoidStage::Detach, false, false) => Some(VoidStage::Remove),
        _ => None,
    }
}
