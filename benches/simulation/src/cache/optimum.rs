//! The offline optimum: of what is held and what comes, the entry goes that is wanted last (L. A. Belady, "A study of
//! replacement algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966).

use std::collections::BinaryHeap;

use super::Cache;

pub(crate) struct Optimum {
    /// When each key that is held is wanted again.
    wanted: Vec<Option<u32>>,
    /// The same, latest first. An entry that does not agree with `wanted` is out of date.
    latest: BinaryHeap<(u32, u32)>,
    held: usize,
    capacity: usize,
}

impl Optimum {
    pub(crate) fn new(capacity: usize, keys: usize) -> Self {
        Self { wanted: vec![None; keys], latest: BinaryHeap::new(), held: 0, capacity }
    }

    fn drop_latest(&mut self) {
        while let Some((next, key)) = self.latest.pop() {
            if self.wanted[key as usize] == Some(next) {
                self.wanted[key as usize] = None;
                self.held -= 1;
                return;
            }
        }
    }
}

impl Cache for Optimum {
    fn access(&mut self, key: u32, next: u32) -> bool {
        let hit = self.wanted[key as usize].is_some();
        self.held += usize::from(!hit);
        self.wanted[key as usize] = Some(next);
        self.latest.push((next, key));
        if self.held > self.capacity {
            self.drop_latest();
        }
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::next_uses;

    fn hits(accesses: &[u32], capacity: usize) -> usize {
        let mut optimum = Optimum::new(capacity, 8);
        let next = next_uses(accesses, &vec![0; accesses.len()], 1, 8);
        accesses.iter().zip(next).filter(|(key, next)| optimum.access(**key, *next)).count()
    }

    /// By trying every choice.
    fn best(accesses: &[u32], held: &[u32], capacity: usize) -> usize {
        let Some((key, rest)) = accesses.split_first() else { return 0 };
        if held.contains(key) {
            return 1 + best(rest, held, capacity);
        }
        let with = |dropped: Option<u32>| {
            held.iter().copied().filter(|held| Some(*held) != dropped).chain([*key]).collect::<Vec<_>>()
        };
        let refused = best(rest, held, capacity);
        if held.len() < capacity {
            return refused.max(best(rest, &with(None), capacity));
        }
        held.iter().map(|dropped| best(rest, &with(Some(*dropped)), capacity)).max().unwrap_or(0).max(refused)
    }

    #[test]
    fn no_choice_of_what_to_keep_gives_more_hits() {
        fastrand::seed(7);
        for _ in 0..200 {
            let accesses: Vec<u32> = (0..12).map(|_| fastrand::u32(0..5)).collect();
            for capacity in 1..4 {
                assert_eq!(hits(&accesses, capacity), best(&accesses, &[], capacity), "{accesses:?}, {capacity}");
            }
        }
    }
}
