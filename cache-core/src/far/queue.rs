//! Invalidations that a tier has yet to hear of: bounded, without duplicates, in order.

use std::collections::{HashSet, VecDeque};

use crate::coherence::{Change, Position, RECORD_MAX_KEYS};

pub(crate) struct Queue {
    capacity: usize,
    order: VecDeque<Change>,
    known: HashSet<Change>,
    /// Changes that the tier has heard of, with where the record stands: what they void has yet to be freed.
    scans: VecDeque<(Change, Position)>,
}

impl Queue {
    /// A queue of at most `capacity` changes, and as many scans; a change of several keys counts once for each.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, order: VecDeque::new(), known: HashSet::new(), scans: VecDeque::new() }
    }

    /// How many changes wait, also those for their scan alone.
    pub(crate) fn len(&self) -> usize {
        self.unheard() + self.scans.len()
    }

    /// How many changes the tier has yet to hear of.
    pub(crate) fn unheard(&self) -> usize {
        self.order.len()
    }

    /// Adds `change`, or puts it back when it could not be delivered (changes commute, so its place does not matter), and
    /// tells whether the queue had to give up the single changes for one that covers them all.
    pub(crate) fn push(&mut self, change: &Change) -> bool {
        match change {
            // Once it has overflowed, what is left of the keys is covered too.
            Change::Keys(keys) | Change::Fence(keys, _) => {
                keys.iter().any(|key| self.push_one(Change::Keys([key.clone()].into())))
            }
            Change::Clear => {
                self.become_clear();
                false
            }
            Change::Pattern(_) | Change::Tags(_) => self.push_one(change.clone()),
            Change::Begin => false,
        }
    }

    fn push_one(&mut self, change: Change) -> bool {
        if self.known.contains(&Change::Clear) || self.known.contains(&change) {
            return false;
        }
        if self.order.len() >= self.capacity {
            self.become_clear();
            return true;
        }
        // Its own scan does for an earlier one.
        self.scans.retain(|(scanned, _)| *scanned != change);
        self.known.insert(change.clone());
        self.order.push_back(change);
        false
    }

    fn become_clear(&mut self) {
        self.order = VecDeque::from([Change::Clear]);
        self.known = HashSet::from([Change::Clear]);
        self.scans.clear();
    }

    /// Adds the scan of `change`, whose record stands at `position`, and tells whether the queue had to become one change that
    /// covers everything.
    pub(crate) fn push_scan(&mut self, change: &Change, position: Position) -> bool {
        if self.known.contains(&Change::Clear) || self.known.contains(change) {
            return false;
        }
        if let Some((_, known)) = self.scans.iter_mut().find(|(scanned, _)| scanned == change) {
            *known = position.max(*known);
            return false;
        }
        if self.scans.len() >= self.capacity {
            self.become_clear();
            return true;
        }
        self.scans.push_back((change.clone(), position));
        false
    }

    /// Takes the oldest changes out that the tier has yet to hear of, merged where they are keys. A change that is pushed while
    /// it is being delivered is queued anew: the tier may have applied the earlier one before the source changed again.
    pub(crate) fn take(&mut self) -> Option<Change> {
        let mut keys = Vec::new();
        while keys.len() < RECORD_MAX_KEYS
            && let Some(Change::Keys(next)) = self.order.front()
        {
            keys.extend(next.iter().cloned());
            self.drop_front();
        }
        if keys.is_empty() { self.drop_front() } else { Some(Change::Keys(keys.into())) }
    }

    /// Takes out the oldest change of which only the scan is left.
    pub(crate) fn take_scan(&mut self) -> Option<(Change, Position)> {
        self.scans.pop_front()
    }

    fn drop_front(&mut self) -> Option<Change> {
        let change = self.order.pop_front()?;
        self.known.remove(&change);
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use crate::pattern::Pattern;

    fn keys(names: &[&str]) -> Change {
        Change::Keys(names.iter().map(|name| Key::new(name).unwrap()).collect())
    }

    fn pattern(text: &str) -> Change {
        Change::Pattern(Pattern::new(text).unwrap())
    }

    #[test]
    fn changes_come_out_in_order_without_duplicates_and_merged() {
        let mut queue = Queue::new(10);
        for change in [keys(&["a"]), keys(&["b", "a"]), pattern("p*"), keys(&["c"]), pattern("p*")] {
            assert!(!queue.push(&change));
        }
        assert_eq!(queue.len(), 4);
        for expected in [keys(&["a", "b"]), pattern("p*"), keys(&["c"])] {
            assert_eq!(queue.take(), Some(expected));
        }
        assert!(queue.take().is_none());
    }

    #[test]
    fn an_overflow_becomes_one_clear() {
        let mut queue = Queue::new(2);
        assert!(queue.push(&keys(&["a", "b", "c"])));
        assert!(!queue.push(&keys(&["d"])), "the clear covers it");
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.take(), Some(Change::Clear));
    }

    #[test]
    fn a_key_that_changes_again_during_its_delivery_is_delivered_again() {
        let mut queue = Queue::new(10);
        queue.push(&keys(&["a"]));
        let taken = queue.take().unwrap();
        queue.push(&keys(&["a"]));
        assert_eq!(queue.take(), Some(taken));
    }

    #[test]
    fn what_could_not_be_delivered_is_kept() {
        let mut queue = Queue::new(10);
        queue.push(&keys(&["a", "b"]));
        let taken = queue.take().unwrap();
        assert_eq!(queue.len(), 0);
        queue.push(&taken);
        assert_eq!(queue.take(), Some(taken));
    }

    #[test]
    fn a_scan_is_owed_unless_another_will_do_for_it() {
        let at = |n| Position::new(n, 0);
        let (p, other) = (pattern("p*"), pattern("other*"));
        let mut queue = Queue::new(2);
        assert!(!queue.push_scan(&p, at(5)) && !queue.push_scan(&p, at(7)) && !queue.push_scan(&other, at(6)));
        assert_eq!((queue.len(), queue.unheard(), queue.take()), (2, 0, None));
        assert_eq!(queue.take_scan(), Some((p.clone(), at(7))));

        // Made again, it is to be recorded again, and scanned for after that.
        queue.push(&other);
        assert_eq!((queue.len(), queue.take_scan()), (1, None));
        queue.push_scan(&other, at(6));
        assert_eq!(queue.take_scan(), None);
        assert_eq!(queue.take(), Some(other.clone()));

        // What comes besides does not change that its record stands.
        queue.push_scan(&Change::Clear, at(8));
        queue.push(&keys(&["k"]));
        assert_eq!((queue.take(), queue.take_scan()), (Some(keys(&["k"])), Some((Change::Clear, at(8)))));

        queue.push_scan(&p, at(9));
        queue.push(&Change::Clear);
        queue.push_scan(&other, at(9));
        assert_eq!((queue.len(), queue.take(), queue.take_scan()), (1, Some(Change::Clear), None));

        for n in 0..2 {
            assert!(!queue.push_scan(&pattern(&format!("{n}*")), at(9)));
        }
        assert!(queue.push_scan(&p, at(9)), "there is no room");
        assert_eq!((queue.len(), queue.take()), (1, Some(Change::Clear)));
    }
}
