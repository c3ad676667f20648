//! Writes that were put aside.

use super::{WriteBehind, decode_both, log_of};
use crate::coherence::Position;
use crate::error::{Error, TierError};
use crate::service::Cacheable;
use crate::service::keyspace::KeyspaceKey;
use crate::tier::DeadLetter;

/// A write that was put aside: it failed too often, or could not be decoded. The source may not have it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadWrite<K, V> {
    /// Its place among those that were put aside, by which [`WriteBehind::requeue`] and [`WriteBehind::discard`] know it.
    pub id: Position,
    /// What its [`PendingWrite::id`](super::PendingWrite::id) was. Later writes of the key have higher ones.
    pub write: Position,
    /// The key that the service has it under.
    pub name: String,
    /// Key and value; `None` if they cannot be decoded by the codec and the types of now.
    pub content: Option<(K, V)>,
}

/// So many dead letters are told of, or discarded, in one call.
const MOST: usize = 1_000;

impl<K: KeyspaceKey + Cacheable, V: Cacheable> WriteBehind<K, V> {
    /// Writes that were put aside, of all nodes: those behind the place `after`, oldest first, at most `limit`, and at most
    /// 1,000. Begin with [`Position::START`], and go on behind the [`id`](DeadWrite::id) of the last. One round trip.
    ///
    /// ```
    /// # use cache_core::{Error, WriteBehind, coherence::Position};
    /// # async fn f(prices: WriteBehind<u64, u64>, is_wanted: fn(u64) -> bool) -> Result<(), Error> {
    /// let mut after = Position::START;
    /// loop {
    ///     let page = prices.dead_letters(after, 100).await?;
    ///     let Some(last) = page.last() else { break };
    ///     after = last.id;
    ///     for dead in page {
    ///         match dead.content {
    ///             Some((product, _)) if is_wanted(product) => drop(prices.requeue(dead.id).await?),
    ///             _ => drop(prices.discard(&[dead.id]).await?),
    ///         }
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The shared tier is away.
    pub async fn dead_letters(&self, after: Position, limit: usize) -> Result<Vec<DeadWrite<K, V>>, Error> {
        let letters = self.letters(after, limit.min(MOST)).await?;
        Ok(letters.into_iter().map(|letter| self.decode(letter)).collect())
    }

    /// Makes a write that was put aside anew, as [`WriteBehind::put`] would: as the latest of its key, under a new id, which it
    /// returns, and with its value in the cache from then on. So where the key has been written since, discard it instead.
    /// `None` if it is not there any more; of several that requeue it at once, one does. Two round trips.
    ///
    /// # Errors
    /// As [`WriteBehind::put`], or it cannot be decoded ([`Error::is_tier`]). It then stays where it is, unless an error of the
    /// tier leaves open whether it was requeued.
    pub async fn requeue(&self, id: Position) -> Result<Option<Position>, Error> {
        let mut letters = self.letters(id.previous(), 1).await?;
        let Some(letter) = letters.pop().filter(|letter| letter.id == id) else { return Ok(None) };
        let DeadWrite { name, content, .. } = self.decode(letter);
        let Some((key, value)) = content else {
            let reason = format!("write-behind: the dead letter {id} of \"{name}\" cannot be decoded; discard it");
            return Err(TierError::refused(reason).into());
        };
        self.log.put(&key, std::sync::Arc::new(value), Some(id)).await
    }

    /// Drops writes that were put aside, for good, and returns how many of them were there. One round trip for each 1,000.
    ///
    /// # Errors
    /// The shared tier is away. Then nobody knows which of them are gone.
    pub async fn discard(&self, ids: &[Position]) -> Result<u64, Error> {
        let far = self.log.far()?;
        let log = log_of(far)?;
        let mut discarded = 0;
        for ids in ids.chunks(MOST) {
            discarded += far.try_ask(log.discard(&self.log.name, ids)).await?;
        }
        Ok(discarded)
    }

    async fn letters(&self, after: Position, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        let far = self.log.far()?;
        let log = log_of(far)?;
        if limit == 0 {
            return Ok(Vec::new());
        }
        Ok(far.try_ask(log.dead_letters(&self.log.name, after, limit)).await?)
    }

    fn decode(&self, letter: DeadLetter) -> DeadWrite<K, V> {
        let DeadLetter { id, write, key, payload } = letter;
        let inner = self.log.inner();
        let codec = inner.codec.as_deref();
        let content = codec.and_then(|codec| decode_both(codec, inner.place(key.as_str()), &payload));
        DeadWrite { id, write, name: key.as_str().to_owned(), content }
    }
}
