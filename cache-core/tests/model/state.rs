//! What a state of the model holds. One key is modelled; a second one exists only as records that do not cover it.
//!
//! Fields under "specification" are not part of the protocol: they say what must hold, and no step reads them to decide
//! what to do.

/// A version of the source's value: a higher one is newer.
pub type Version = u8;

/// A position in the journal. [`START`] is before every record.
pub type Position = u8;

pub const START: Position = 0;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub source: Version,
    pub redis: Redis,
    pub nodes: Vec<Node>,
    pub callers: Vec<Caller>,
    pub writers: Vec<Writer>,
    pub faults: Faults,
    pub now: u8,
    /// Specification: the newest version whose invalidation has returned `Done`, by age in ticks.
    pub returned: Vec<Version>,
    /// Specification: whether a read was served something older than it may.
    pub stale_read: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Redis {
    pub key: Slot,
    pub journal: Vec<Record>,
    /// The position that the next record gets.
    pub next: Position,
    /// The position of the latest rule, which is kept apart from the journal and outlives its trimming.
    pub rule: Position,
    /// Commands that their senders have given up, and that may still run.
    pub late: Vec<Version>,
    /// Specification: nothing older may be under the key.
    pub floor: Version,
    /// Specification: the newest version that any record has announced.
    pub announced: Version,
}

/// What is under the key in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    Absent,
    /// A lease, by the caller that took it.
    Lease(u8),
    Value(Entry),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub version: Version,
    pub birth: Position,
    /// When this node knew the value to be current. Zero in Redis.
    pub as_of: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    pub position: Position,
    pub change: Change,
    /// Specification: the version that the source had when the change was made.
    pub version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The key.
    Key,
    /// A pattern or a clear that covers the key: its record comes first, the sweep later.
    Rule,
    /// Something that does not cover the key.
    Other,
}

/// A record as published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    pub previous: Position,
    pub record: Record,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub near: Option<Entry>,
    pub voided_before: Position,
    pub known: Position,
    pub applied: Option<Position>,
    /// The position of the latest rule.
    pub cleared: Position,
    /// `None` while the bus is healthy.
    pub confirmed: Option<u8>,
    pub listener: Listener,
    pub queue: Queue,
    pub drain: Drain,
    /// Specification: what a read that starts now must see at the least.
    pub must: Version,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    pub link: Link,
    /// What the connection has delivered and nobody has taken.
    pub messages: Vec<Message>,
    /// The connection is being brought up to date.
    pub connecting: bool,
    pub asked: Option<Asked>,
    /// The end up to which the journal is being read.
    pub catching_up: Option<Position>,
    /// What was read of the journal.
    pub page: Vec<Record>,
    pub applying: Option<Voiding>,
    pub beginning: Option<Beginning>,
    /// When nothing had been missed.
    pub confirmed: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    Off,
    Open,
    /// Lost, and the node does not know.
    Cut,
}

/// The answer to a question for the journal's last position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    pub last: Position,
    pub at: u8,
    /// Specification: what had been announced then.
    pub announced: Version,
}

/// A `void_before` under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Voiding {
    pub record: Record,
    pub stage: VoidStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VoidStage {
    Learn,
    Fence,
    Remove,
    Detach,
}

/// A `begin` under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Beginning {
    pub last: Position,
    pub stage: VoidStage,
}

/// What the far tier is owed: the specification's version of each change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Queue {
    pub key: Option<Version>,
    pub rule: Option<Version>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drain {
    Idle,
    Carry(Change, Version),
    Void(Voiding),
    Sweep(Version),
}

/// One call of `get_or_load`, and the flight that it leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    pub node: u8,
    pub at: CallerAt,
    pub flight: Flight,
    /// Whether the epoch stands since it was noted.
    pub ticket: bool,
    /// The value in hand.
    pub held: Option<Entry>,
    /// Specification: what this call must see at the least.
    pub must: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flight {
    None,
    /// Found by callers that come.
    Attached {
        born: Position,
        began: u8,
    },
    Detached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallerAt {
    Start,
    Join,
    Follow(u8),
    Peek,
    Get,
    /// A far entry has arrived.
    Accept,
    Acquire,
    Load(Permit),
    Store(Permit),
    Fill,
    InsertNear,
    End,
    Done,
    /// Gone away in the midst of a load, with its lease.
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permit {
    Lease,
    /// The far tier could not be asked.
    Unshared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Updates the source, then invalidates the key.
    Invalidate,
    /// Updates the source, then clears.
    Clear,
    /// Sets the key. The order of the scripts is the order of the versions: which of two sets wins is theirs to say.
    Set,
    /// Invalidates another key.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Writer {
    pub node: u8,
    pub kind: Kind,
    pub at: WriterAt,
    pub version: Version,
    pub ticket: bool,
    pub birth: Position,
    /// The change waits in the queue.
    pub queued: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriterAt {
    Start,
    /// The local void, in stages; `again` when nobody could be told.
    Void {
        stage: VoidStage,
        again: bool,
    },
    Carry,
    VoidBefore(Voiding),
    Sweep,
    /// Of a set: detaches the flights once more.
    Detach,
    /// Of a set: puts the value into the near tier.
    InsertNear,
    Return,
    Done,
}

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Faults {
    /// The key, a value or a lease, is evicted or expires.
    pub evict: u8,
    /// A bus connection is lost with what is in it.
    pub cut: u8,
    /// One message is dropped from a connection that lives.
    pub drop: u8,
    /// A command fails, whether or not it ran.
    pub fail: u8,
    /// A set that was given up runs later.
    pub late: u8,
    /// Redis restarts with its data.
    pub restart: u8,
    /// Redis restarts empty.
    pub restart_empty: u8,
    /// Redis is emptied without a restart.
    pub flush: u8,
    /// The oldest record is trimmed.
    pub trim: u8,
    /// A caller goes away in the midst of its load, and its lease stays.
    pub die: u8,
    /// How often time moves on.
    pub tick: u8,
}

impl Faults {
    pub const NONE: Self = Self {
        evict: 0,
        cut: 0,
        drop: 0,
        fail: 0,
        late: 0,
        restart: 0,
        restart_empty: 0,
        flush: 0,
        trim: 0,
        die: 0,
        tick: 0,
    };
}
