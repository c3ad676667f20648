//! What happened in a run, as far as the promises are about it.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::message::Stall;
use super::moment::Moment;

/// A key, by its number from 0.
pub type KeyNumber = u32;

/// A version of a key's value at the source. The first is 1.
pub type Version = u64;

/// Who was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A node process, by its number in order of their starts. A node that was killed and started again is another one.
    Node(u32),
    /// The value in Redis itself, read past every node.
    Redis,
}

/// How a write tells the caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteKind {
    /// `invalidate`.
    Invalidate,
    /// `invalidate_many`.
    InvalidateMany,
    /// `invalidate_pattern`.
    InvalidatePattern,
    /// `invalidate_tags`.
    InvalidateTags,
    /// `clear`.
    Clear,
    /// `set` of the new value.
    Set,
    /// `set` with the version.
    SetVersioned,
    /// `set` of a value that is sent to all nodes.
    SetReplicated,
    /// `invalidate_strict`.
    InvalidateStrict,
    /// `write_around`.
    WriteAround,
}

impl WriteKind {
    /// Whether the old value is gone from Redis when the call has returned. A tag only voids it: what has the tag is freed
    /// later, and is not served meanwhile.
    pub const fn removes_from_redis(self) -> bool {
        !matches!(self, Self::InvalidateTags)
    }

    /// Whether no node may serve an older value when the call has returned `Done`.
    pub const fn binds_all_at_once(self) -> bool {
        matches!(self, Self::InvalidateStrict)
    }

    /// Whether the call says if all tiers were told.
    pub const fn says_delivery(self) -> bool {
        !matches!(self, Self::WriteAround)
    }

    /// Whether it stores a value.
    pub const fn is_set(self) -> bool {
        matches!(self, Self::Set | Self::SetVersioned | Self::SetReplicated)
    }
}

/// New versions at the source, and the call that told a node of them.
#[derive(Debug, Clone)]
pub struct Write {
    /// The node that was called.
    pub node: u32,
    /// Which call it was.
    pub kind: WriteKind,
    /// Before the call.
    pub begun: Moment,
    /// What was written.
    pub versions: Vec<(KeyNumber, Version)>,
    /// From when on the source had the versions: before the call, or in the midst of a `write_around`. `None` when its node
    /// was gone before it asked for that.
    pub committed: Option<Moment>,
    /// From when on there was a fence around the write, if there was one.
    pub fenced: Option<Moment>,
    /// When the call returned. `None` when it did not: its node was gone.
    pub returned: Option<Moment>,
    /// From when on every tier was known to have been told: when the call returned `Done`, or when a call that returned
    /// `Queued` had been delivered since. `None` when that never was, or nobody knows.
    pub delivered: Option<Moment>,
    /// Its node was gone before it was delivered, so nobody owes its delivery any more.
    pub lost: bool,
}

/// All reads that saw one version of one key at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    /// How many there were.
    pub reads: u64,
    /// The earliest start of one.
    pub first_start: Moment,
    /// The latest start of one.
    pub last_start: Moment,
}

impl Seen {
    /// One read.
    pub const fn once(start: Moment) -> Self {
        Self { reads: 1, first_start: start, last_start: start }
    }

    /// Both together.
    pub fn merge(&mut self, other: Self) {
        self.reads += other.reads;
        self.first_start = self.first_start.min(other.first_start);
        self.last_start = self.last_start.max(other.last_start);
    }
}

/// A read after all faults were healed, all that was queued delivered, and the bound had passed.
#[derive(Debug, Clone, Copy)]
pub struct Audit {
    /// The node that was read.
    pub node: u32,
    /// The key that was read.
    pub key: KeyNumber,
    /// What it saw; `None` when the read failed.
    pub version: Option<Version>,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Its start.
    pub from: Moment,
    /// Its end.
    pub to: Moment,
}

impl Stretch {
    /// Whether the moment is in it, ends included.
    pub fn contains(&self, moment: Moment) -> bool {
        self.from <= moment && moment <= self.to
    }
}

/// What reads have in common that are judged as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sight {
    /// Where it was read.
    pub place: Place,
    /// After how many failovers.
    pub era: usize,
    /// In which of the healthy stretches, if in one.
    pub calm: Option<usize>,
    /// What was read.
    pub key: KeyNumber,
    /// What it was.
    pub version: Version,
}

/// A whole run.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The newest version of each key at the source, by the key's number, at the end.
    pub current: Vec<Version>,
    /// The writes. Those of one key do not overlap.
    pub writes: Vec<Write>,
    /// The reads.
    pub seen: HashMap<Sight, Seen>,
    /// The nodes that were to be audited, each for all keys.
    pub audited: Vec<u32>,
    /// What they read.
    pub audits: Vec<Audit>,
    /// The nodes that are gone, and that nobody killed.
    pub died: Vec<u32>,
    /// When there was no fault and every node said that it was well, in order. The last one may go on.
    pub healthy: Vec<Stretch>,
    /// When processes were late to do what they meant to do, other than by a fault.
    pub stalls: Vec<Stall>,
    /// When a replica took the place of a server that was gone, in order. What was begun later reached the replica alone.
    pub failovers: Vec<Moment>,
    /// When the server may have lost fences, with other things that it held.
    pub losses: Vec<Stretch>,
    /// How long a fence holds after the last sign of life of its node.
    pub fence_ttl: Duration,
    /// Until when a node had not reached the server since it was started, by node. Until then nobody can know of it.
    pub unknown_until: HashMap<u32, Moment>,
}

impl History {
    /// Adds reads.
    pub fn add_seen(&mut self, place: Place, key: KeyNumber, version: Version, seen: Seen) {
        let (era, calm) = (self.era(seen.last_start), self.calm(seen.last_start));
        let sight = Sight { place, era, calm, key, version };
        self.seen.entry(sight).and_modify(|known| known.merge(seen)).or_insert(seen);
    }

    /// How many reads nodes made.
    pub fn reads(&self) -> u64 {
        self.seen.iter().filter(|(sight, _)| sight.place != Place::Redis).map(|(_, seen)| seen.reads).sum()
    }

    /// How many reads nodes made each second, from the first of them to the last.
    pub fn reads_per_second(&self) -> u64 {
        let nodes = || self.seen.iter().filter(|(sight, _)| sight.place != Place::Redis).map(|(_, seen)| seen);
        let first = nodes().map(|seen| seen.first_start).min().unwrap_or_default();
        let last = nodes().map(|seen| seen.last_start).max().unwrap_or_default();
        let millis = last.since(first).as_millis().max(1);
        u64::try_from(u128::from(self.reads()) * 1_000 / millis).unwrap_or(u64::MAX)
    }

    /// A node has been started.
    pub fn started(&mut self, node: u32) {
        self.unknown_until.insert(node, Moment::MAX);
    }

    /// A node has reached the server.
    pub fn reached(&mut self, node: u32, at: Moment) {
        if let Some(until) = self.unknown_until.get_mut(&node).filter(|until| **until == Moment::MAX) {
            *until = at;
        }
    }

    /// Whether the others could know of a node.
    pub fn is_known(&self, node: u32, moment: Moment) -> bool {
        self.unknown_until.get(&node).is_none_or(|until| *until <= moment)
    }

    /// From now on all is well. The clock is read here, so that no read that began later has been added before.
    pub fn becomes_well(&mut self) {
        self.healthy.push(Stretch { from: Moment::now(), to: Moment::MAX });
    }

    /// From now on all may not be well.
    pub fn ceases_to_be_well(&mut self) {
        if let Some(stretch) = self.healthy.last_mut() {
            stretch.to = Moment::now();
        }
    }

    /// From when on nothing older than a write was stored, because of a fence that held until the source had it. The server
    /// has lost no fence since, until the write was told or the fence had lapsed.
    pub fn fenced(&self, write: &Write) -> Option<Moment> {
        let (fenced, committed) = (write.fenced?, write.committed?);
        let end = write.delivered.unwrap_or(committed + self.fence_ttl);
        let lost = self.losses.iter().any(|loss| write.begun <= loss.to && loss.from <= end);
        (committed < write.begun + self.fence_ttl && !lost).then_some(fenced)
    }

    /// From when on a write counts for all nodes: it was told, or its node was killed and the fence around it has lapsed.
    pub fn told(&self, write: &Write) -> Option<Moment> {
        let lapsed = || self.fenced(write).filter(|_| write.lost).and(write.committed).map(|at| at + self.fence_ttl);
        write.delivered.or_else(lapsed)
    }

    /// From when on Redis must hold nothing older than a write.
    pub fn removed(&self, write: &Write) -> Option<Moment> {
        let delivered = write.delivered.filter(|_| write.kind.removes_from_redis());
        self.fenced(write).or(delivered)
    }

    /// In which of the healthy stretches a moment is, if in one.
    pub fn calm(&self, moment: Moment) -> Option<usize> {
        let last = self.healthy.partition_point(|stretch| stretch.from <= moment).checked_sub(1)?;
        self.healthy[last].contains(moment).then_some(last)
    }

    /// The longest stall of a process that was late in a stretch, if only for a part of it.
    pub fn longest_stall(&self, stretch: Stretch) -> Duration {
        let within = |stall: &&Stall| stall.end >= stretch.from && stall.end.before(stall.duration) <= stretch.to;
        self.stalls.iter().filter(within).map(|stall| stall.duration).max().unwrap_or_default()
    }

    /// How many failovers there were up to a moment.
    pub fn era(&self, moment: Moment) -> usize {
        self.failovers.partition_point(|failover| *failover <= moment)
    }
}
