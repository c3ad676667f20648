//! The latest records that this node knows to have been in the journal.
//!
//! A server that takes over from another may lack the other's last records, and with them the removals that they stand
//! for: values that were invalidated rise again. Every node then has done again what it remembers and the journal lacks.

use std::collections::{BTreeMap, HashSet};

use crate::coherence::{Change, Position};
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
}

impl Recent {
    /// Remembers the record at `position`.
    pub(crate) fn add(&self, position: Position, change: &Change) {
        let mut records = self.lock();
        if position <= records.from || records.records.insert(position, change.clone()).is_some() {
            return;
        }
        records.weight += weight(change);
        while records.weight > WEIGHT
            && let Some((oldest, change)) = records.records.pop_first()
        {
            records.from = oldest;
            records.weight -= weight(&change);
        }
    }

    /// What was behind `last`, in order, and is not `present`. A clear, if that is not known any more.
    pub(crate) fn lost_after(&self, last: Position, present: &HashSet<Position>) -> Vec<Change> {
        let records = self.lock();
        if last < records.from {
            return vec![Change::Clear];
        }
        let behind = records.records.range(last..).filter(|(position, _)| **position > last);
        behind.filter(|(position, _)| !present.contains(position)).filter_map(|(_, change)| again(change)).collect()
    }

    /// Forgets everything: the journal is taken up at `last`.
    pub(crate) fn restart(&self, last: Position) {
        *self.lock() = Records { from: last, ..Records::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        // A panic under the lock leaves records that are each whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change that does again what `change` did.
fn again(change: &Change) -> Option<Change> {
    match change {
        Change::Keys(keys) | Change::Fence(keys, _) => Some(Change::Keys(keys.clone())),
        Change::Pattern(_) | Change::Tags(_) | Change::Clear => Some(change.clone()),
        Change::Begin => None,
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

    fn lost(recent: &Recent, last: u64, present: &[u64]) -> Vec<Change> {
        recent.lost_after(at(last), &present.iter().map(|n| at(*n)).collect())
    }

    #[test]
    fn what_the_journal_lacks_is_told_in_order() {
        let recent = Recent::default();
        for n in [3, 1, 4, 2] {
            recent.add(at(n), &keys(&format!("k{n}")));
        }
        recent.add(at(4), &keys("k4"));
        assert_eq!(lost(&recent, 2, &[]), [keys("k3"), keys("k4")]);
        assert_eq!(lost(&recent, 2, &[3]), [keys("k4")]);
        assert!(lost(&recent, 4, &[]).is_empty());
    }

    #[test]
    fn a_fence_is_done_again_as_an_invalidation_and_a_beginning_not_at_all() {
        let recent = Recent::default();
        recent.add(at(1), &Change::Begin);
        recent.add(at(2), &Change::Fence([Key::new("k").unwrap()].into(), Duration::from_secs(1)));
        assert_eq!(lost(&recent, 0, &[]), [keys("k")]);
    }

    #[test]
    fn what_is_forgotten_may_have_been_anything() {
        let recent = Recent::default();
        for n in 1..=WEIGHT as u64 + 1 {
            recent.add(at(n), &keys("k"));
        }
        assert_eq!(lost(&recent, 0, &[]), [Change::Clear]);
        assert_eq!(lost(&recent, 1, &[]).len(), WEIGHT);
        recent.restart(at(20_000));
        recent.add(at(15_000), &keys("of the journal before"));
        assert!(lost(&recent, 20_000, &[]).is_empty());
        assert_eq!(lost(&recent, 19_999, &[]), [Change::Clear]);
    }
}
