//! The latest records that this node knows to have been in the journal.
//!
//! A server that takes over from another may lack the other's last records, and with them the removals that they stand
//! for: values that were invalidated rise again. Every node then has done again what it remembers and the journal lacks.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::coherence::{Change, Position, Record};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// How many keys, patterns and tag slots are remembered, over all records.
const WEIGHT: usize = 10_000;

/// Records by position: those of others as they were applied, and those of this node as they were acknowledged.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Records>);

#[derive(Default)]
struct Records {
    /// Everything behind this is remembered.
    from: Position,
    records: BTreeMap<Position, Change>,
    weight: usize,
    /// What has come since the journal began to be looked through for what it lacks, while that is so.
    since: Option<Since>,
}

#[derive(Default)]
struct Since {
    changes: Vec<Change>,
    weight: usize,
}

impl Recent {
    /// Remembers the record at `position`.
    pub(crate) fn add(&self, position: Position, change: &Change) {
        let mut records = self.lock();
        // What was remembered first stays: another record at its position shows that it was lost.
        if position <= records.from || records.records.contains_key(&position) {
            return;
        }
        records.records.insert(position, remembered(change));
        if let Some(since) = &mut records.since {
            since.add(change);
        }
        records.weight += weight(change);
        while records.weight > WEIGHT
            && let Some((oldest, change)) = records.records.pop_first()
        {
            records.from = oldest;
            records.weight -= weight(&change);
        }
    }

    /// Whether the journal can have a record at `position`, and the one before it at `previous`, and be the one that this
    /// node knows: in one journal nothing stands between the two.
    pub(crate) fn allows(&self, previous: Position, position: Position) -> bool {
        let between = (Bound::Excluded(previous), Bound::Excluded(position));
        previous >= position || self.lock().records.range(between).next().is_none()
    }

    /// Whether the record at `position` is the one that this node remembers there, if it remembers one.
    pub(crate) fn agrees(&self, position: Position, record: Option<&Record>) -> bool {
        self.agrees_with(position, record.map_or(&Change::Clear, |record| &record.change))
    }

    /// As [`Recent::agrees`], for a change.
    pub(crate) fn agrees_with(&self, position: Position, change: &Change) -> bool {
        self.lock().records.get(&position).is_none_or(|known| *known == remembered(change))
    }

    /// Whether the record at `position` would be remembered, had it been applied, and is not.
    pub(crate) fn misses(&self, position: Position) -> bool {
        let records = self.lock();
        position > records.from && !records.records.contains_key(&position)
    }

    /// Behind this everything is remembered.
    pub(crate) fn from(&self) -> Position {
        self.lock().from
    }

    /// What is remembered and missing from the journal, in order, given what the journal has from [`Recent::from`] on, and
    /// the oldest record that it has at all. A clear, if more is missing than is remembered. Nothing, if a clear has come
    /// after all of it: another node has noticed first.
    pub(crate) fn missing_from(&self, oldest: Position, journal: &BTreeMap<Position, Change>) -> Vec<Change> {
        let records = self.lock();
        if oldest <= records.from && records.from != Position::START && !journal.contains_key(&records.from) {
            let last = records.records.last_key_value().map_or(records.from, |(last, _)| *last);
            return if is_cleared_after(journal, last) { Vec::new() } else { vec![Change::Clear] };
        }
        let remembered_since = records.records.range(oldest..);
        let missing = remembered_since.filter(|(position, change)| journal.get(position) != Some(*change));
        let (positions, changes): (Vec<_>, Vec<_>) =
            missing.filter(|(_, change)| **change != Change::Begin).map(|(at, change)| (*at, change.clone())).unzip();
        let cleared = positions.last().is_some_and(|last| is_cleared_after(journal, *last));
        if cleared { Vec::new() } else { changes }
    }

    /// Everything that is remembered, in order, but for beginnings.
    pub(crate) fn all(&self) -> Vec<Change> {
        self.lock().records.values().filter(|change| **change != Change::Begin).cloned().collect()
    }

    /// The journal is about to be looked through for what it lacks.
    pub(crate) fn look_through(&self) {
        self.lock().since = Some(Since::default());
    }

    /// Forgets everything: the journal is taken up at `last`. Gives what has come since it was looked through, which may have
    /// gone to another.
    pub(crate) fn restart(&self, last: Position) -> Vec<Change> {
        let forgotten = std::mem::replace(&mut *self.lock(), Records { from: last, ..Records::default() });
        forgotten.since.map_or_else(Vec::new, |since| since.changes)
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        // A panic under the lock leaves records that are each whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Since {
    fn add(&mut self, change: &Change) {
        self.weight += weight(change);
        if self.weight <= WEIGHT {
            self.changes.push(remembered(change));
        } else {
            self.changes = vec![Change::Clear];
        }
    }
}

/// A journal loses its end, so what stands behind something that it has lost was appended afterwards.
fn is_cleared_after(journal: &BTreeMap<Position, Change>, position: Position) -> bool {
    journal.range((Bound::Excluded(position), Bound::Unbounded)).any(|(_, change)| *change == Change::Clear)
}

/// What is remembered of `change`, which does again what it did.
pub(crate) fn remembered(change: &Change) -> Change {
    match change {
        Change::Keys(keys) | Change::Fence(keys, _) => Change::Keys(keys.clone()),
        Change::Pattern(_) | Change::Tags(_) | Change::Clear | Change::Begin => change.clone(),
    }
}

fn weight(change: &Change) -> usize {
    match change {
        Change::Keys(keys) | Change::Fence(keys, _) => keys.len(),
        Change::Tags(tags) => tags.slots().len(),
        Change::Pattern(_) | Change::Clear | Change::Begin => 1,
    }
    .max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::key::Key;

    fn at(n: u64) -> Position {
        Position::new(n, 0)
    }

    fn keys(name: &str) -> Change {
        Change::Keys([Key::new(name).unwrap()].into())
    }

    fn missing(recent: &Recent, oldest: u64, journal: &[(u64, &str)]) -> Vec<Change> {
        let journal = journal.iter().map(|(n, name)| (at(*n), keys(name))).collect();
        recent.missing_from(at(oldest), &journal)
    }

    fn four() -> Recent {
        let recent = Recent::default();
        for n in [3, 1, 4, 2] {
            recent.add(at(n), &keys(&format!("k{n}")));
        }
        recent.add(at(4), &keys("k4"));
        recent
    }

    #[test]
    fn what_the_journal_lacks_is_told_in_order() {
        let recent = four();
        assert_eq!(missing(&recent, 1, &[(1, "k1"), (2, "k2")]), [keys("k3"), keys("k4")]);
        assert_eq!(missing(&recent, 1, &[(1, "k1"), (2, "k2"), (3, "k3"), (9, "new")]), [keys("k4")]);
        assert_eq!(
            missing(&recent, 2, &[(2, "k2"), (3, "another"), (4, "k4")]),
            [keys("k3")],
            "another took its place"
        );
        assert!(missing(&recent, 9, &[(9, "new")]).is_empty(), "it does not reach back");
    }

    #[test]
    fn what_a_later_clear_covers_is_not_told() {
        let cleared = |at_clear| {
            let journal = [(at(1), keys("k1")), (at(2), keys("k2")), (at(at_clear), Change::Clear)];
            four().missing_from(at(1), &journal.into_iter().collect())
        };
        assert!(cleared(5).is_empty());
        assert_eq!(cleared(3), [keys("k3"), keys("k4")], "it comes before what is missing");
    }

    #[test]
    fn nothing_remembered_stands_between_two_records_of_one_journal() {
        let recent = four();
        assert!(recent.allows(at(2), at(3)) && recent.allows(at(4), at(9)) && recent.allows(at(3), at(3)));
        assert!(!recent.allows(at(2), at(4)) && !recent.allows(at(0), at(9)));
        let record = |name| Record::new(crate::coherence::NodeId::new(1), keys(name));
        assert!(recent.agrees(at(3), Some(&record("k3"))) && recent.agrees(at(7), Some(&record("new"))));
        assert!(!recent.agrees(at(3), Some(&record("another"))) && !recent.agrees(at(3), None));
    }

    #[test]
    fn a_fence_is_done_again_as_an_invalidation_and_a_beginning_not_at_all() {
        let recent = Recent::default();
        recent.add(at(1), &Change::Begin);
        recent.add(at(2), &Change::Fence([Key::new("k").unwrap()].into(), Duration::from_secs(1)));
        assert_eq!(missing(&recent, 0, &[]), [keys("k")]);
    }

    #[test]
    fn what_is_forgotten_may_have_been_anything() {
        let recent = Recent::default();
        for n in 1..=WEIGHT as u64 + 1 {
            recent.add(at(n), &keys("k"));
        }
        assert_eq!(recent.from(), at(1));
        assert_eq!(missing(&recent, 0, &[]), [Change::Clear]);
        assert_eq!(missing(&recent, 0, &[(1, "k")]).len(), WEIGHT);
        assert_eq!(recent.restart(at(20_000)), []);
        recent.add(at(15_000), &keys("of the journal before"));
        assert!(missing(&recent, 0, &[(20_000, "k")]).is_empty());
        assert_eq!(missing(&recent, 0, &[(19_999, "k")]), [Change::Clear]);
        assert!(missing(&recent, 20_001, &[(20_001, "k")]).is_empty(), "trimmed, or begun anew");
    }

    #[test]
    fn what_comes_while_the_journal_is_looked_through_is_not_forgotten() {
        let recent = four();
        recent.look_through();
        recent.add(at(5), &keys("k5"));
        assert_eq!(recent.restart(at(4)), [keys("k5")]);
        recent.add(at(6), &keys("k6"));
        assert_eq!(recent.restart(at(6)), [], "nobody was looking");
        recent.look_through();
        (7..=7 + WEIGHT as u64).for_each(|n| recent.add(at(n), &keys("k")));
        assert_eq!(recent.restart(at(6)), [Change::Clear]);
    }
}
