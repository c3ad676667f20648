//! The history while it is being made: who wrote what, and what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::history::{History, KeyNumber, Place, Seen, Version, Write, WriteKind};
use super::message::Call;
use super::moment::Moment;
use super::source::{Ended, Source};

/// How many of the newest returned writes are remembered for those who look at what was just written.
const RECENT: usize = 32;

/// Keeps the history.
#[derive(Debug)]
pub struct Ledger {
    source: Arc<Source>,
    history: History,
    /// The writes whose call has not returned, by node.
    under_way: BTreeMap<u32, BTreeSet<usize>>,
    /// The writes that were queued and not delivered yet, by node.
    queued: BTreeMap<u32, BTreeSet<usize>>,
    recent: Vec<KeyNumber>,
    /// Calls that returned `Done`.
    pub done: u64,
    /// Calls that returned `Queued`. One that does not say whether it did is not among them.
    pub queued_in_all: u64,
}

impl Ledger {
    /// An empty history of the source's keys.
    pub fn new(source: Arc<Source>) -> Self {
        Self {
            source,
            history: History::default(),
            under_way: BTreeMap::new(),
            queued: BTreeMap::new(),
            recent: Vec::new(),
            done: 0,
            queued_in_all: 0,
        }
    }

    /// A node is about to be called. The write's number is its place in the history.
    pub fn begin(&mut self, node: u32, call: &Call, versions: Vec<(KeyNumber, Version)>) -> usize {
        let write = self.history.writes.len();
        let kind = call.kind();
        let begun = Moment::now();
        let committed = Some(begun).filter(|_| kind != WriteKind::WriteAround);
        if committed.is_none() {
            // What a fence keeps out must be looked for before the call returns.
            self.remember(&versions);
        }
        let (fenced, returned, delivered, lost) = (None, None, None, false);
        let write_begun = Write { node, kind, begun, versions, committed, fenced, returned, delivered, lost };
        self.history.writes.push(write_begun);
        self.under_way.entry(node).or_default().insert(write);
        write
    }

    /// In the midst of a `write_around`, the source gets what it writes. Tells the version, unless the node is gone.
    pub fn commit(&mut self, write: usize, fenced: Option<Moment>) -> Option<Version> {
        let entry = self.history.writes.get_mut(write).filter(|entry| !entry.lost && entry.committed.is_none())?;
        self.source.commit(&entry.versions);
        entry.committed = Some(Moment::now());
        entry.fenced = fenced;
        entry.versions.first().map(|(_, version)| *version)
    }

    fn remember(&mut self, versions: &[(KeyNumber, Version)]) {
        self.recent.extend(versions.iter().map(|(key, _)| *key));
        let surplus = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..surplus);
    }

    /// How many calls of the node have not returned.
    pub fn under_way(&self, node: u32) -> usize {
        self.under_way.get(&node).map_or(0, BTreeSet::len)
    }

    /// Whether every call has returned, and everything queued was delivered or lost.
    pub fn is_settled(&self) -> bool {
        self.under_way.values().chain(self.queued.values()).all(BTreeSet::is_empty)
    }

    /// A call has returned.
    pub fn returned(&mut self, write: usize, returned: Moment, done: bool) {
        let Some(entry) = self.history.writes.get_mut(write) else { return };
        let node = entry.node;
        if !self.under_way.get_mut(&node).is_some_and(|writes| writes.remove(&write)) {
            return;
        }
        entry.returned = Some(returned);
        let (kind, versions) = (entry.kind, entry.versions.clone());
        self.remember(&versions);
        let Some(entry) = self.history.writes.get_mut(write) else { return };
        if done {
            self.done += 1;
            entry.delivered = Some(returned);
            self.end(write, Ended::Wholly);
        } else {
            self.queued_in_all += u64::from(kind.says_delivery());
            self.queued.entry(node).or_default().insert(write);
            self.end(write, Ended::GivenUp);
        }
    }

    /// Writes that were queued have been delivered.
    pub fn delivered(&mut self, writes: &[usize], at: Moment) {
        for write in writes {
            let Some(entry) = self.history.writes.get_mut(*write) else { continue };
            if self.queued.get_mut(&entry.node).is_some_and(|writes| writes.remove(write)) {
                entry.delivered = Some(at);
            }
        }
    }

    /// The node is gone, and with it what it had not delivered.
    pub fn lost(&mut self, node: u32) {
        let under_way = self.under_way.remove(&node).unwrap_or_default();
        let queued = self.queued.remove(&node).unwrap_or_default();
        for write in under_way.iter().chain(&queued) {
            if let Some(write) = self.history.writes.get_mut(*write) {
                write.lost = true;
            }
        }
        for write in under_way {
            self.end(write, Ended::GivenUp);
        }
    }

    /// Takes note of reads.
    pub fn seen(&mut self, place: Place, key: KeyNumber, version: Version, seen: Seen) {
        self.history.add_seen(place, key, version, seen);
    }

    /// The keys of the newest writes that have returned.
    pub fn recent(&self) -> &[KeyNumber] {
        &self.recent
    }

    /// The history so far.
    pub fn history(&mut self) -> &mut History {
        &mut self.history
    }

    /// Takes the history out, with what the source has now.
    pub fn close(&mut self) -> History {
        let mut history = std::mem::take(&mut self.history);
        history.current = self.source.versions();
        history
    }

    fn end(&self, write: usize, ended: Ended) {
        let Some(write) = self.history.writes.get(write) else { return };
        // Only a `set` could store anything.
        self.source.end_write(&write.versions, if write.kind.is_set() { ended } else { Ended::Wholly });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call = Call::Invalidate(0);

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    fn begin(ledger: &mut Ledger, call: &Call) -> usize {
        let versions = ledger.source.begin_write([0]);
        assert_eq!(versions.len(), 1, "the key is free");
        ledger.begin(7, call, versions)
    }

    fn ledger() -> Ledger {
        Ledger::new(Arc::new(Source::new(1)))
    }

    #[test]
    fn a_write_that_is_done_was_delivered_when_it_returned() {
        let mut ledger = ledger();
        let write = begin(&mut ledger, &CALL);
        assert_eq!((ledger.under_way(7), ledger.is_settled()), (1, false));

        ledger.returned(write, at(5), true);

        assert!(ledger.is_settled());
        begin(&mut ledger, &CALL);
        assert_eq!(ledger.recent(), [0]);
        let history = ledger.close();
        assert_eq!((history.writes[0].returned, history.writes[0].delivered), (Some(at(5)), Some(at(5))));
        assert_eq!(history.current, [3]);
    }

    #[test]
    fn what_is_written_around_is_at_the_source_when_the_node_asks_for_it_and_lives() {
        let mut ledger = ledger();
        let versions = ledger.source.reserve([0]);
        let write = ledger.begin(7, &Call::WriteAround(0, 1), versions);
        assert_eq!((ledger.source.read(0), ledger.history.writes[write].committed), (Some(1), None));
        assert_eq!(ledger.commit(write, Some(at(5))), Some(2));
        assert_eq!((ledger.source.read(0), ledger.history.writes[write].fenced), (Some(2), Some(at(5))));
        ledger.lost(7);

        let versions = ledger.source.reserve([0]);
        let write = ledger.begin(8, &Call::WriteAround(0, 1), versions);
        ledger.lost(8);
        assert_eq!((ledger.commit(write, None), ledger.source.read(0)), (None, Some(2)));
    }

    #[test]
    fn a_queued_write_is_delivered_later() {
        let mut ledger = ledger();
        let write = begin(&mut ledger, &CALL);
        ledger.returned(write, at(5), false);
        assert!(!ledger.is_settled());

        ledger.delivered(&[write, 99], at(9));

        assert!(ledger.is_settled());
        let history = ledger.close();
        assert_eq!((history.writes[0].returned, history.writes[0].delivered), (Some(at(5)), Some(at(9))));
    }

    #[test]
    fn a_call_that_does_not_say_what_became_of_it_counts_as_neither() {
        let mut ledger = ledger();
        let write = begin(&mut ledger, &Call::WriteAround(0, 1));
        ledger.returned(write, at(5), false);
        assert!(!ledger.is_settled());
        assert_eq!((ledger.done, ledger.queued_in_all), (0, 0));
    }

    #[test]
    fn what_a_killed_node_had_not_delivered_is_lost() {
        let mut ledger = ledger();
        let queued = begin(&mut ledger, &CALL);
        ledger.returned(queued, at(5), false);
        let under_way = begin(&mut ledger, &CALL);

        ledger.lost(7);
        ledger.delivered(&[queued], at(9));
        ledger.returned(under_way, at(9), true);

        assert!(ledger.is_settled());
        let writes = ledger.close().writes;
        assert!(writes.iter().all(|write| write.lost && write.delivered.is_none()));
        assert_eq!((writes[0].returned, writes[1].returned), (Some(at(5)), None));
    }

    #[test]
    fn a_set_that_may_still_run_keeps_its_key() {
        let mut ledger = ledger();
        let write = begin(&mut ledger, &Call::Set(0, 2));

        ledger.returned(write, at(5), false);

        assert!(ledger.source.begin_write([0]).is_empty());
    }
}
