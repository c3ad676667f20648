//! Patterns and clears that far tiers may not have worked through yet.
//!
//! The record of a pattern takes effect at once: what it covers and was born before it is void, wherever it is read. The
//! scan that follows only frees memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::coherence::Position;
use crate::pattern::Pattern;

/// More patterns than this at once are rare; the oldest then counts as a clear, which is safe and costs loads.
const CAPACITY: usize = 256;

#[derive(Default)]
pub(crate) struct Rules {
    any: AtomicBool,
    rules: Mutex<List>,
}

#[derive(Default)]
struct List {
    /// Everything born before it is void.
    cleared: Position,
    patterns: VecDeque<(Position, Pattern)>,
}

impl Rules {
    /// Whether a value of `key` born at `birth` is void.
    pub(crate) fn void(&self, key: &str, birth: Position) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let rules = self.lock();
        birth < rules.cleared || rules.patterns.iter().any(|(at, pattern)| birth < *at && pattern.matches(key))
    }

    pub(crate) fn add_clear(&self, position: Position) {
        let mut rules = self.lock();
        rules.clear_before(position);
        self.any.store(true, Ordering::Release);
    }

    pub(crate) fn add_pattern(&self, position: Position, pattern: Pattern) {
        let mut rules = self.lock();
        if rules.patterns.iter().any(|(at, known)| *at >= position && *known == pattern) {
            return;
        }
        rules.patterns.retain(|(_, known)| *known != pattern);
        rules.patterns.push_back((position, pattern));
        if rules.patterns.len() > CAPACITY
            && let Some((oldest, _)) = rules.patterns.pop_front()
        {
            rules.clear_before(oldest);
        }
        self.any.store(true, Ordering::Release);
    }

    /// Forgets every rule: their positions belong to a journal that is gone.
    pub(crate) fn restart(&self) {
        *self.lock() = List::default();
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn clear_before(&mut self, position: Position) {
        self.cleared = self.cleared.max(position);
        let cleared = self.cleared;
        self.patterns.retain(|(at, _)| *at > cleared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u64) -> Position {
        Position::new(n, 0)
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).unwrap()
    }

    #[test]
    fn a_pattern_voids_what_it_covers_and_was_born_before_it() {
        let rules = Rules::default();
        assert!(!rules.void("user:1", at(0)));
        rules.add_pattern(at(5), pattern("user:*"));
        assert!(rules.void("user:1", at(4)));
        assert!(!rules.void("user:1", at(5)));
        assert!(!rules.void("order:1", at(4)));
    }

    #[test]
    fn a_clear_voids_everything_born_before_it() {
        let rules = Rules::default();
        rules.add_clear(at(5));
        assert!(rules.void("any", at(4)) && !rules.void("any", at(5)));
    }

    #[test]
    fn the_same_pattern_again_replaces_the_older_rule() {
        let rules = Rules::default();
        rules.add_pattern(at(5), pattern("a*"));
        rules.add_pattern(at(7), pattern("a*"));
        rules.add_pattern(at(6), pattern("a*"));
        assert!(rules.void("a", at(6)));
        assert_eq!(rules.lock().patterns.len(), 1);
    }

    #[test]
    fn on_overflow_the_oldest_pattern_counts_as_a_clear() {
        let rules = Rules::default();
        for n in 1..=CAPACITY as u64 + 1 {
            rules.add_pattern(at(n * 10), pattern(&format!("p{n}:*")));
        }
        assert!(rules.void("unrelated", at(9)));
        assert!(!rules.void("unrelated", at(10)));
        assert!(rules.void("p2:x", at(19)) && !rules.void("p2:x", at(20)));
    }
}
