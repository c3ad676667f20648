//! What a tier must offer that several nodes share: leases, fences, and the journal.

use std::time::Duration;

use async_trait::async_trait;

use crate::coherence::{Bus, JournalPage, NodeId, Position, Record};
use crate::entry::{Entry, Token};
use crate::error::TierError;
use crate::key::Key;
use crate::pattern::Pattern;
use crate::tier::WriteLog;

/// What [`SharedTier::acquire`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Acquire {
    /// The lease is the caller's: load, then [`SharedTier::fill`].
    Acquired,
    /// Another node holds the lease.
    Held,
    /// The key is fenced: load, and store nothing.
    Fenced,
    /// There is an entry by now.
    Found(Entry),
}

/// What became of a [`SharedTier::claim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claim {
    /// The claim is the caller's: load, then [`SharedTier::refill`].
    Claimed,
    /// Somebody else has a claim on the entry. Its end is announced on the bus, as that of a lease is.
    Taken,
    /// Whoever had a claim on the entry failed to replace it, and nobody is to try again for this long.
    Throttled(Duration),
    /// The entry is not there any more.
    Gone,
}

/// What a record was given when it was appended to the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The position of the record before it.
    pub previous: Position,
    /// The position of the record.
    pub position: Position,
    /// For each key that was to be removed, in order: whether an entry or a lease was there.
    pub removed: Vec<bool>,
}

/// What [`SharedTier::put`] is to store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Put {
    /// The entry; its birth is set by the tier.
    pub entry: Entry,
    /// How long the tier keeps it.
    pub ttl: Duration,
    /// The tier stores it within this time from now, or never.
    pub within: Duration,
    /// Whether other nodes are sent the value with the record, and for how long their near tiers may keep it. A tier that cannot
    /// append and store in one step sends none with a version: it may turn out to be older.
    pub replicate: Option<Duration>,
}

impl Put {
    /// Stores `entry` for `ttl`, within `within` from now or never, and sends it to nobody.
    #[must_use]
    pub const fn new(entry: Entry, ttl: Duration, within: Duration) -> Self {
        Self { entry, ttl, within, replicate: None }
    }
}

/// What became of a [`SharedTier::put`] or a [`SharedTier::conclude`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The entry is stored; by a `put`, born at the record's position.
    Stored(Appended),
    /// The key is fenced, or something newer took it before the entry was stored: the record is appended, and nothing is stored.
    Fenced(Appended),
    /// An entry of a newer version is there: nothing was done.
    Superseded,
}

/// Keys, as a scan comes upon them.
#[async_trait]
pub trait KeyScan: Send {
    /// The next keys; `None` at the end. A batch may be empty.
    ///
    /// # Errors
    /// The tier could not go on.
    async fn next(&mut self) -> Result<Option<Vec<Key>>, TierError>;
}

/// The operations of a tier that several nodes share: leases, fences, and the journal.
///
/// A key holds an entry or a lease, and never both, so whatever removes the key voids a fill. While it is fenced, nothing is
/// stored under it; fences are kept apart from it, so what removes the key leaves them.
#[async_trait]
pub trait SharedTier: Send + Sync {
    /// Puts a lease with `token` under `key`, to lapse after `ttl`, if the key is absent, or if it holds an entry with the
    /// token `over`. Otherwise tells what is there; a lease found there is marked, so that its fill is announced.
    ///
    /// # Errors
    /// The tier could not say whether it did.
    async fn acquire(&self, key: &Key, token: Token, over: Option<Token>, ttl: Duration) -> Result<Acquire, TierError>;

    /// Lets a lease lapse `ttl` from now instead. False when the key no longer holds it.
    ///
    /// # Errors
    /// The tier could not say whether it did.
    async fn extend(&self, key: &Key, token: Token, ttl: Duration) -> Result<bool, TierError>;

    /// Stores `entry` for `ttl` if `key` still holds the lease with `token`. False when it does not: then nothing is
    /// stored. The end of a lease that was waited for is announced on the bus.
    ///
    /// # Errors
    /// The tier could not say whether it did.
    async fn fill(&self, key: &Key, token: Token, entry: Entry, ttl: Duration) -> Result<bool, TierError>;

    /// Claims the right to replace the entry with the token `over`, for `ttl`. The entry stays, and is read as before.
    ///
    /// # Errors
    /// The tier could not say whether it did.
    async fn claim(&self, key: &Key, over: Token, ttl: Duration) -> Result<Claim, TierError>;

    /// Lets the caller's claim on the entry with the token `over` lapse `ttl` from now instead. False when the entry is gone.
    ///
    /// # Errors
    /// The tier could not say whether it did.
    async fn extend_claim(&self, key: &Key, over: Token, ttl: Duration) -> Result<bool, TierError>;

    /// Gives the caller's claim on the entry with the token `over` back, without another entry. Unless `throttle` is zero,
    /// [`SharedTier::claim`] answers [`Claim::Throttled`] until it has passed. The end of a claim that was waited for is
    /// announced on the bus. False when the entry is gone.
    ///
    /// # Errors
    /// The tier could not say whether it did; the claim then lapses by itself.
    async fn end_claim(&self, key: &Key, over: Token, throttle: Duration) -> Result<bool, TierError>;

    /// Stores `entry` for `ttl` if `key` still holds the entry with the token `over`. False when it does not: then nothing is
    /// stored. The end of a claim that was waited for is announced on the bus.
    ///
    /// # Errors
    /// The tier could not say whether it did.
    async fn refill(&self, key: &Key, over: Token, entry: Entry, ttl: Duration) -> Result<bool, TierError>;

    /// Gives a lease back without a value. Does nothing when the key no longer holds it. The end of a lease that was
    /// waited for is announced on the bus.
    ///
    /// # Errors
    /// The tier could not say whether it did; the lease lapses by itself.
    async fn release(&self, key: &Key, token: Token) -> Result<(), TierError>;

    /// Stores an entry and appends `record`, as one step. The stored entry's birth is the record's position. An entry with a
    /// [version](Entry::version) does not replace one with a newer version, and nothing replaces a fence.
    ///
    /// # Errors
    /// The tier could not say whether it did.
    async fn put(&self, key: &Key, put: Put, record: &Record) -> Result<PutOutcome, TierError>;

    /// Removes what is under `keys` and appends `record`, as one step. Fences stay, but for those with the token `lift`. The rule of a pattern, of tags or of a clear is kept with its position, so that
    /// [`BusConnection::rules`](crate::coherence::BusConnection::rules) tells it.
    ///
    /// # Errors
    /// The tier could not say whether it did.
    async fn invalidate(&self, keys: &[Key], record: &Record, lift: Option<Token>) -> Result<Appended, TierError>;

    /// Removes what is under `keys`, puts a fence with `token` there that lapses after `hold`, or renews it, and appends
    /// `record`, as one step. Fences with other tokens stay beside it.
    ///
    /// # Errors
    /// The tier could not say whether it did.
    async fn fence(&self, keys: &[Key], record: &Record, token: Token, hold: Duration) -> Result<Appended, TierError>;

    /// Puts a lease with the token `lease` under a fenced key, to lapse after `ttl`, if the key is empty and `fence` is its only
    /// fence. Readers find the key fenced all the same. The default never does: then nothing that is written through is stored.
    ///
    /// # Errors
    /// The tier could not say whether it did.
    async fn enclose(&self, _key: &Key, _fence: Token, _lease: Token, _ttl: Duration) -> Result<bool, TierError> {
        Ok(false)
    }

    /// Lifts the fence with the token `fence`, appends `record`, and stores an entry, with the birth that it brings, as one
    /// step: if `key` still holds the lease with the token `lease` and has no other fence. Otherwise it removes what is there.
    /// The default, as [`SharedTier::enclose`] gave no lease, stores nothing.
    ///
    /// # Errors
    /// The tier could not say whether it did.
    async fn conclude(
        &self,
        key: &Key,
        _put: Put,
        record: &Record,
        fence: Token,
        _lease: Token,
    ) -> Result<PutOutcome, TierError> {
        self.invalidate(std::slice::from_ref(key), record, Some(fence)).await.map(PutOutcome::Fenced)
    }

    /// The records after `after`, oldest first, at most `limit`: for a node that does not hear of them.
    ///
    /// # Errors
    /// The tier could not answer.
    async fn read_after(&self, after: Position, limit: usize) -> Result<JournalPage, TierError>;

    /// Forgets the rule of a pattern whose record stands at `position`, unless it was given again since: everything that it
    /// covers has been removed. It is announced on the bus. To be called after
    /// [`CacheTier::invalidate_pattern`](super::CacheTier::invalidate_pattern); false where that may have passed something
    /// over: then nothing is forgotten, and no node may forget the rule.
    ///
    /// # Errors
    /// The tier could not say whether it did; the rule then costs memory, and loads of entries that it no longer covers.
    async fn swept(&self, pattern: &Pattern, position: Position) -> Result<bool, TierError>;

    /// In what time every node that is registered by [`BusConnection::beat`](crate::coherence::BusConnection::beat) either has
    /// applied the record at `position`, or may not serve any more what is older. Zero when that is so already.
    ///
    /// A tier that has lost its registrations, or never had any, does not know of the nodes before. These may serve what they
    /// hold for `bound` at the longest, and what they load themselves for as long after the record. So for that time after its first
    /// registration, and for a minute longer, in which it would have remembered them, nobody is taken to have heard.
    ///
    /// # Errors
    /// The tier could not answer.
    async fn unheard(&self, position: Position, bound: Duration) -> Result<Duration, TierError>;

    /// Takes back the registration of `node`, which serves nothing any more.
    ///
    /// # Errors
    /// The tier could not say whether it did; the registration then lapses.
    async fn leave(&self, node: NodeId) -> Result<(), TierError>;

    /// The keys that match and hold something, in batches; a key may be told more than once.
    ///
    /// # Errors
    /// The tier could not begin.
    async fn scan(&self, pattern: &Pattern) -> Result<Box<dyn KeyScan>, TierError>;

    /// Whether the tier keeps what an [`Entry`] says of itself beside its value: its birth, its tags, its schema, until when it
    /// is fresh. If not, entries are read with the birth [`Position::UNKNOWN`]; claims of them find nothing; and a clear, or the
    /// invalidation of a tag, is carried as a scan over all keys, whose rule stands until its end. The default is yes.
    fn keeps_births(&self) -> bool {
        true
    }

    /// The delivery of journal records to this node.
    fn bus(&self) -> &dyn Bus;

    /// The log of writes that have yet to reach the source, if the tier keeps one. The default has none.
    fn write_log(&self) -> Option<&dyn WriteLog> {
        None
    }
}
