//! Which patterns' keys moved while they were scanned for, so that some may not have been met.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cache_core::Pattern;

/// Patterns at a time. Of more nobody can tell, so from then on no rule is forgotten before its time.
const MOST: usize = 1_024;

#[derive(Default)]
pub(crate) struct Missed(Mutex<Patterns>);

#[derive(Default)]
struct Patterns {
    /// How many scans have missed something since one met everything.
    times: HashMap<Pattern, u64>,
    too_many: bool,
}

impl Missed {
    /// To be asked before a scan for `pattern` begins, and given to [`Self::scanned`] when it has ended.
    pub(crate) fn times(&self, pattern: &Pattern) -> u64 {
        self.lock().times.get(pattern).copied().unwrap_or(0)
    }

    /// A scan for `pattern` has ended. One that has met everything makes good for those before it, and for none that missed
    /// something since it began.
    pub(crate) fn scanned(&self, pattern: &Pattern, met_all: bool, times_before: u64) {
        let mut missed = self.lock();
        if met_all {
            if missed.times.get(pattern) == Some(&times_before) {
                missed.times.remove(pattern);
            }
            return;
        }
        tracing::info!(target: "cache_aside", %pattern, "keys moved while they were scanned for: the pattern's rule stays");
        if missed.times.len() < MOST || missed.times.contains_key(pattern) {
            *missed.times.entry(pattern.clone()).or_default() += 1;
        } else {
            missed.too_many = true;
        }
    }

    /// Whether keys that match `pattern` may not have been met: then its rule has to stay.
    pub(crate) fn any(&self, pattern: &Pattern) -> bool {
        let missed = self.lock();
        missed.too_many || missed.times.contains_key(pattern)
    }

    fn lock(&self) -> MutexGuard<'_, Patterns> {
        // A panic under the lock leaves counts that are each whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
