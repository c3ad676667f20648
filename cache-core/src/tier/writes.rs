//! What a shared tier must offer to hold writes until they have reached the source.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Appended, Put};
use crate::coherence::{NodeId, Position, Record};
use crate::entry::Token;
use crate::error::TierError;
use crate::key::Key;

/// One of the queues of a log of writes. All writes of a key are in one, and each is worked on by one worker at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition<'a> {
    /// The name of the log.
    pub log: &'a str,
    /// The number of the queue, from 0 on.
    pub number: u16,
}

/// A write that is to be kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewWrite {
    /// The key of the entry that it changes.
    pub key: Key,
    /// What a worker needs to carry it out. The tier does not look into it.
    pub payload: Bytes,
    /// The entry that readers see from now on, put as by [`SharedTier::put`](super::SharedTier::put); `None` when it cannot
    /// be cached, and what is under the key is removed.
    pub put: Option<Put>,
    /// The tier keeps the write within this time from now, or never.
    pub within: Duration,
    /// For how long from the latest write on the key is closed to loads at the most. If that is over before the write is in the
    /// source, the key is voided when it is.
    pub hold: Duration,
    /// How many writes the partition may hold, and how many dead letters the log.
    pub bound: u64,
    /// The dead letter in whose place the write is kept: its [`DeadLetter::id`].
    pub requeued: Option<Position>,
}

impl NewWrite {
    /// A write to `key`, without an entry, to be kept within `within` or never.
    #[must_use]
    pub const fn new(key: Key, payload: Bytes, within: Duration, hold: Duration, bound: u64) -> Self {
        Self { key, payload, put: None, within, hold, bound, requeued: None }
    }
}

/// What became of a new write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kept {
    /// It is kept, and will reach the source.
    Kept {
        /// Its place in the partition, which grows with each write.
        id: Position,
        /// Where its record stands in the journal.
        appended: Appended,
        /// Whether the entry was stored: not if somebody else is writing around the cache.
        stored: bool,
    },
    /// There are too many already. Nothing was done.
    Full,
    /// The dead letter that it was to take the place of is not there any more. Nothing was done.
    Gone,
}

/// Writes that a worker is to carry out, oldest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Taken {
    /// The number of the partition.
    pub partition: u16,
    /// The writes. More than one only if none of them was taken before.
    pub writes: Vec<KeptWrite>,
    /// Entries among them that were no writes which could be read. They have been removed.
    pub unreadable: Vec<Position>,
}

impl Taken {
    /// These writes of this partition.
    #[must_use]
    pub const fn new(partition: u16, writes: Vec<KeptWrite>) -> Self {
        Self { partition, writes, unreadable: Vec::new() }
    }
}

/// A write that is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeptWrite {
    /// Its place in the partition.
    pub id: Position,
    /// The key that it changes.
    pub key: Key,
    /// What [`NewWrite::payload`] was.
    pub payload: Bytes,
    /// How often it was taken, this time included.
    pub taken: u64,
}

impl KeptWrite {
    /// A write as it was kept.
    #[must_use]
    pub const fn new(id: Position, key: Key, payload: Bytes, taken: u64) -> Self {
        Self { id, key, payload, taken }
    }
}

/// A write that was put aside.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its place among the dead letters of the log.
    pub id: Position,
    /// What [`KeptWrite::id`] was.
    pub write: Position,
    /// The key that it was to change.
    pub key: Key,
    /// What [`NewWrite::payload`] was.
    pub payload: Bytes,
}

impl DeadLetter {
    /// A write as it was put aside.
    #[must_use]
    pub const fn new(id: Position, write: Position, key: Key, payload: Bytes) -> Self {
        Self { id, write, key, payload }
    }
}

/// What a worker has done about its partition.
#[derive(Clone, Copy, Debug)]
pub enum Settle<'a> {
    /// It goes on, and keeps the partition for so long.
    Keep(Duration),
    /// These writes are in the source; the partition is free.
    Applied(&'a [KeptWrite]),
    /// This write will not be tried again, and is put aside; the partition is free. What is under its key is void.
    Dead(&'a KeptWrite),
    /// Nothing was done; nobody takes the partition for so long.
    Rest(Duration),
}

/// How many writes wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backlog {
    /// Writes that have yet to reach the source.
    pub pending: u64,
    /// Writes that were put aside.
    pub dead: u64,
}

impl Backlog {
    /// So many writes.
    #[must_use]
    pub const fn new(pending: u64, dead: u64) -> Self {
        Self { pending, dead }
    }
}

/// A log of writes that have yet to reach the source, shared by all nodes. What it has taken survives the death of every
/// node, and of the tier's server as far as that keeps its data.
///
/// While a key has writes in the log, no lease and no claim on it is given: what is loaded meanwhile is older than what the
/// log holds.
#[async_trait]
pub trait WriteLog: Send + Sync {
    /// Keeps a write, stores its entry, closes the key to loads, and appends `record`, as one step. If it takes the place of a
    /// dead letter, the same step removes that.
    ///
    /// # Errors
    /// The tier could not say whether it did. After [`NewWrite::within`] it does not any more.
    async fn append(&self, partition: Partition<'_>, write: NewWrite, record: &Record) -> Result<Kept, TierError>;

    /// Gives `worker` one of the log's partitions, from the number `first` on, that has writes and no other worker, for
    /// `lease`, and up to `limit` of its oldest writes. If a write of it was taken before, by whomever, then that one alone.
    ///
    /// What somebody else has put among them, and is no write that could be read, must not stop those behind it: it is removed, and
    /// told of in [`Taken::unreadable`]. Where there was nothing else the partition is the worker's all the same.
    ///
    /// # Errors
    /// The tier could not say; what it may have given is free again after `lease`.
    async fn take(
        &self,
        log: &str,
        partitions: u16,
        first: u16,
        worker: Token,
        lease: Duration,
        limit: usize,
    ) -> Result<Option<Taken>, TierError>;

    /// Takes note of what `worker` did. False when the partition is not its own any more: then nothing is done, and another
    /// worker carries out the same writes again. A key that has no more writes in the log is open to loads.
    ///
    /// The same step voids a key, as an invalidation by `node` would: that of a write which is put aside, and one which was not
    /// closed to loads all the time until its last write was there.
    ///
    /// # Errors
    /// The tier could not say whether it did.
    async fn settle(
        &self,
        partition: Partition<'_>,
        worker: Token,
        settle: Settle<'_>,
        node: NodeId,
    ) -> Result<bool, TierError>;

    /// How many writes the log holds.
    ///
    /// # Errors
    /// The tier could not answer.
    async fn backlog(&self, log: &str, partitions: u16) -> Result<Backlog, TierError>;

    /// Writes that were put aside, those behind the place `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// The tier could not answer.
    async fn dead_letters(&self, log: &str, after: Position, limit: usize) -> Result<Vec<DeadLetter>, TierError>;

    /// Removes writes that were put aside, by [`DeadLetter::id`], for good, and tells how many there were.
    ///
    /// # Errors
    /// The tier could not say whether it did.
    async fn discard(&self, log: &str, letters: &[Position]) -> Result<u64, TierError>;
}
