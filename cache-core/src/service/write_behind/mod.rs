//! Writes that are acknowledged when the shared tier keeps them, and reach the source later.
//!
//! All writes of a key go to one partition of a log, and one worker at a time carries out the writes of a partition, oldest
//! first. So the order of a key's writes is kept, whichever worker dies. A worker that dies after it has written, and before
//! it could say so, has its writes carried out again under the same ids.

mod builder;
mod counters;
mod dead;
mod worker;

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::keyspace::{KeyspaceKey, Space};
use super::read::Wanted;
use super::store::Origin;
use super::{Cacheable, Inner};
use crate::codec::{self, Codec, CodecError, Place};
use crate::coherence::{Change, Coherence, Insertion, Position, Record};
use crate::entry::{Token, Value};
use crate::erased::ValueType;
use crate::error::{Error, TierError};
use crate::far::{Far, Manner, Owed, acknowledge_in};
use crate::key::Key;
use crate::macro_support::CacheKey;
use crate::tier::{Backlog, Kept, NewWrite, Partition, Put, SharedTier, WriteLog};

use builder::Settings;
pub use builder::WriteBehindBuilder;
use counters::Counters;
pub(super) use counters::Registry;
pub use counters::WriteBehindStats;
pub use dead::DeadWrite;
pub use worker::PendingWrite;

/// Writes to a keyspace that reach the source later: made by [`Keyspace::write_behind`](super::Keyspace::write_behind).
///
/// [`WriteBehind::put`] returns when the shared tier keeps the write. Workers, on this node or on others
/// ([`WriteBehind::apply_with`]), carry writes out in batches. A write is carried out at least once, and those of one key in
/// their order; whatever is carried out more than once has the same [`PendingWrite::id`].
///
/// # What a read sees
/// From its acknowledgement on, the value is in the shared tier and in this node's near tier, and void on the near tiers of
/// the others, as after [`set`](super::CachingService::set). Until it has reached the source, nothing that is loaded is
/// stored under the key, on any node, and no stale value is refreshed: what a load gives meanwhile is older. So reads see the
/// value for as long as it is cached. If it is invalidated, evicted or expires before that, readers are given what the
/// source has, uncached, until the write has reached it. So they are from the beginning where the policy of the keyspace does
/// not write the shared tier. While the shared tier is away, nodes that do not hold the value
/// load it from the source, and may keep what they get near for up to `isolated_ttl`.
///
/// # When the shared tier is away
/// [`WriteBehind::put`] is refused. Nothing is queued in memory.
///
/// # What it needs of Redis
/// What Redis has acknowledged is as safe as Redis keeps it: `appendonly yes` and `appendfsync always` lose nothing when the
/// server is killed. It must not evict keys without a time to live (`noeviction` or a `volatile-` policy). There is none on a
/// Redis Cluster, where a write and its value do not share a slot: [`WriteBehindBuilder::build`] says so.
///
/// # What was put aside
/// A write that fails [`max_attempts`](WriteBehindBuilder::max_attempts) times is put aside, as a dead letter.
/// [`WriteBehind::dead_letters`] lists them; [`WriteBehind::requeue`] writes one anew, and [`WriteBehind::discard`] drops it.
/// Nothing else removes them, and once there are as many as a queue may hold, further writes are refused.
pub struct WriteBehind<K, V> {
    log: Arc<Log>,
    types: PhantomData<fn(K) -> V>,
}

/// What does not depend on types.
pub(super) struct Log {
    space: Arc<Space>,
    /// The prefix of the keyspace.
    name: String,
    settings: Settings,
    counters: Arc<Counters>,
    /// Told when a write was kept.
    work: Arc<Notify>,
}

impl<K: KeyspaceKey + Cacheable, V: Cacheable> WriteBehind<K, V> {
    /// Keeps a write of `value` under `key`, and returns its id when the shared tier has it. The id grows with each write of
    /// the key. One round trip.
    ///
    /// If the future is dropped, nobody knows whether the write is kept.
    ///
    /// # Errors
    /// The shared tier is away, or there is none, or it keeps no writes; there are too many writes already
    /// ([`Error::is_full`]); or key or value cannot be encoded. After an error of the tier ([`Error::is_tier`]) the write may
    /// be kept nevertheless: writing it again is safe where the source bears writing a value twice.
    pub async fn put<Q>(&self, key: &Q, value: V) -> Result<Position, Error>
    where
        K: Borrow<Q>,
        Q: CacheKey + ToOwned<Owned = K> + ?Sized,
    {
        let kept = self.log.put(&key.to_owned(), Arc::new(value), None).await;
        kept?.ok_or_else(|| TierError::unavailable("the tier looked for a dead letter that nobody named").into())
    }

    /// How many writes wait, and how many were put aside. Asks the shared tier.
    ///
    /// # Errors
    /// It is away.
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let far = self.log.far()?;
        let log = log_of(far)?;
        Ok(far.try_ask(log.backlog(&self.log.name, self.log.settings.partitions)).await?)
    }

    /// What was done on this node. Asks nobody.
    #[must_use]
    pub fn stats(&self) -> WriteBehindStats {
        self.log.counters.snapshot()
    }
}

/// The log of writes of a tier.
fn log_of(far: &Far) -> Result<&dyn WriteLog, Error> {
    let log = far.shared().and_then(SharedTier::write_log);
    log.ok_or_else(|| TierError::refused(format!("{} keeps no writes", far.tier.name())).into())
}

impl Log {
    fn inner(&self) -> &Arc<Inner> {
        &self.space.inner
    }

    fn far(&self) -> Result<&Arc<Far>, Error> {
        let none = || TierError::refused("there is no shared tier that could keep writes").into();
        self.inner().shared().ok_or_else(none)
    }

    fn partition(&self, key: &Key) -> Partition<'_> {
        let number = spread(key.as_str()) % u64::from(self.settings.partitions);
        // Less than the number of partitions.
        Partition { log: &self.name, number: u16::try_from(number).unwrap_or_default() }
    }

    /// Keeps a write, in the place of the dead letter `requeued` if there is to be one. `None` when that is not there any more.
    async fn put<K: KeyspaceKey + Cacheable, V: Cacheable>(
        &self,
        key: &K,
        value: Arc<V>,
        requeued: Option<Position>,
    ) -> Result<Option<Position>, Error> {
        let kept = self.keep(key, value, requeued).await;
        match kept {
            Ok(Some(_)) => self.counters.accepted.increment(),
            Ok(None) => {}
            Err(_) => self.counters.refused.increment(),
        }
        kept
    }

    async fn keep<K: KeyspaceKey + Cacheable, V: Cacheable>(
        &self,
        key: &K,
        value: Arc<V>,
        requeued: Option<Position>,
    ) -> Result<Option<Position>, Error> {
        let (inner, plan) = (self.inner(), self.space.plan());
        let text = &self.space.write(key).into_string();
        let (name, far) = (Key::new(text)?, self.far()?);
        let log = log_of(far)?;
        let codec = inner.codec.as_deref().ok_or_else(|| Error::configuration("no codec"))?;
        let payload = encode_both(codec, inner.place(text), key, &*value)?;
        inner.start(None);
        inner.counters.invalidations_sent.increment();
        let change = Change::Keys([name.clone()].into());
        let (ticket, _) = inner.coherence.void_key(name.as_str());
        let origin = Origin { ticket, birth: inner.coherence.known(), began: inner.clock.now() };
        let life = plan.policy.draw_life(Some(None), inner.max_ttl);
        let bytes = Bytes::copy_from_slice(value_of(&payload));
        let chosen = inner.shared_to_fill(&plan).is_some();
        let cacheable = chosen && !life.is_none() && inner.admits(&name, &plan, bytes.len() as u64);
        let encoded = Value::Encoded { bytes, codec: codec.id() };
        let mut entry = inner.entry_of(&plan, origin, Token::random(), encoded, life);
        let bound = self.settings.max_pending.div_ceil(u64::from(self.settings.partitions));
        let mut write = NewWrite::new(name.clone(), payload, far.timeout(), HOLD, bound);
        write.put = cacheable.then(|| Put::new(entry.clone(), life.total(), far.timeout()));
        write.requeued = requeued;
        let record = Record::new(inner.coherence.node, change.clone());
        let unshared: Vec<&Far> = inner.far.iter().map(|far| &**far).filter(|far| far.shared().is_none()).collect();
        // Also where nobody hears what became of the write: it may be kept.
        let owed: Vec<Owed<'_>> = unshared.iter().map(|far| Owed::new(far, &inner.coherence, &change)).collect();
        let kept = far.try_ask(log.append(self.partition(&name), write, &record)).await?;
        if matches!(kept, Kept::Kept { .. }) {
            void_in(&unshared, &change, &inner.coherence).await;
        }
        owed.into_iter().for_each(Owed::delivered);
        let (id, appended, stored) = match kept {
            Kept::Kept { id, appended, stored } => (id, appended, stored),
            Kept::Gone => return Ok(None),
            Kept::Full => {
                let most = self.settings.max_pending;
                return Err(Error::full(format!(
                    "write-behind of \"{}\": too many writes wait or were put aside (max_pending is {most}); see to its workers, \
                     and to its dead letters",
                    self.name
                )));
            }
        };
        acknowledge_in(&inner.coherence, &change, &appended)?;
        entry.birth = entry.birth.max(appended.position);
        // A load that began before the value was written must not be shared with callers that come after.
        inner.coherence.flights.detach(name.as_str(), None);
        let near_ttl = plan.near_ttl(life.total());
        let wanted = Wanted { key: &name, plan: &plan, of: ValueType::of::<V>() };
        let storable = stored && !ticket.writing;
        if !storable || !inner.insert_near(wanted, &entry, Some(value), ticket, near_ttl, Insertion::Set) {
            inner.coherence.void(&change);
        }
        self.work.notify_one();
        Ok(Some(id))
    }
}

/// Removes what tiers hold that the step of the log does not reach, deepest first.
async fn void_in(unshared: &[&Far], change: &Change, coherence: &Coherence) {
    for far in unshared.iter().rev() {
        // What could not be removed is queued, and the tier is not read until it is.
        let _ = far.invalidate(change, Manner::default(), coherence).await;
    }
}

/// For how long a key is closed to loads while its writes wait: longer than a source is away. It bounds what is left behind
/// where the log is lost.
const HOLD: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Spreads keys over partitions by FNV-1a, the same way on every node and in every version.
fn spread(key: &str) -> u64 {
    let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    hash ^ (hash >> 32)
}

/// The codec, the length of the key, the key, and the value.
fn encode_both<K: Cacheable, V: Cacheable>(
    codec: &dyn Codec,
    place: Place<'_>,
    key: &K,
    value: &V,
) -> Result<Bytes, Error> {
    let encoded = |what: &str, bytes: Result<Vec<u8>, CodecError>| {
        bytes.map_err(|_| Error::from(TierError::refused(format!("write-behind: the {what} cannot be encoded"))))
    };
    let key = encoded("key", codec::encode(codec, place, key))?;
    let value = encoded("value", codec::encode(codec, place, value))?;
    let length =
        u32::try_from(key.len()).map_err(|_| Error::from(TierError::refused("write-behind: the key is too long")))?;
    let mut bytes = Vec::with_capacity(HEAD + key.len() + value.len());
    bytes.push(codec.id());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&key);
    bytes.extend_from_slice(&value);
    Ok(Bytes::from(bytes))
}

/// The bytes before the key.
const HEAD: usize = 5;

/// Splits what [`encode_both`] made into codec, key and value.
fn split(payload: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (codec, rest) = payload.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (key, value) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((*codec, key, value))
}

/// What [`encode_both`] was given, if it was by `codec`, and is understood.
fn decode_both<K: Cacheable, V: Cacheable>(codec: &dyn Codec, place: Place<'_>, payload: &[u8]) -> Option<(K, V)> {
    let (written_by, key, value) = split(payload)?;
    if codec.id() != written_by {
        return None;
    }
    Some((codec::decode(codec, place, key).ok()?, codec::decode(codec, place, value).ok()?))
}

fn value_of(payload: &[u8]) -> &[u8] {
    split(payload).map_or(&[], |(_, _, value)| value)
}

impl<K, V> Clone for WriteBehind<K, V> {
    fn clone(&self) -> Self {
        Self { log: Arc::clone(&self.log), types: PhantomData }
    }
}

impl<K, V> fmt::Debug for WriteBehind<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBehind").field("log", &self.log.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_comes_apart_as_it_was_put_together() {
        for (key, value) in [("", ""), ("k", "v"), ("key", "")] {
            let mut payload = vec![7];
            payload.extend_from_slice(&u32::try_from(key.len()).unwrap().to_be_bytes());
            payload.extend_from_slice(key.as_bytes());
            payload.extend_from_slice(value.as_bytes());
            assert_eq!(split(&payload), Some((7, key.as_bytes(), value.as_bytes())));
        }
        for bad in [&b""[..], b"\x07", b"\x07\0\0\0", b"\x07\0\0\0\x05abcd"] {
            assert_eq!(split(bad), None);
        }
    }

    #[test]
    fn keys_spread_over_partitions_as_they_always_have() {
        // Changing these would let two workers write one key at once while versions are mixed.
        assert_eq!(["user:1", "user:2", "user:3"].map(|key| spread(key) % 8), [1, 4, 3]);
    }
}
