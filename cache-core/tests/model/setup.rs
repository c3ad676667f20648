//! What is explored: who does what, which faults may happen, and which fences stand.

use crate::protocol::Protocol;
use crate::state::{
    Caller, CallerAt, Change, Drain, Faults, Flight, Kind, Link, Listener, Node, Position, Queue, Record, Redis,
    Registration, START, Slot, State, Ticket, VoidStage, Writer, WriterAt,
};

#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) title: &'static str,
    pub(crate) nodes: u8,
    /// The node of each caller.
    pub(crate) callers: Vec<u8>,
    pub(crate) writers: Vec<(u8, Kind)>,
    pub(crate) faults: Faults,
    pub(crate) protocol: Protocol,
    /// Every lock that is taken alone is a step of its own, instead of one step for a whole `void`, `apply` or `begin`.
    pub(crate) fine: bool,
    /// The key is in Redis from the start.
    pub(crate) far_warm: bool,
    /// The key is in the near tier of every node from the start.
    pub(crate) near_warm: bool,
    /// Nodes start without a connection to the bus, and without having read the journal.
    pub(crate) joining: bool,
    /// How many nodes, from the first on, never have a connection to the bus.
    pub(crate) deaf: u8,
    /// The records of a journal that starts anew stand lower than those of the one before it: the server's clock went
    /// back. Far enough back, and with enough records since, the protocol cannot tell the two journals apart.
    pub(crate) clock_back: bool,
    /// What is appended after a failover may stand where something stood that was lost.
    pub(crate) collide: bool,
    pub(crate) begins: Begins,
    /// Within how many ticks a node that is well has asked again and heard the answer.
    pub(crate) heartbeat: u8,
    /// For how many ticks a node serves what it has read or loaded itself, whatever it hears.
    pub(crate) isolated_ttl: u8,
}

/// In the midst of what an exploration begins: a few steps that it need not find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begins {
    AtRest,
    /// After a failover that lost the record of which the last node knows, and at whose position an entry was born that is
    /// in Redis and in the near tier of the first node. Positions are times: nobody appends before those who know of later
    /// ones are back.
    Lost,
    /// The first writer, of the first node, has put its fence. The last node has yet to hear of that, and knows of a later
    /// record already.
    Fenced,
}

/// What is explored, without faults and from an empty cache.
pub(crate) fn setup(nodes: u8, callers: &[u8], writers: &[(u8, Kind)]) -> Setup {
    Setup {
        title: "",
        nodes,
        callers: callers.to_vec(),
        writers: writers.to_vec(),
        faults: Faults::NONE,
        protocol: Protocol::WHOLE,
        fine: false,
        far_warm: false,
        near_warm: false,
        joining: false,
        deaf: 0,
        clock_back: false,
        collide: false,
        begins: Begins::AtRest,
        heartbeat: 2,
        isolated_ttl: 1,
    }
}

impl Setup {
    pub(crate) fn faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    pub(crate) fn fine(self) -> Self {
        Self { fine: true, ..self }
    }

    pub(crate) fn far_warm(self) -> Self {
        Self { far_warm: true, ..self }
    }

    pub(crate) fn warm(self) -> Self {
        Self { far_warm: true, near_warm: true, ..self }
    }

    pub(crate) fn joining(self) -> Self {
        Self { joining: true, ..self }
    }

    pub(crate) fn deaf(self) -> Self {
        Self { deaf: self.nodes, ..self }
    }

    /// The first node never has a connection to the bus: what it hears is of no matter.
    pub(crate) fn first_deaf(self) -> Self {
        Self { deaf: 1, ..self }
    }

    pub(crate) fn collide(self) -> Self {
        Self { collide: true, ..self }
    }

    pub(crate) fn lost(self) -> Self {
        Self { begins: Begins::Lost, collide: true, ..self }
    }

    pub(crate) fn fenced(self) -> Self {
        Self { begins: Begins::Fenced, ..self }
    }

    pub(crate) fn clock_back(self) -> Self {
        Self { clock_back: true, ..self }
    }

    pub(crate) fn fails_over(&self) -> bool {
        self.faults.failover > 0 || self.begins == Begins::Lost
    }

    /// Whether a writer waits for nodes that have not heard.
    fn is_strict(&self) -> bool {
        self.writers.iter().any(|(_, kind)| *kind == Kind::Strict)
    }

    /// See [`Begins::Lost`].
    fn lose(&self, mut state: State) -> State {
        let known = state.redis.next;
        let entry = crate::state::Entry { version: 0, birth: known, as_of: 0, limited: false };
        state.redis.key = Slot::Value(entry);
        state.redis.failed_over = true;
        state.nodes[0].near = Some(entry);
        if let Some(last) = state.nodes.last_mut() {
            (last.known, last.applied, last.near) = (known, Some(known), None);
            last.recent.insert(known, Change::Key);
            last.listener.link = Link::Off;
        }
        state
    }

    pub(crate) fn timed(&self) -> bool {
        self.faults.tick > 0
    }

    /// The promised bound on staleness, in ticks.
    pub(crate) fn bound(&self) -> u8 {
        self.heartbeat.max(self.isolated_ttl)
    }

    /// Until when a node that was sure at `at` serves whatever it holds.
    pub(crate) fn trusted_until(&self, at: u8) -> u8 {
        if self.protocol.trust_runs_out { at + self.bound() } else { u8::MAX }
    }

    pub(crate) fn initial(&self) -> State {
        // Where the clock can go back, there must be room below.
        let first = if self.clock_back { 3 } else { 1 };
        let opening = Record { position: first, change: Change::Other, version: 0 };
        let journal = if self.protocol.journal_opened { vec![opening] } else { Vec::new() };
        let last = journal.last().map_or(START, |record| record.position);
        let entry = crate::state::Entry { version: 0, birth: last, as_of: 0, limited: false };
        let registration = Registration { applied: last, till: self.bound() };
        let state = State {
            source: 0,
            redis: Redis {
                key: if self.far_warm { Slot::Value(entry) } else { Slot::Absent },
                next: last + 1,
                cleared: START,
                pattern: START,
                journal,
                follower: None,
                failed_over: false,
                fences: 0,
                late: Vec::new(),
                heard: if self.is_strict() {
                    vec![(!self.joining).then_some(registration); usize::from(self.nodes)]
                } else {
                    Vec::new()
                },
                lost_at: None,
                floor: 0,
                announced: 0,
            },
            nodes: (0..self.nodes).map(|node| self.node(last, node < self.deaf)).collect(),
            callers: self.callers.iter().map(|node| caller(*node)).collect(),
            writers: self.writers.iter().map(|(node, kind)| writer(*node, *kind)).collect(),
            faults: self.faults,
            now: 0,
            returned: vec![0; usize::from(self.bound()) + 1],
            stale_read: false,
            lapsed: (0, 0),
        };
        match self.begins {
            Begins::AtRest => state,
            Begins::Lost => self.lose(state),
            Begins::Fenced => fence(state),
        }
    }

    fn node(&self, last: Position, deaf: bool) -> Node {
        let link = if self.joining || deaf { Link::Off } else { Link::Open };
        let entry = crate::state::Entry { version: 0, birth: last, as_of: 0, limited: false };
        Node {
            near: (self.near_warm && !self.joining).then_some(entry),
            voided_before: START,
            known: if self.joining { START } else { last },
            applied: (!self.joining).then_some(last),
            renewed: START,
            recent: std::collections::BTreeMap::new(),
            lost: false,
            cleared: START,
            pattern: START,
            confirmed: 0,
            until: if self.joining || deaf { self.isolated_ttl } else { self.trusted_until(0) },
            writes: 0,
            fenced: false,
            listener: Listener {
                link,
                messages: Vec::new(),
                connecting: false,
                asked: None,
                catching_up: None,
                page: Vec::new(),
                applying: None,
                taking: None,
                beginning: None,
            },
            queue: Queue::default(),
            drain: Drain::Idle,
            must: 0,
            tiers_must: 0,
        }
    }
}

/// See [`Begins::Fenced`].
fn fence(mut state: State) -> State {
    let first = state.redis.next;
    let [fence, other] = [(first, Change::Fence(0)), (first + 1, Change::Other)].map(|(position, change)| Record {
        position,
        change,
        version: 0,
    });
    (state.redis.key, state.redis.fences, state.redis.next) = (Slot::Fence(1), 1, first + 2);
    state.redis.journal.extend([fence, other]);
    state.nodes[0].writes = 1;
    state.nodes[0].known = first;
    state.writers[0].at = WriterAt::Change;
    if let Some(last) = state.nodes.last_mut() {
        last.known = first + 1;
        let messages = [(first - 1, fence), (first, other)];
        let published = |(previous, record)| crate::state::Message { previous, record, swept: false, replica: None };
        last.listener.messages = messages.map(published).into();
    }
    state
}

fn caller(node: u8) -> Caller {
    Caller { node, at: CallerAt::Start, flight: Flight::None, ticket: Ticket::default(), held: None, must: 0 }
}

fn writer(node: u8, kind: Kind) -> Writer {
    let at = match kind {
        Kind::Invalidate | Kind::Strict | Kind::Clear | Kind::Pattern | Kind::Around | Kind::Versioned => {
            WriterAt::Start
        }
        Kind::Set | Kind::Replicate => WriterAt::Void { stage: VoidStage::Fence, again: false },
        Kind::Other => WriterAt::Carry,
    };
    Writer { node, kind, at, version: 0, ticket: Ticket::default(), birth: START, queued: false, appended: 0 }
}
