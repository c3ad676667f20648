//! What the checker and its nodes tell each other: one JSON object a line, over a Unix socket.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::history::{KeyNumber, Seen, Version, WriteKind};
use super::moment::Moment;

/// How a node process is to run: its one argument.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeSettings {
    /// Its number in order of starts.
    pub node: u32,
    /// Where the checker listens.
    pub socket: PathBuf,
    /// The server, through the node's fault proxy.
    pub url: String,
    /// How many keys there are.
    pub keys: u32,
    /// How many reads it makes each second.
    pub reads_per_second: u32,
    /// What its random choices follow.
    pub seed: u64,
    /// The intervals of its coherence protocol.
    pub timings: Timings,
    /// How it is broken.
    pub breakage: Breakage,
}

/// How nodes are broken on purpose: each way is one that the checker must notice.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Breakage {
    /// A node tells nobody of every so many writes, and says that it did.
    pub swallows_every: Option<usize>,
    /// The node that is told to make this write dies.
    pub dies_at: Option<usize>,
    /// What a node writes around it only invalidates afterwards, and says that there was a fence.
    pub skips_fences: bool,
}

/// The intervals of the coherence protocol, as `CachingServiceBuilder` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// Between two heartbeats.
    pub heartbeat_interval: Duration,
    /// For the answer to one.
    pub heartbeat_timeout: Duration,
    /// For what an isolated node serves.
    pub isolated_ttl: Duration,
    /// For the fence of a node that died.
    pub fence_ttl: Duration,
}

impl Timings {
    /// What a service has that sets none of them.
    pub const DEFAULT: Self = Self {
        heartbeat_interval: Duration::from_secs(1),
        heartbeat_timeout: Duration::from_secs(3),
        isolated_ttl: Duration::from_secs(10),
        fence_ttl: Duration::from_secs(10),
    };

    /// A fifth of the defaults, so that a short run sees the bound reached more often.
    pub const SHORT: Self = Self {
        heartbeat_interval: Duration::from_millis(200),
        heartbeat_timeout: Duration::from_millis(600),
        isolated_ttl: Duration::from_secs(2),
        fence_ttl: Duration::from_secs(2),
    };
}

/// From the checker to a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ToNode {
    /// The answer to [`ToChecker::Load`] and to [`ToChecker::Commit`].
    Loaded {
        /// The request's number.
        request: u64,
        /// What the source has.
        version: Version,
    },
    /// Tell the caches of new versions.
    Write {
        /// The write's number.
        write: usize,
        /// How.
        call: Call,
    },
    /// From now on, no load fails or is slow.
    BeCalm,
    /// Read every key.
    Audit,
    /// Say what is left to be said, and end.
    Finish,
}

/// A write as a node carries it out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Call {
    /// `invalidate`.
    Invalidate(KeyNumber),
    /// `invalidate_many`.
    InvalidateMany(Vec<KeyNumber>),
    /// `invalidate_pattern`, of this group.
    InvalidatePattern(u32),
    /// `invalidate_tags`, of this tag.
    InvalidateTags(u32),
    /// `clear`.
    Clear,
    /// `set`.
    Set(KeyNumber, Version),
    /// `set` with its version.
    SetVersioned(KeyNumber, Version),
    /// `set`, sent to all nodes.
    SetReplicated(KeyNumber, Version),
    /// `invalidate_strict`.
    InvalidateStrict(KeyNumber),
    /// `write_around`, of a write that takes so many milliseconds before the source has it, and as many after.
    WriteAround(KeyNumber, u64),
}

impl Call {
    /// Which kind of write it is.
    pub const fn kind(&self) -> WriteKind {
        match self {
            Self::Invalidate(_) => WriteKind::Invalidate,
            Self::InvalidateMany(_) => WriteKind::InvalidateMany,
            Self::InvalidatePattern(_) => WriteKind::InvalidatePattern,
            Self::InvalidateTags(_) => WriteKind::InvalidateTags,
            Self::Clear => WriteKind::Clear,
            Self::Set(..) => WriteKind::Set,
            Self::SetVersioned(..) => WriteKind::SetVersioned,
            Self::SetReplicated(..) => WriteKind::SetReplicated,
            Self::InvalidateStrict(_) => WriteKind::InvalidateStrict,
            Self::WriteAround(..) => WriteKind::WriteAround,
        }
    }
}

/// From a node to the checker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ToChecker {
    /// The first message.
    Hello {
        /// The node's number.
        node: u32,
        /// The bound on staleness that its service states.
        bound: Duration,
    },
    /// A loader asks for the version of a key.
    Load {
        /// The request's number.
        request: u64,
        /// The key.
        key: KeyNumber,
    },
    /// The source is to have what a `write_around` writes.
    Commit {
        /// The request's number.
        request: u64,
        /// The write's number.
        write: usize,
        /// From when on there was a fence, if there was one.
        fenced: Option<Moment>,
    },
    /// A write has returned.
    Wrote {
        /// The write's number.
        write: usize,
        /// When it returned.
        returned: Moment,
        /// Whether every tier was told; else it was queued.
        done: bool,
    },
    /// Queued writes have been delivered.
    Delivered {
        /// Their numbers.
        writes: Vec<usize>,
        /// When that was known.
        at: Moment,
    },
    /// What was read since the message before.
    Reads {
        /// By key and version.
        seen: Vec<(KeyNumber, Version, Seen)>,
        /// Reads that gave no value: nothing was cached, or the load failed.
        without_value: u64,
        /// The longest time by which the node was late to do what it meant to do, and when that ended.
        stall: Stall,
    },
    /// How the node is.
    Health(Health),
    /// The answer to [`ToNode::Audit`]: what each key read gave.
    Audited(Vec<(KeyNumber, Option<Version>)>),
    /// The answer to [`ToNode::Finish`]: nothing follows.
    Finished,
}

/// A process was late to do what it meant to do: it did not get a processor, or was stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stall {
    /// By how much.
    pub duration: Duration,
    /// When it did it.
    pub end: Moment,
}

/// How a node is, by its own account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The bus is healthy, Redis is up, and nothing is queued.
    pub well: bool,
    /// It hears of invalidations.
    pub hears: bool,
    /// Hits in the process.
    pub near_hits: u64,
    /// Hits in Redis.
    pub far_hits: u64,
    /// Loads.
    pub loads: u64,
    /// Loads that gave no value.
    pub load_failures: u64,
    /// Callers that shared the load of another.
    pub coalesced: u64,
    /// Values that were not stored because an invalidation came in between.
    pub fenced_fills: u64,
    /// Times that missed records were read from the journal.
    pub replays: u64,
    /// Times that the node emptied its near tier because the journal did not reach back.
    pub resets: u64,
}
