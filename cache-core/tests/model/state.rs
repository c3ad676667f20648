//! What a state of the model holds. One key is modelled; a second one exists only as records that do not cover it.
//!
//! Fields under "specification" are not part of the protocol: they say what must hold, and no step reads them to decide
//! what to do.

use std::collections::BTreeMap;

/// A version of the source's value: a higher one is newer.
pub(crate) type Version = u8;

/// A position in the journal. [`START`] is before every record.
pub(crate) type Position = u8;

pub(crate) const START: Position = 0;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) source: Version,
    pub(crate) redis: Redis,
    pub(crate) nodes: Vec<Node>,
    pub(crate) callers: Vec<Caller>,
    pub(crate) writers: Vec<Writer>,
    pub(crate) faults: Faults,
    pub(crate) now: u8,
    /// Specification: the newest version whose invalidation has returned `Done`, by age in ticks.
    pub(crate) returned: Vec<Version>,
    /// Specification: whether a read was served something older than it may.
    pub(crate) stale_read: bool,
    /// Specification: what the source had when a fence last lapsed, and when that was.
    pub(crate) lapsed: (Version, u8),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Redis {
    pub(crate) key: Slot,
    pub(crate) journal: Vec<Record>,
    /// The position that the next record gets.
    pub(crate) next: Position,
    /// The position of the latest rule, which is kept apart from the journal and outlives its trimming.
    pub(crate) cleared: Position,
    /// The position of the pattern that has not been swept for.
    pub(crate) pattern: Position,
    /// What a server that follows has, and would have if it took over.
    pub(crate) follower: Option<Box<Follower>>,
    /// Specification: the follower has taken over, so what holds meanwhile is suspended.
    pub(crate) failed_over: bool,
    /// Specification: the fences that have neither been lifted nor lapsed, as in [`Slot::Fence`].
    pub(crate) fences: u8,
    /// Commands that their senders have given up, and that may still run.
    pub(crate) late: Vec<Version>,
    /// The nodes, as they have last registered. None where nobody asks for them.
    pub(crate) heard: Vec<Option<Registration>>,
    /// When registrations were lost.
    pub(crate) lost_at: Option<u8>,
    /// Specification: nothing older may be under the key.
    pub(crate) floor: Version,
    /// Specification: the newest version that any record has announced.
    pub(crate) announced: Version,
}

/// What a node has said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Registration {
    pub(crate) applied: Position,
    /// Until when it may serve whatever it holds.
    pub(crate) till: u8,
}

/// The data of Redis at an earlier moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Follower {
    pub(crate) key: Slot,
    pub(crate) journal: Vec<Record>,
    pub(crate) next: Position,
    pub(crate) cleared: Position,
    pub(crate) pattern: Position,
}

/// What is under the key in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    Absent,
    /// A lease, by the caller that took it.
    Lease(u8),
    Value(Entry),
    /// The fences of writers, one bit each.
    Fence(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) version: Version,
    pub(crate) birth: Position,
    /// When this node knew the value to be current. Zero in Redis.
    pub(crate) as_of: u8,
    /// It was loaded without a lease, and is served by age alone.
    pub(crate) limited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) position: Position,
    pub(crate) change: Change,
    /// Specification: the version that the source had when the change was made.
    pub(crate) version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Change {
    /// The key.
    Key,
    /// A clear: its record comes first, the sweep later, and it is never forgotten.
    Clear,
    /// A pattern that covers the key: as a clear, but forgotten once it has been swept for.
    Pattern,
    /// A fence of the key, by a writer of this node. Its version is that of the source when it lapsed.
    Fence(u8),
    /// Something that does not cover the key.
    Other,
}

/// A record as published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    pub(crate) previous: Position,
    pub(crate) record: Record,
    /// Not that the record was appended, but that its pattern has been swept for.
    pub(crate) swept: bool,
    /// The value that was set, and by which node, where it is sent along.
    pub(crate) replica: Option<(Version, u8)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) near: Option<Entry>,
    pub(crate) voided_before: Position,
    pub(crate) known: Position,
    pub(crate) applied: Option<Position>,
    /// Where the journal was last taken up anew.
    pub(crate) renewed: Position,
    /// The records that this node remembers, from `renewed` on. None where there is no failover.
    pub(crate) recent: BTreeMap<Position, Change>,
    /// The journal is known to lack records.
    pub(crate) lost: bool,
    /// The position of the latest clear.
    pub(crate) cleared: Position,
    /// The position of the pattern, until it is forgotten.
    pub(crate) pattern: Position,
    /// When every invalidation was last known to have been heard.
    pub(crate) confirmed: u8,
    /// Until when entries may be served whatever their age.
    pub(crate) until: u8,
    /// Writes of the source that are under way in this node.
    pub(crate) writes: u8,
    /// A fence has been heard of that has not lapsed, or a caller went away from its write.
    pub(crate) fenced: bool,
    pub(crate) listener: Listener,
    pub(crate) queue: Queue,
    pub(crate) drain: Drain,
    /// Specification: what a read that starts now must see at the least.
    pub(crate) must: Version,
    /// Specification: what its tiers must give at the least, whatever a load that began earlier may give.
    pub(crate) tiers_must: Version,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Listener {
    pub(crate) link: Link,
    /// What the connection has delivered and nobody has taken.
    pub(crate) messages: Vec<Message>,
    /// The connection is being brought up to date.
    pub(crate) connecting: bool,
    pub(crate) asked: Option<Asked>,
    /// The end up to which the journal is being read.
    pub(crate) catching_up: Option<Position>,
    /// What was read of the journal.
    pub(crate) page: Vec<Record>,
    pub(crate) applying: Option<Voiding>,
    /// A value that came with a record.
    pub(crate) taking: Option<Taking>,
    pub(crate) beginning: Option<Beginning>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Link {
    Off,
    Open,
    /// Lost, and the node does not know.
    Cut,
    /// The process has died.
    Gone,
}

/// The answer to a question for the journal's last position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(crate) last: Position,
    /// What the node knew of before it asked.
    pub(crate) known: Position,
    pub(crate) at: u8,
    /// Specification: what had been announced then.
    pub(crate) announced: Version,
}

/// A `void_before` under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Voiding {
    /// Of a record of this node: where the one before it stands.
    pub(crate) previous: Option<Position>,
    pub(crate) record: Record,
    pub(crate) stage: VoidStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum VoidStage {
    Learn,
    Fence,
    Remove,
    Detach,
}

/// An `insert_replica` under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Taking {
    pub(crate) version: Version,
    pub(crate) position: Position,
    /// Noted before it was looked for changes of this node.
    pub(crate) ticket: Option<Ticket>,
}

/// A `begin` under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Beginning {
    pub(crate) last: Position,
    pub(crate) stage: VoidStage,
}

/// What the far tier is owed: the specification's version of each change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Queue {
    pub(crate) key: Option<Version>,
    pub(crate) rule: Option<Version>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Drain {
    Idle,
    Carry(Change, Version),
    Void(Voiding),
    Sweep(Version),
}

/// What a reader noted before it asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ticket {
    /// The epoch has not moved since.
    pub(crate) stands: bool,
    pub(crate) voided_before: Position,
    /// No rule has been forgotten since.
    pub(crate) rules_stand: bool,
    /// The source may be changing.
    pub(crate) fenced: bool,
}

/// One call of `get_or_load`, and the flight that it leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    pub(crate) node: u8,
    pub(crate) at: CallerAt,
    pub(crate) flight: Flight,
    pub(crate) ticket: Ticket,
    /// The value in hand.
    pub(crate) held: Option<Entry>,
    /// Specification: what this call must see at the least.
    pub(crate) must: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flight {
    None,
    /// Found by callers that come.
    Attached {
        born: Position,
        began: u8,
    },
    Detached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CallerAt {
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
pub(crate) enum Permit {
    Lease,
    /// The far tier could not be asked.
    Unshared,
    /// The key is fenced: nothing is stored.
    Barred,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Updates the source, then invalidates the key.
    Invalidate,
    /// Updates the source, then clears.
    Clear,
    /// Updates the source, then invalidates a pattern.
    Pattern,
    /// Sets the key. The order of the scripts is the order of the versions: which of two sets wins is theirs to say.
    Set,
    /// As [`Kind::Invalidate`], and waits until no node can serve what is older.
    Strict,
    /// As [`Kind::Set`], and sends the value along.
    Replicate,
    /// Sets the key with its version, which the source has given before.
    Versioned,
    /// Invalidates another key.
    Other,
    /// Fences the key, updates the source, then invalidates the key and lifts the fence.
    Around,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    pub(crate) node: u8,
    pub(crate) kind: Kind,
    pub(crate) at: WriterAt,
    pub(crate) version: Version,
    pub(crate) ticket: Ticket,
    pub(crate) birth: Position,
    /// The change waits in the queue.
    pub(crate) queued: bool,
    /// Of a strict invalidation: when its record was appended.
    pub(crate) appended: u8,
}

impl Kind {
    pub(crate) const fn is_set(self) -> bool {
        matches!(self, Self::Set | Self::Replicate | Self::Versioned)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WriterAt {
    Start,
    /// The local void, in stages; `again` when nobody could be told.
    Void {
        stage: VoidStage,
        again: bool,
    },
    Carry,
    /// Of a write between fences: puts the fence.
    Fence,
    /// Of a write between fences: updates the source.
    Change,
    VoidBefore(Voiding),
    Sweep(Position),
    /// Of a pattern: tells that everything has been swept for.
    Swept(Position),
    /// Of a strict invalidation: waits for all who have not heard.
    Heard(Position),
    /// Of a set: detaches the flights once more.
    Detach,
    /// Of a set: puts the value into the near tier.
    InsertNear,
    /// Of a write between fences: the write has ended.
    EndWrite,
    Return,
    Done,
    /// Gone away after it put its fence. The source may change later still, while the fence holds.
    Gone {
        pending: bool,
    },
}

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// The key, a value or a lease, is evicted or expires.
    pub(crate) evict: u8,
    /// A bus connection is lost with what is in it.
    pub(crate) cut: u8,
    /// One message is dropped from a connection that lives.
    pub(crate) drop: u8,
    /// A command fails, whether or not it ran.
    pub(crate) fail: u8,
    /// A set that was given up runs later.
    pub(crate) late: u8,
    /// Redis restarts with its data.
    pub(crate) restart: u8,
    /// Redis restarts empty.
    pub(crate) restart_empty: u8,
    /// Redis is emptied without a restart.
    pub(crate) flush: u8,
    /// The oldest record is trimmed.
    pub(crate) trim: u8,
    /// A caller goes away in the midst of its load, and its lease stays.
    pub(crate) die: u8,
    /// A caller goes away in the midst of its write.
    pub(crate) abandon: u8,
    /// A process dies in the midst of a write.
    pub(crate) crash: u8,
    /// A server takes over that lacks the latest.
    pub(crate) failover: u8,
    /// How often time moves on.
    pub(crate) tick: u8,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
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
        abandon: 0,
        crash: 0,
        failover: 0,
        tick: 0,
    };
}
