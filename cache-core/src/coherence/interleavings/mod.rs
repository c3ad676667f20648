//! The real code of the protocol in every order that the scheduler of [`crate::sync`] comes to.
//!
//! The source is a number that only grows: a change writes the next one, and then invalidates. From when the invalidation
//! has returned, nobody may be given a lower one. [`Node`] keeps the highest such number and holds every answer against it.

mod fills;
mod flights;
mod rules;

use std::any::TypeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Unwatched, Ordering::SeqCst};
use std::time::Duration;

use shuttle::future::block_on;

use super::shelf::Shelf;
use super::{Change, Coherence, Insertion, NodeId, Position, Record, Ticket, Timings};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::entry::{Entry, Value};
use crate::flight::{End, Role};
use crate::key::Key;
use crate::pattern::Pattern;
use crate::selection::Access;
use crate::stats::Counters;
use crate::sync::{AtomicU64, Mutex};
use crate::tags::{TagSlot, Tags};
use crate::tier::NearTier;

const KEY: &str = "k";

fn key() -> Key {
    Key::new(KEY).unwrap()
}

fn pattern() -> Pattern {
    Pattern::new("k*").unwrap()
}

fn tags() -> Tags {
    Tags::from_slots(vec![TagSlot::new(0)])
}

fn at(n: usize) -> Position {
    Position::new(n as u64, 0)
}

/// Each kind of change that covers the key.
fn changes() -> [Change; 4] {
    [Change::Keys([key()].into()), Change::Pattern(pattern()), Change::Tags(tags()), Change::Clear]
}

/// A node, the source that it loads from, and the journal that it shares with others.
struct Node {
    coherence: Coherence,
    near: Arc<Shelf>,
    source: AtomicU64,
    /// Each record with its writer and with what the source held when it was written.
    journal: Mutex<Vec<(Record, u64)>>,
    /// The lowest number that may still be given. It is the test's own, and no step to the scheduler.
    floor: Unwatched,
}

impl Node {
    fn new() -> Self {
        let near = Arc::new(Shelf::default());
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        let shelf = Arc::clone(&near) as Arc<dyn NearTier>;
        let coherence = Coherence::new(Some(shelf), clock, Arc::new(Counters::default()), Timings::TEST, false);
        let (source, journal, floor) = (AtomicU64::new(0), Mutex::default(), Unwatched::new(0));
        Self { coherence, near, source, journal, floor }
    }

    /// What a hit gives.
    fn look(&self) -> Option<u64> {
        let floor = self.floor.load(SeqCst);
        let entry = self.coherence.look_up(KEY)?;
        self.coherence.may_serve(&entry, Timestamp::ZERO).then(|| {
            let version = version_of(&entry);
            assert!(version >= floor, "{version} was served after {floor} had been invalidated");
            version
        })
    }

    /// Loads and stores, as the leader of a flight does.
    fn load(&self) -> u64 {
        let ticket = self.coherence.note(KEY);
        let birth = self.coherence.known();
        let version = self.source.load(SeqCst);
        self.store(version, birth, ticket, Insertion::Fill);
        version
    }

    fn store(&self, version: u64, birth: Position, ticket: Ticket, insertion: Insertion) -> bool {
        let entry = Entry { tag_sequence: ticket.rules.tag_sequence, ..entry(version, birth) };
        let insert = || self.near.insert(&key(), entry.clone(), Duration::MAX);
        self.coherence.insert(KEY, &entry, ticket, insertion, insert)
    }

    /// A read: from the near tier, or by the flight that is under way, or by a load.
    fn read(&self) {
        self.held_against_floor(|| self.look().unwrap_or_else(|| self.fly()));
    }

    /// The rest of a read that has found nothing in the near tier, where there may be something by now.
    fn read_after_miss(&self) {
        self.held_against_floor(|| self.fly());
    }

    fn held_against_floor(&self, read: impl FnOnce() -> u64) {
        let floor = self.floor.load(SeqCst);
        let version = read();
        assert!(version >= floor, "a caller that came after {floor} had been invalidated was given {version}");
    }

    fn fly(&self) -> u64 {
        loop {
            match self.coherence.join(&key(), TypeId::of::<u64>(), Access::ALL, Duration::MAX) {
                Role::Follows(follower) => {
                    if let Some(End::Value(Some(version))) = block_on(follower.wait(&ManualClock::new())) {
                        return *version.downcast().unwrap();
                    }
                }
                Role::Leads(leader) => {
                    let version = self.look().unwrap_or_else(|| self.load());
                    drop(leader.end(End::Value(Some(Arc::new(version)))));
                    return version;
                }
            }
        }
    }

    fn write(&self) -> u64 {
        self.source.fetch_add(1, SeqCst) + 1
    }

    fn append(&self, node: NodeId, change: &Change, version: u64) -> Position {
        let mut journal = self.journal.lock().unwrap();
        journal.push((Record::new(node, change.clone()), version));
        let length = journal.len();
        drop(journal);
        at(length)
    }

    /// A change of a node without a journal.
    fn invalidate_alone(&self, change: &Change) {
        let version = self.write();
        self.coherence.void(change);
        self.returned(version);
    }

    /// Frees what is void, as the service does in a thread beside the others.
    fn sweep(&self) {
        self.coherence.sweep();
        self.look();
    }

    /// A set with a version, in a node without a journal. False when it was not stored.
    fn set(&self, version: u64) -> bool {
        let Some(ticket) = self.coherence.void_older(KEY, Some(version)) else { return false };
        let stored = self.store(version, Position::START, ticket, Insertion::Set);
        if !stored {
            self.coherence.void_key(KEY);
        }
        stored
    }

    /// Gives what is there another form, as the service does with what another node sent.
    fn unpack(&self) {
        let Some(entry) = self.coherence.look_up(KEY) else { return };
        let other = entry.clone();
        self.coherence.replace(KEY, &entry, || self.near.insert(&key(), other, Duration::MAX));
    }

    /// A change of this node: voided here, then written to the journal, then voided by its position.
    fn invalidate(&self, change: &Change) {
        let version = self.write();
        self.coherence.void(change);
        let position = self.append(self.coherence.node, change, version);
        self.coherence.void_before(change, position);
        self.returned(version);
    }

    /// A change of another node.
    fn change_elsewhere(&self, change: &Change) {
        let version = self.write();
        self.append(NodeId::new(7), change, version);
    }

    /// Applies the records that the journal holds by now, but for the first `applied`, and tells how many it holds.
    fn listen(&self, applied: usize) -> usize {
        let records = self.journal.lock().unwrap().clone();
        for (n, (record, version)) in records.iter().enumerate().skip(applied) {
            self.coherence.apply(at(n + 1), Some(record));
            self.returned(*version);
        }
        records.len()
    }

    /// From here on nothing older than `version` may be given.
    fn returned(&self, version: u64) {
        self.floor.fetch_max(version, SeqCst);
        self.look();
    }
}

fn entry(version: u64, birth: Position) -> Entry {
    let entry = Entry::new(Value::Typed(Arc::new(version)), Timestamp::ZERO, Timestamp::MAX);
    Entry { birth, tags: tags(), version: Some(version), ..entry }
}

fn version_of(entry: &Entry) -> u64 {
    let Value::Typed(value) = &entry.value else { panic!("it was not stored here") };
    *value.downcast_ref().unwrap()
}
