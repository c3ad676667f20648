//! The promises, held against a history.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::time::Duration;

use super::history::{History, KeyNumber, Place, Seen, Sight, Version, Write};
use super::moment::Moment;

/// Something that the promises rule out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// G1: Redis held a value older than a write after it was told of that write.
    StaleInRedis(Evidence),
    /// G2: a node served a value older than a write later than the bound after it.
    StaleBeyondBound(Evidence),
    /// G2: a node served a value older than a write although all was well and its delivery was over.
    StaleWhileWell(Evidence),
    /// G3: the node that was called served an older value after the call had returned.
    StaleOnOwnNode(Evidence),
    /// A node served a value older than a write that was to be seen by all nodes at once.
    StaleAfterStrict(Evidence),
    /// G1 and G2: a node read an old value in the final audit.
    StaleInAudit {
        /// The node that read it.
        node: u32,
        /// The key.
        key: KeyNumber,
        /// What it read.
        version: Version,
        /// The newest version of which every tier had been told.
        delivered: Version,
    },
    /// A node could not read a key in the final audit, when nothing failed any more.
    MissingInAudit {
        /// The node.
        node: u32,
        /// The key.
        key: KeyNumber,
    },
    /// G6: the call returned, its node lived on, and the tiers were never told.
    NeverDelivered {
        /// The write, by its place in the history.
        write: usize,
    },
    /// A node ended by itself, or said what nobody understands: so its writes were lost as if it had been killed.
    Died {
        /// The node.
        node: u32,
    },
    /// A version was read that the source never had.
    Invented {
        /// Where it was read.
        place: Place,
        /// The key.
        key: KeyNumber,
        /// What was read.
        version: Version,
    },
}

/// Reads of which at least the last came too late after a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    /// What was read, and where.
    pub sight: Sight,
    /// The reads that saw it.
    pub seen: Seen,
    /// The write that should have been seen, by its place in the history: of all newer ones, the one that was to be seen
    /// the earliest.
    pub write: usize,
    /// From when on the write counts.
    pub from: Moment,
}

impl Evidence {
    /// How long after the write the last read started.
    pub fn staleness(&self) -> Duration {
        self.seen.last_start.since(self.from)
    }
}

/// How long values older than a write were still read on a node, for one write, key and node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staleness {
    /// From the delivery of the write to the latest start of a read that saw an older value; zero when there was none.
    pub duration: Duration,
    /// The write, by its place in the history.
    pub write: usize,
    /// The node.
    pub node: u32,
    /// The key.
    pub key: KeyNumber,
}

/// What became of the check.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Everything that was found, sorted.
    pub violations: Vec<Violation>,
    /// For every delivered write, each of its keys, and each node that read the key afterwards, shortest first.
    pub staleness: Vec<Staleness>,
    /// The same for writes in a healthy stretch, and reads until its end.
    pub healthy_staleness: Vec<Staleness>,
}

/// Checks G1, G2, G3 and G6. A read may see a value older than a write for `bound` after the write, and no longer; while all is
/// well, for `delivery` and the longest stall of that stretch of time.
pub fn check(history: &History, bound: Duration, delivery: Duration) -> Verdict {
    let mut violations = stale_reads(history, bound, delivery);
    violations.extend(invented(history));
    violations.extend(audit(history));
    violations.extend(never_delivered(history));
    violations.extend(history.died.iter().map(|node| Violation::Died { node: *node }));
    violations.sort_unstable();
    let staleness = staleness(history);
    let healthy_staleness = healthy_staleness(history, &staleness);
    Verdict { violations, staleness, healthy_staleness }
}

/// The writes of a key, or those of them that count for some readers.
#[derive(Debug, Default)]
struct Demands {
    /// By the era in which they began and by version: from when on each must be seen, and its place in the history.
    eras: BTreeMap<usize, BTreeMap<Version, (Moment, usize)>>,
}

impl Demands {
    /// Turns each demand into the earliest of it and of all newer ones of its era. Later writes make up for nothing: whoever
    /// sees an older value than any of them has missed them all.
    fn settle(&mut self) {
        for era in self.eras.values_mut() {
            let mut earliest = None;
            for demand in era.values_mut().rev() {
                *demand = earliest.map_or(*demand, |earliest| (*demand).min(earliest));
                earliest = Some(*demand);
            }
        }
    }

    /// The write that should have been seen in place of `version` the longest, if any should. `bound` tells how long after
    /// a write of an era it need not be seen.
    fn broken_by(&self, version: Version, start: Moment, bound: impl Fn(usize) -> Duration) -> Option<(Moment, usize)> {
        let earliest = self.eras.iter().filter_map(|(era, demands)| {
            let (_, (from, write)) = demands.range(version + 1..).next()?;
            (start > *from + bound(*era)).then_some((*from, *write))
        });
        earliest.min()
    }
}

/// The demands of the writes for which `counts` tells a moment, by what `counts` tells and the key.
fn demands<S: Hash + Eq + Copy>(
    history: &History,
    counts: impl Fn(&Write) -> Option<(S, Moment)>,
) -> HashMap<(S, KeyNumber), Demands> {
    let mut demands: HashMap<_, Demands> = HashMap::new();
    for (index, write) in history.writes.iter().enumerate() {
        let Some((scope, from)) = counts(write) else { continue };
        for (key, version) in &write.versions {
            let demands = demands.entry((scope, *key)).or_default();
            demands.eras.entry(history.era(write.begun)).or_default().insert(*version, (from, index));
        }
    }
    demands.values_mut().for_each(Demands::settle);
    demands
}

/// How long a delivery may take in each healthy stretch.
pub fn deliveries(history: &History, delivery: Duration) -> Vec<Duration> {
    history.healthy.iter().map(|stretch| delivery + history.longest_stall(*stretch)).collect()
}

fn stale_reads(history: &History, bound: Duration, delivery: Duration) -> Vec<Violation> {
    let deliveries = deliveries(history, delivery);
    let told = demands(history, |write| Some(((), history.told(write)?)));
    let removed = demands(history, |write| Some(((), history.removed(write)?)));
    let own = demands(history, |write| Some((write.node, write.returned?)));
    let strict = demands(history, |write| {
        Some((
            (),
            write.returned.filter(|returned| write.kind.binds_all_at_once() && write.delivered == Some(*returned))?,
        ))
    });
    let mut found = Vec::new();
    for (sight, seen) in &history.seen {
        let broken = |demands: Option<&Demands>, bound: &dyn Fn(usize) -> Duration| {
            let (from, write) = demands?.broken_by(sight.version, seen.last_start, bound)?;
            Some(Evidence { sight: *sight, seen: *seen, write, from })
        };
        // What the server had not told its replica rises again, until the nodes have told it to the replica themselves.
        let at_once = |era: usize| if era < sight.era { bound } else { Duration::ZERO };
        match sight.place {
            Place::Redis => {
                found.extend(broken(removed.get(&((), sight.key)), &at_once).map(Violation::StaleInRedis));
            }
            Place::Node(node) => {
                found.extend(broken(told.get(&((), sight.key)), &|_| bound).map(Violation::StaleBeyondBound));
                // What was told before all was well had been heard of by then, or was under way.
                let calm = sight.calm.map(|calm| (history.healthy[calm].from, deliveries[calm]));
                if let Some((from, delivery)) = calm
                    && seen.last_start > from + delivery
                {
                    let delivery = |era: usize| if era < sight.era { bound } else { delivery };
                    found.extend(broken(told.get(&((), sight.key)), &delivery).map(Violation::StaleWhileWell));
                }
                if history.is_known(node, seen.last_start) {
                    found.extend(broken(strict.get(&((), sight.key)), &at_once).map(Violation::StaleAfterStrict));
                }
                found.extend(broken(own.get(&(node, sight.key)), &at_once).map(Violation::StaleOnOwnNode));
            }
        }
    }
    found
}

fn current(history: &History, key: KeyNumber) -> Version {
    history.current.get(key as usize).copied().unwrap_or_default()
}

fn invented(history: &History) -> impl Iterator<Item = Violation> {
    let seen = history.seen.keys().map(|sight| (sight.place, sight.key, sight.version));
    let audits = history.audits.iter().filter_map(|a| Some((Place::Node(a.node), a.key, a.version?)));
    seen.chain(audits)
        .filter(|(_, key, version)| *version > current(history, *key))
        .map(|(place, key, version)| Violation::Invented { place, key, version })
}

/// The newest version of each key of which every tier was told. Where the source has a newer one, its write was lost with
/// its node.
pub fn newest_delivered(history: &History) -> Vec<Version> {
    let mut newest = vec![0; history.current.len()];
    for write in history.writes.iter().filter(|write| write.delivered.is_some()) {
        for (key, version) in &write.versions {
            if let Some(newest) = newest.get_mut(*key as usize) {
                *newest = (*newest).max(*version);
            }
        }
    }
    newest
}

fn audit(history: &History) -> Vec<Violation> {
    let newest = newest_delivered(history);
    let mut found = Vec::new();
    let mut read = HashSet::new();
    for audit in &history.audits {
        let (node, key) = (audit.node, audit.key);
        let Some(version) = audit.version else { continue };
        read.insert((node, key));
        let delivered = newest.get(key as usize).copied().unwrap_or_default();
        if version < delivered {
            found.push(Violation::StaleInAudit { node, key, version, delivered });
        }
    }
    for (node, key) in history.audited.iter().flat_map(|node| (0_u32..).zip(&newest).map(|(key, _)| (*node, key))) {
        if !read.contains(&(node, key)) {
            found.push(Violation::MissingInAudit { node, key });
        }
    }
    found
}

fn never_delivered(history: &History) -> impl Iterator<Item = Violation> {
    let writes = history.writes.iter().enumerate();
    writes
        .filter(|(_, write)| write.delivered.is_none() && !write.lost)
        .map(|(write, _)| Violation::NeverDelivered { write })
}

fn staleness(history: &History) -> Vec<Staleness> {
    let readers = readers(history);
    let mut all = Vec::new();
    for (index, write) in history.writes.iter().enumerate() {
        let Some(delivered) = write.delivered else { continue };
        for (key, version) in &write.versions {
            for (node, reader) in readers.get(key).into_iter().flatten() {
                if reader.first_start <= delivered && delivered < reader.last_start {
                    let duration = reader.last_start_before(*version).since(delivered);
                    all.push(Staleness { duration, write: index, node: *node, key: *key });
                }
            }
        }
    }
    all.sort_unstable_by_key(|staleness| staleness.duration);
    all
}

/// Of those whose write was delivered while all was well, how long they lasted, or lasted within that stretch of time: what is
/// still stale at its end has been stale for so long at least.
fn healthy_staleness(history: &History, all: &[Staleness]) -> Vec<Staleness> {
    let mut readers: HashMap<(usize, KeyNumber, u32), BTreeMap<Version, Moment>> = HashMap::new();
    for (sight, seen) in &history.seen {
        if let (Place::Node(node), Some(calm)) = (sight.place, sight.calm) {
            let last = readers.entry((calm, sight.key, node)).or_default().entry(sight.version).or_default();
            *last = (*last).max(seen.last_start);
        }
    }
    let within = |staleness: &Staleness| {
        let Staleness { write, node, key, .. } = *staleness;
        let write = &history.writes[write];
        let (delivered, (_, version)) = (write.delivered?, write.versions.iter().find(|(written, _)| *written == key)?);
        let reader = readers.get(&(history.calm(delivered)?, key, node));
        let older = reader.into_iter().flat_map(|versions| versions.range(..*version)).map(|(_, last)| *last);
        Some(Staleness { duration: older.max().unwrap_or_default().since(delivered), ..*staleness })
    };
    let mut healthy: Vec<Staleness> = all.iter().filter_map(within).collect();
    healthy.sort_unstable_by_key(|staleness| staleness.duration);
    healthy
}

/// The reads of one key on one node.
#[derive(Debug)]
struct Reader {
    first_start: Moment,
    last_start: Moment,
    /// For each version, the latest start of a read that saw it or an older one.
    last_starts: BTreeMap<Version, Moment>,
}

impl Reader {
    fn new(versions: &BTreeMap<Version, Seen>) -> Self {
        let mut last_start = Moment::default();
        let last_starts = versions.iter().map(|(version, seen)| {
            last_start = last_start.max(seen.last_start);
            (*version, last_start)
        });
        let last_starts = last_starts.collect();
        let first_start = versions.values().map(|seen| seen.first_start).min().unwrap_or_default();
        Self { first_start, last_start, last_starts }
    }

    /// The latest start of a read that saw something older than `version`.
    fn last_start_before(&self, version: Version) -> Moment {
        self.last_starts.range(..version).next_back().map_or(Moment::default(), |(_, start)| *start)
    }
}

fn readers(history: &History) -> HashMap<KeyNumber, BTreeMap<u32, Reader>> {
    let mut seen: HashMap<KeyNumber, BTreeMap<u32, BTreeMap<Version, Seen>>> = HashMap::new();
    for (sight, reads) in &history.seen {
        if let Place::Node(node) = sight.place {
            let versions = seen.entry(sight.key).or_default().entry(node).or_default();
            versions.entry(sight.version).and_modify(|seen| seen.merge(*reads)).or_insert(*reads);
        }
    }
    let of_key =
        |nodes: BTreeMap<u32, _>| nodes.iter().map(|(node, versions)| (*node, Reader::new(versions))).collect();
    seen.into_iter().map(|(key, nodes)| (key, of_key(nodes))).collect()
}

#[cfg(test)]
mod tests;
