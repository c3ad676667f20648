//! The tier traits: what a store must offer to take part.
//!
//! Every tier is a [`CacheTier`]. A tier in the process, which answers without waiting, is a [`NearTier`] as well. A tier
//! shared by several nodes that can fence fills and keep a journal offers a [`SharedTier`].

mod shared;
mod writes;

use std::time::Duration;

use async_trait::async_trait;

use crate::entry::Entry;
use crate::error::TierError;
use crate::key::{Key, Namespace};
use crate::pattern::Pattern;

pub use shared::{Acquire, Appended, Claim, KeyScan, Put, PutOutcome, SharedTier};
pub use writes::{Backlog, DeadLetter, Kept, KeptWrite, NewWrite, Partition, Settle, Taken, WriteLog};

/// A store of entries.
///
/// A tier keeps what it is given until its time to live has passed, and may forget it earlier. It does not interpret
/// policies, check freshness or decode values: the service does. Every call may be cancelled at any point by dropping its
/// future; a cancelled `set` or `delete` may or may not have happened.
///
/// A tier that stands before a shared one hears of each change that another node makes a moment after that node's near tier
/// does, and is not read in between, nor once its node has heard nothing for longer than
/// [`isolated_ttl`](crate::CachingServiceBuilder::isolated_ttl). Nobody tells it of changes that were made while its node was
/// not running: so it starts empty, or is one that all nodes use.
///
/// Keys reach a tier without the namespace; a tier that several applications share adds it (see [`CacheTier::bind`]).
#[async_trait]
pub trait CacheTier: Send + Sync + 'static {
    /// The name under which status and statistics list the tier, such as `local` or `redis`.
    fn name(&self) -> &'static str;

    /// Tells the tier its namespace. Called once, by the service's `build`, before anything else. The default ignores
    /// it, which suits a tier that belongs to one service.
    ///
    /// # Errors
    /// The tier is bound to another namespace already.
    fn bind(&self, _namespace: &Namespace) -> Result<(), TierError> {
        Ok(())
    }

    /// The entry under `key`. A lease is no entry.
    ///
    /// # Errors
    /// The tier could not answer. The service counts it and goes on as after a miss.
    async fn get(&self, key: &Key) -> Result<Option<Entry>, TierError>;

    /// Stores `entry` under `key` for `ttl`, replacing what is there.
    ///
    /// # Errors
    /// The tier could not store it.
    async fn set(&self, key: &Key, entry: Entry, ttl: Duration) -> Result<(), TierError>;

    /// Removes the entries and leases under `keys` and tells how many there were.
    ///
    /// # Errors
    /// The tier could not say whether it removed all of them.
    async fn delete(&self, keys: &[Key]) -> Result<u64, TierError>;

    /// Removes the entries and leases under all keys that match and tells how many there were.
    ///
    /// # Errors
    /// The tier could not say whether it removed all of them.
    async fn invalidate_pattern(&self, pattern: &Pattern) -> Result<u64, TierError>;

    /// The entries under `keys`, in their order. The default asks one after the other.
    ///
    /// # Errors
    /// As [`CacheTier::get`]; then none is returned.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, TierError> {
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys {
            entries.push(self.get(key).await?);
        }
        Ok(entries)
    }

    /// As [`CacheTier::get_many`], and says which keys could not be asked for while others could: those of a server that is down,
    /// where keys are spread over several. This is what the service calls. The default knows of none.
    ///
    /// # Errors
    /// As [`CacheTier::get_many`].
    async fn get_each(&self, keys: &[Key]) -> Result<Vec<Result<Option<Entry>, TierError>>, TierError> {
        Ok(self.get_many(keys).await?.into_iter().map(Ok).collect())
    }

    /// Stores several entries. The default stores one after the other.
    ///
    /// # Errors
    /// As [`CacheTier::set`]; some may have been stored.
    async fn set_many(&self, entries: Vec<(Key, Entry, Duration)>) -> Result<(), TierError> {
        for (key, entry, ttl) in entries {
            self.set(&key, entry, ttl).await?;
        }
        Ok(())
    }

    /// Removes everything in the namespace and tells how many entries and leases there were.
    ///
    /// # Errors
    /// As [`CacheTier::invalidate_pattern`].
    async fn clear(&self) -> Result<u64, TierError> {
        self.invalidate_pattern(&Pattern::all()).await
    }

    /// Answers when the tier is able to serve.
    ///
    /// # Errors
    /// It is not.
    async fn ping(&self) -> Result<(), TierError>;

    /// What the tier holds now, as far as it knows without asking anyone.
    fn usage(&self) -> Usage {
        Usage::default()
    }

    /// The operations of a tier that nodes share, if this is one.
    fn shared(&self) -> Option<&dyn SharedTier> {
        None
    }

    /// Lets go of connections and tasks. The tier is not used afterwards.
    async fn close(&self) {}
}

/// What a tier holds. `None` where the tier does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Entries held.
    pub entries: Option<u64>,
    /// Bytes held.
    pub bytes: Option<u64>,
    /// Entries given up for want of room since start.
    pub evictions: Option<u64>,
}

impl Usage {
    /// What a tier holds: entries, bytes, and evictions since start.
    #[must_use]
    pub const fn new(entries: Option<u64>, bytes: Option<u64>, evictions: Option<u64>) -> Self {
        Self { entries, bytes, evictions }
    }
}

/// A tier in the process: it answers at once and holds values by reference ([`Value::Typed`](crate::Value::Typed)).
///
/// The service checks and inserts under a lock of its own, so these calls must not wait, and must not call back into the
/// service.
pub trait NearTier: CacheTier {
    /// Runs `look` on the entry under `key`, once, if there is one. This is the hit path: it should neither allocate nor wait
    /// for a lock, and may be late in finding that an entry's time to live has passed: the service looks at
    /// [`Entry::expires`].
    ///
    /// A call that begins after an entry was removed or replaced never gives it. `look` does not wait, and does not call the
    /// tier.
    fn inspect(&self, key: &str, look: &mut dyn FnMut(&Entry));

    /// A copy of the entry under `key`, by [`NearTier::inspect`]. It shares the value.
    fn look_up(&self, key: &str) -> Option<Entry> {
        let mut found = None;
        self.inspect(key, &mut |entry| found = Some(entry.clone()));
        found
    }

    /// Stores `entry` under `key` for at most `ttl`.
    fn insert(&self, key: &Key, entry: Entry, ttl: Duration);

    /// Removes the entry under `key` and tells whether there was one.
    fn remove(&self, key: &str) -> bool;

    /// Removes every entry for which `void` holds and tells how many there were. It sees every entry whose insertion
    /// ended before this call.
    fn remove_matching(&self, void: &dyn Fn(&Key, &Entry) -> bool) -> u64;
}

impl dyn NearTier {
    /// Whether there is an entry under `key`, and `is` holds of it.
    pub(crate) fn has(&self, key: &str, is: impl Fn(&Entry) -> bool) -> bool {
        let mut has = false;
        self.inspect(key, &mut |entry| has = is(entry));
        has
    }
}
