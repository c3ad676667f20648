//! Invalidations that a tier has yet to hear of: bounded, without duplicates, in order.

use std::collections::{HashSet, VecDeque};

use crate::coherence::{Change, RECORD_MAX_KEYS};

pub(crate) struct Queue {
    capacity: usize,
    order: VecDeque<Change>,
    known: HashSet<Change>,
}

impl Queue {
    /// A queue of at most `capacity` changes; a change of several keys counts once for each.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, order: VecDeque::new(), known: HashSet::new() }
    }

    pub(crate) fn len(&self) -> usize {
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
        self.known.insert(change.clone());
        self.order.push_back(change);
        false
    }

    fn become_clear(&mut self) {
        self.order = VecDeque::from([Change::Clear]);
        self.known = HashSet::from([Change::Clear]);
    }

    /// Takes the oldest changes out, merged where they are keys. A change that is pushed while it is being delivered is
    /// queued anew: the tier may have applied the earlier one before the source changed again.
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
}
