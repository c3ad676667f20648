//! Writes: new versions at the source, and a call of a node for each.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fleet::Fleet;
use super::history::{KeyNumber, Version};
use super::keys::Keys;
use super::ledger::Ledger;
use super::message::{Call, ToNode};
use super::source::Source;

/// A node that is stopped or cut off gets no more than this, so that its keys do not all stand still.
const UNDER_WAY_LIMIT: usize = 4;

/// How many keys an `invalidate_many` names.
const MANY: u32 = 5;

/// Makes writes.
pub struct Writers {
    /// The nodes.
    pub fleet: Arc<Fleet>,
    /// What is written.
    pub source: Arc<Source>,
    /// Where it is noted.
    pub ledger: Arc<Mutex<Ledger>>,
    /// The keys.
    pub keys: Keys,
    /// How many writes are made each second.
    pub per_second: u32,
    /// What is drawn from.
    pub random: fastrand::Rng,
}

impl Writers {
    /// Writes until `end`.
    pub async fn write_until(&mut self, end: Instant) {
        let mean = 1_000 / u64::from(self.per_second.max(1));
        while Instant::now() < end {
            sleep(Duration::from_millis(self.random.u64(0..=2 * mean))).await;
            let slots = self.fleet.slots();
            let slot = self.random.usize(slots);
            let Some(node) = self.fleet.node(slot) else { continue };
            if self.ledger.lock().unwrap_or_else(PoisonError::into_inner).under_way(node) < UNDER_WAY_LIMIT {
                self.write(node).await;
            }
        }
    }

    async fn write(&mut self, node: u32) {
        let Some((call, versions)) = self.draw() else { return };
        let write = self.lock_ledger(|ledger| ledger.begin(node, &call, versions));
        if !self.fleet.tell(node, ToNode::Write { write, call }).await {
            self.lock_ledger(|ledger| ledger.lost(node));
        }
    }

    /// A write of keys that nobody else is writing: all versions are at the source when this returns, but for those that are
    /// to be written around.
    fn draw(&mut self) -> Option<(Call, Vec<(KeyNumber, Version)>)> {
        let (key, group) = (self.draw_key(), self.random.u32(..self.keys.groups()));
        let (call, versions) = match self.random.u32(..1_000) {
            0..350 => (Call::Invalidate(key), self.source.begin_write([key])),
            350..450 => (Call::InvalidateStrict(key), self.source.begin_write([key])),
            450..500 => (Call::WriteAround(key, self.random.u64(0..50)), self.source.reserve([key])),
            500..700 => {
                let versions = self.source.begin_write([key]);
                (self.draw_set(key, versions.first().map_or(0, |(_, version)| *version)), versions)
            }
            700..800 => {
                let keys: Vec<KeyNumber> = (0..MANY).map(|_| self.draw_key()).collect();
                let versions = self.source.begin_write(keys);
                (Call::InvalidateMany(versions.iter().map(|(key, _)| *key).collect()), versions)
            }
            800..890 => (Call::InvalidatePattern(group), self.source.begin_write(self.keys.of_pattern(group))),
            890..995 => (Call::InvalidateTags(group), self.source.begin_write(self.keys.of_tag(group))),
            _ => (Call::Clear, self.source.begin_write(0..self.keys.count)),
        };
        (!versions.is_empty()).then_some((call, versions))
    }

    fn draw_set(&mut self, key: KeyNumber, version: Version) -> Call {
        match self.random.u32(..3) {
            0 => Call::Set(key, version),
            1 => Call::SetVersioned(key, version),
            _ => Call::SetReplicated(key, version),
        }
    }

    /// Low numbers are written more often than high ones.
    fn draw_key(&mut self) -> KeyNumber {
        self.random.u32(..self.keys.count).min(self.random.u32(..self.keys.count))
    }

    fn lock_ledger<R>(&self, act: impl FnOnce(&mut Ledger) -> R) -> R {
        act(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
