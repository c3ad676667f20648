//! The delivery of journal records: what a shared tier provides, and [`Listener`](super::Listener) drives.

use std::time::Duration;

use async_trait::async_trait;

use crate::coherence::{NodeId, Position, Record, RuleSet};
use crate::entry::Entry;
use crate::error::TierError;
use crate::key::Key;
use crate::pattern::Pattern;
use crate::tags::TagSlot;

/// A way to hear of journal records.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Opens a connection that hears every record appended from now on.
    ///
    /// # Errors
    /// There is no connection to be had now.
    async fn connect(&self) -> Result<Box<dyn BusConnection>, TierError>;
}

/// One open connection to the bus.
///
/// Messages and answers arrive in the order in which the server sent them: when [`BusConnection::last_position`] has
/// answered, every record up to that position that was announced on this connection is ready in
/// [`BusConnection::try_next`].
#[async_trait]
pub trait BusConnection: Send {
    /// The next message, in order; `None` once the connection is lost. Dropping the future loses no message.
    async fn next(&mut self) -> Option<BusMessage>;

    /// The next message if it has arrived already.
    fn try_next(&mut self) -> Option<BusMessage>;

    /// Sees to it that the journal can be relied on, by appending a record where it cannot:
    ///
    /// - If the rules are not there (a new namespace, or they were lost), they are made anew, cleared from that record: what
    ///   was stored before it may be void by a rule that nobody remembers.
    /// - If the journal ends before `known`, it goes on behind it, so that positions never repeat.
    ///
    /// # Errors
    /// The connection is lost, or did not answer in time.
    async fn begin(&mut self, known: Position) -> Result<(), TierError>;

    /// The rules that the journal's records have made.
    ///
    /// # Errors
    /// The connection is lost, or did not answer in time.
    async fn rules(&mut self) -> Result<RuleSet, TierError>;

    /// Forgets these rules of tags, unless they were given again since: no entry is there that they void.
    ///
    /// # Errors
    /// The connection is lost, or did not answer in time.
    async fn forget(&mut self, rules: &[(TagSlot, Position)]) -> Result<(), TierError>;

    /// Says that this node lives, what it has applied, and for how long it may serve what it holds; tells the position of
    /// the journal's last record.
    ///
    /// # Errors
    /// The connection is lost, or did not answer in time.
    async fn beat(&mut self, beat: Beat) -> Result<Position, TierError>;

    /// The position of the journal's last record; [`Position::START`] when it has none.
    ///
    /// # Errors
    /// The connection is lost, or did not answer in time.
    async fn last_position(&mut self) -> Result<Position, TierError>;

    /// How often it has happened, since the tier was made, that removals which were acknowledged may have been undone though
    /// the journal still has their records. That is possible where entries lie on other servers than the journal, and one
    /// of those was replaced by one that lacks its last writes. Each heartbeat finds out. The default suits a tier in which
    /// what removes and what is recorded are lost together.
    fn comebacks(&self) -> u64 {
        0
    }

    /// The records after `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// The connection is lost, or did not answer in time.
    async fn read_after(&mut self, after: Position, limit: usize) -> Result<JournalPage, TierError>;
}

/// A part of the journal.
#[derive(Clone, Debug, Default)]
pub struct JournalPage {
    /// The position of the oldest record that the journal still holds.
    pub oldest: Option<Position>,
    /// The records, oldest first; `None` for one that could not be read.
    pub records: Vec<(Position, Option<Record>)>,
}

/// What a node says of itself with each heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The node.
    pub node: NodeId,
    /// The last record that it has applied.
    pub applied: Position,
    /// For how long from this heartbeat on it may serve what it holds, whatever its age.
    pub trusted: Duration,
    /// For how long it may serve what it has read or loaded itself, also when it hears nothing.
    pub alone: Duration,
}

/// The longest value that is sent over the bus, in bytes, as a tier stores it.
pub const REPLICA_MAX_BYTES: usize = 1_000_000;

/// A value that another node set, for the near tier of this one.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The entry, encoded, born at the record's position.
    pub entry: Entry,
    /// How long a near tier may keep it.
    pub ttl: Duration,
}

/// What comes over the bus.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BusMessage {
    /// A record was appended.
    Appended {
        /// The position of the record before it.
        previous: Position,
        /// Its position.
        position: Position,
        /// The record.
        record: Record,
        /// The value that was set with it, where the node that did so sent it along.
        replica: Option<Box<Replica>>,
    },
    /// A lease that some node waited for has ended.
    LeaseEnded(Key),
    /// Everything that a pattern covered at a position has been removed from the shared tier.
    Swept(Pattern, Position),
    /// What is under these keys may have been changed by someone who writes no records. Sent by a tier that was told to look
    /// for such changes; ours may be among them.
    Touched(Vec<Key>),
    /// Anything may have been changed by such a one: everything was removed, or it is not known what was changed.
    TouchedAll,
    /// A message that could not be read. Whatever it said, the journal has.
    Unreadable,
}
