//! Invalidations that a tier has yet to hear of: bounded, without duplicates, in order.

use std::collections::{HashMap, VecDeque};

use crate::coherence::{Change, Position, RECORD_MAX_KEYS};

pub(crate) struct Queue {
    capacity: usize,
    order: VecDeque<Change>,
    /// What is in the queue, and where its record stands, if it has one already and only its scan is owed.
    known: HashMap<Change, Option<Position>>,
}

impl Queue {
    /// A queue of at most `capacity` changes; a change of several keys counts once for each.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, order: VecDeque::new(), known: HashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Adds `change`, or puts it back when it could not be delivered (changes commute, so its place does not matter), and
    /// tells whether the queue had to give up the single changes for one that covers them all. `recorded` is where the record
    /// of the change stands already.
    pub(crate) fn push(&mut self, change: &Change, recorded: Option<Position>) -> bool {
        match change {
            // Once it has overflowed, what is left of the keys is covered too.
            Change::Keys(keys) | Change::Fence(keys, _) => {
                keys.iter().any(|key| self.push_one(Change::Keys([key.clone()].into()), None))
            }
            Change::Clear => {
                // Its record covers nothing that has come since.
                self.become_clear(recorded.filter(|_| self.order.is_empty()));
                false
            }
            Change::Pattern(_) | Change::Tags(_) => self.push_one(change.clone(), recorded),
            Change::Begin => false,
        }
    }

    fn push_one(&mut self, change: Change, recorded: Option<Position>) -> bool {
        if let Some(clear) = self.known.get_mut(&Change::Clear) {
            *clear = None;
            return false;
        }
        if let Some(known) = self.known.get_mut(&change) {
            // One of the two that has yet to be recorded may have been made after the record of the other.
            *known = known.zip(recorded).map(|(known, recorded)| known.max(recorded));
            return false;
        }
        if self.order.len() >= self.capacity {
            self.become_clear(None);
            return true;
        }
        self.known.insert(change.clone(), recorded);
        self.order.push_back(change);
        false
    }

    fn become_clear(&mut self, recorded: Option<Position>) {
        self.order = VecDeque::from([Change::Clear]);
        self.known = HashMap::from([(Change::Clear, recorded)]);
    }

    /// Takes the oldest changes out, merged where they are keys, and tells where the record of the change stands, if it has one
    /// already. A change that is pushed while it is being delivered is
    /// queued anew: the tier may have applied the earlier one before the source changed again.
    pub(crate) fn take(&mut self) -> Option<(Change, Option<Position>)> {
        let mut keys = Vec::new();
        while keys.len() < RECORD_MAX_KEYS
            && let Some(Change::Keys(next)) = self.order.front()
        {
            keys.extend(next.iter().cloned());
            self.drop_front();
        }
        if keys.is_empty() { self.drop_front() } else { Some((Change::Keys(keys.into()), None)) }
    }

    fn drop_front(&mut self) -> Option<(Change, Option<Position>)> {
        let change = self.order.pop_front()?;
        let recorded = self.known.remove(&change).flatten();
        Some((change, recorded))
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
            assert!(!queue.push(&change, None));
        }
        assert_eq!(queue.len(), 4);
        for expected in [keys(&["a", "b"]), pattern("p*"), keys(&["c"])] {
            assert_eq!(queue.take(), Some((expected, None)));
        }
        assert!(queue.take().is_none());
    }

    #[test]
    fn an_overflow_becomes_one_clear() {
        let mut queue = Queue::new(2);
        assert!(queue.push(&keys(&["a", "b", "c"]), None));
        assert!(!queue.push(&keys(&["d"]), None), "the clear covers it");
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.take(), Some((Change::Clear, None)));
    }

    #[test]
    fn a_key_that_changes_again_during_its_delivery_is_delivered_again() {
        let mut queue = Queue::new(10);
        queue.push(&keys(&["a"]), None);
        let (taken, _) = queue.take().unwrap();
        queue.push(&keys(&["a"]), None);
        assert_eq!(queue.take(), Some((taken, None)));
    }

    #[test]
    fn what_could_not_be_delivered_is_kept() {
        let mut queue = Queue::new(10);
        queue.push(&keys(&["a", "b"]), None);
        let (taken, _) = queue.take().unwrap();
        assert_eq!(queue.len(), 0);
        queue.push(&taken, None);
        assert_eq!(queue.take(), Some((taken, None)));
    }

    #[test]
    fn a_record_counts_for_what_was_made_before_it_and_for_nothing_else() {
        let at = |n| Some(Position::new(n, 0));
        let take = |pushes: &[(Change, Option<Position>)]| {
            let mut queue = Queue::new(2);
            for (change, recorded) in pushes {
                queue.push(change, *recorded);
            }
            queue.take()
        };
        let (p, other) = (pattern("p*"), pattern("other*"));
        assert_eq!(take(&[(p.clone(), at(5))]), Some((p.clone(), at(5))));
        assert_eq!(take(&[(p.clone(), at(5)), (p.clone(), at(7))]), Some((p.clone(), at(7))));
        assert_eq!(take(&[(p.clone(), at(5)), (p.clone(), None)]), Some((p.clone(), None)), "it was made again");
        assert_eq!(take(&[(p.clone(), None), (p.clone(), at(5))]), Some((p.clone(), None)));
        assert_eq!(take(&[(Change::Clear, at(5))]), Some((Change::Clear, at(5))));
        for besides in [&p, &keys(&["k"]), &Change::Clear] {
            let (clear, besides) = ((Change::Clear, at(5)), (besides.clone(), None));
            assert_eq!(take(&[clear.clone(), besides.clone()]), Some((Change::Clear, None)), "{besides:?} came later");
            assert_eq!(take(&[besides, clear]), Some((Change::Clear, None)));
        }
        let overflow = [(p, at(5)), (other, at(6)), (keys(&["k"]), None)];
        assert_eq!(take(&overflow), Some((Change::Clear, None)));
    }
}
