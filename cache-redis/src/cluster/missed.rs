//! Which patterns' keys moved while they were scanned for, so that some may not have been met: their rules have to stay.
//!
//! Who asks whether a rule may be forgotten has recorded it through this tier, and scanned after that. So of a pattern that was
//! missed, those rules stay whose records were appended before the scan ended. One that is recorded later is scanned for later,
//! and that scan says for itself what it has met.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cache_core::Pattern;
use cache_core::coherence::Position;

/// Patterns that are told apart. Where there are more, the rules of all stay that have been recorded by then.
const MOST: usize = 1_024;

#[derive(Default)]
pub(crate) struct Missed(Mutex<Patterns>);

#[derive(Default)]
struct Patterns {
    /// The newest record of a pattern.
    newest: Position,
    /// How many scans have missed something.
    scans: u64,
    each: HashMap<Pattern, Miss>,
    /// What may have been missed of any pattern.
    all: Miss,
}

/// What may have been missed and was not made good for since.
#[derive(Clone, Copy, Default)]
struct Miss {
    /// The number of the last scan that missed something.
    scan: u64,
    /// The rules up to here have to stay.
    through: Position,
}

impl Missed {
    /// The record of a pattern was appended, to be scanned for from now on.
    pub(crate) fn recorded(&self, position: Position) {
        let mut patterns = self.lock();
        patterns.newest = patterns.newest.max(position);
    }

    /// To be asked before a scan begins, and given to [`Self::scanned`] when it has ended.
    pub(crate) fn scans(&self) -> u64 {
        self.lock().scans
    }

    /// A scan for `pattern` has ended. One that has met everything makes good for those that ended before it began, and for none
    /// that missed something since.
    pub(crate) fn scanned(&self, pattern: &Pattern, met_all: bool, scans_before: u64) {
        let mut patterns = self.lock();
        if met_all {
            let is_good = |miss: &Miss| miss.scan <= scans_before;
            if *pattern == Pattern::all() {
                patterns.each.retain(|_, miss| !is_good(miss));
                if is_good(&patterns.all) {
                    patterns.all = Miss::default();
                }
            } else if patterns.each.get(pattern).is_some_and(is_good) {
                patterns.each.remove(pattern);
            }
            return;
        }
        tracing::info!(target: "cache_aside", %pattern, "keys moved while they were scanned for: the pattern's rule stays");
        patterns.scans += 1;
        let miss = Miss { scan: patterns.scans, through: patterns.newest };
        if patterns.each.len() < MOST || patterns.each.contains_key(pattern) {
            patterns.each.insert(pattern.clone(), miss);
            return;
        }
        tracing::warn!(
            target: "cache_aside",
            patterns = MOST,
            "keys moved while so many patterns were scanned for: their rules stay until \"*\" is invalidated"
        );
        // It covers what is told of each.
        patterns.each.clear();
        patterns.all = miss;
    }

    /// Whether keys that match `pattern` may not have been met, so that its rule of `position` has to stay.
    pub(crate) fn any(&self, pattern: &Pattern, position: Position) -> bool {
        let patterns = self.lock();
        let of_each = patterns.each.get(pattern).is_some_and(|miss| position <= miss.through);
        of_each || position <= patterns.all.through
    }

    fn lock(&self) -> MutexGuard<'_, Patterns> {
        // A panic under the lock leaves each part whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: impl AsRef<str>) -> Pattern {
        Pattern::new(text.as_ref()).unwrap()
    }

    fn at(millis: u64) -> Position {
        Position::new(millis, 0)
    }

    /// One more than are told apart, of which the last was recorded at 9.
    fn too_many() -> Missed {
        let missed = Missed::default();
        missed.recorded(at(9));
        for n in 0..=MOST {
            missed.scanned(&pattern(format!("k{n}*")), false, missed.scans());
        }
        missed
    }

    #[test]
    fn what_is_recorded_after_a_scan_has_missed_something_is_scanned_for_by_another() {
        let (missed, k) = (Missed::default(), pattern("k*"));
        missed.recorded(at(5));
        missed.scanned(&k, false, missed.scans());
        assert!(missed.any(&k, at(4)) && missed.any(&k, at(5)));
        assert!(!missed.any(&pattern("other*"), at(5)));
        missed.recorded(at(6));
        assert!(!missed.any(&k, at(6)));
        missed.scanned(&k, false, missed.scans());
        assert!(missed.any(&k, at(6)));
    }

    #[test]
    fn one_that_meets_everything_makes_good_for_those_before_it_alone() {
        let (missed, k) = (Missed::default(), pattern("k*"));
        missed.recorded(at(5));
        missed.scanned(&k, false, missed.scans());
        let before = missed.scans();
        missed.scanned(&k, false, missed.scans());
        missed.scanned(&k, true, before);
        assert!(missed.any(&k, at(5)), "one has missed something since it began");
        missed.scanned(&pattern("other*"), true, missed.scans());
        assert!(missed.any(&k, at(5)), "another pattern");
        missed.scanned(&k, true, missed.scans());
        assert!(!missed.any(&k, at(5)));
    }

    #[test]
    fn where_too_many_were_missed_the_rules_up_to_then_stay_and_later_ones_go() {
        let missed = too_many();
        for pattern in ["k0*", "other*"].map(pattern) {
            missed.scanned(&pattern, true, missed.scans());
            assert!(missed.any(&pattern, at(9)));
            assert!(!missed.any(&pattern, at(10)));
        }
        // From then on they are told apart again.
        missed.recorded(at(10));
        missed.scanned(&pattern("k0*"), false, missed.scans());
        assert!(missed.any(&pattern("k0*"), at(10)));
        assert!(!missed.any(&pattern("k1*"), at(10)));
    }

    #[test]
    fn a_scan_of_everything_makes_good_for_however_many() {
        let missed = too_many();
        let before = missed.scans();
        missed.scanned(&pattern("k0*"), false, missed.scans());
        missed.scanned(&Pattern::all(), true, before);
        assert!(!missed.any(&pattern("k1*"), at(9)));
        assert!(missed.any(&pattern("k0*"), at(9)), "it has missed something since");
        missed.scanned(&Pattern::all(), true, missed.scans());
        assert!(!missed.any(&pattern("k0*"), at(9)));
    }
}
