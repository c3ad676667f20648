//! What is void in the near tier by a pattern or a clear, and has yet to be freed.
//!
//! A near tier can hold a million entries, and to remove them takes a microsecond each. So what voids many of them takes
//! effect by being listed here: while anything is listed, a hit is held against the list. A pass over the near tier then
//! frees what is void, beside whatever else goes on, and ends what it was made for.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::coherence::{Change, Position};
use crate::entry::Entry;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};
use crate::tier::NearTier;

/// So many at once are rare. One more, and they become one clear, which is safe and costs loads.
const LISTED: usize = 64;

/// How many records are remembered for which everything has been freed.
const ENDED: usize = 16;

pub(crate) struct Sweeps {
    /// Odd while anything is listed. Each pass that ends adds two, so that a hit can tell whether one has ended since it began.
    state: AtomicU64,
    list: Mutex<List>,
    /// Held during a pass: two at once would do the same work.
    passing: Mutex<()>,
    /// Who makes the next pass in a thread beside, so that there is one such thread at the most.
    turn: Arc<Semaphore>,
    asked: Notify,
}

#[derive(Default)]
struct List {
    sweeps: Vec<Arc<Sweep>>,
    /// The latest for records that have ended. A node hears of its own records again, and nothing has come since that they would
    /// void: what was born before a record is not stored any more once that was applied.
    ended: VecDeque<Arc<Sweep>>,
}

/// What a pass is to free.
pub(crate) struct Sweep {
    change: Change,
    older: Older,
    removed: AtomicU64,
}

/// Which of the entries that a change covers are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Older {
    /// Those of readers that began before this count of the rules' changes in this process.
    Than(u64),
    /// Those born before this position.
    Born(Position),
}

/// What [`Sweeps`] was when a hit began: to be noted before the near tier is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SweepMark(u64);

impl SweepMark {
    /// Whether nothing was listed: what the near tier gave is not void by anything that came before.
    pub(crate) const fn is_clean(self) -> bool {
        self.0 & 1 == 0
    }
}

impl Sweep {
    fn new(change: Change, older: Older) -> Arc<Self> {
        Arc::new(Self { change, older, removed: AtomicU64::new(0) })
    }

    fn covers(&self, key: &str, entry: &Entry) -> bool {
        let older = match self.older {
            Older::Than(sequence) => entry.tag_sequence < sequence,
            Older::Born(position) => entry.birth < position,
        };
        older && self.change.may_cover(key)
    }

    /// How many entries were freed for it. Exact once its pass has ended.
    pub(crate) fn removed(&self) -> u64 {
        self.removed.load(Ordering::Acquire)
    }
}

impl Sweeps {
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            list: Mutex::default(),
            passing: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
            asked: Notify::new(),
        }
    }

    /// This is on the hit path.
    pub(crate) fn mark(&self) -> SweepMark {
        SweepMark(self.state.load(Ordering::Acquire))
    }

    /// Whether `entry`, which the near tier gave after `mark` was noted, is void. `None` when a pass has ended since: it may
    /// have been void by that, so the near tier is to be asked again.
    pub(crate) fn void(&self, key: &str, entry: &Entry, mark: SweepMark) -> Option<bool> {
        let list = self.lock();
        if list.sweeps.iter().any(|sweep| sweep.covers(key, entry)) {
            return Some(true);
        }
        // Under the lock, under which passes end.
        (self.state.load(Ordering::Acquire) >> 1 == mark.0 >> 1).then_some(false)
    }

    /// Voids what `change` covers and is older. The caller has voided the fills under way. `sequence` counts on.
    pub(crate) fn add(&self, change: &Change, older: Older, sequence: impl FnOnce() -> u64) -> Arc<Sweep> {
        let mut list = self.lock();
        let mut known = list.sweeps.iter().chain(&list.ended);
        if let Some(known) = known.find(|known| known.older == older && known.change == *change) {
            return Arc::clone(known);
        }
        let added = if list.sweeps.len() < LISTED {
            Sweep::new(change.clone(), older)
        } else {
            list.sweeps.clear();
            Sweep::new(Change::Clear, Older::Than(sequence()))
        };
        list.sweeps.push(Arc::clone(&added));
        self.listed();
        added
    }

    /// Voids everything that readers brought who began before `sequence`, and forgets what was listed, which that covers.
    pub(crate) fn restart(&self, sequence: u64) {
        let mut list = self.lock();
        *list = List { sweeps: vec![Sweep::new(Change::Clear, Older::Than(sequence))], ..List::default() };
        self.listed();
    }

    /// Something was listed, under the lock.
    fn listed(&self) {
        self.state.fetch_or(1, Ordering::AcqRel);
        self.asked.notify_one();
    }

    /// Frees what is void by all that is listed now. It takes as long as the near tier is large.
    pub(crate) fn pass(&self, near: &dyn NearTier) {
        let _one = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = self.lock().sweeps.clone();
        if listed.is_empty() {
            return;
        }
        near.remove_matching(&|key, entry| {
            let Some(sweep) = listed.iter().find(|sweep| sweep.covers(key.as_str(), entry)) else { return false };
            sweep.removed.fetch_add(1, Ordering::AcqRel);
            true
        });
        self.end(&listed);
    }

    /// Everything has been freed that was void by what was `listed`.
    fn end(&self, listed: &[Arc<Sweep>]) {
        let mut list = self.lock();
        let List { sweeps, ended } = &mut *list;
        for done in sweeps.extract_if(.., |sweep| listed.iter().any(|done| Arc::ptr_eq(done, sweep))) {
            if matches!(done.older, Older::Born(_)) {
                ended.truncate(ENDED - 1);
                ended.push_front(done);
            }
        }
        let passes = (self.state.load(Ordering::Acquire) >> 1) + 1;
        self.state.store((passes << 1) | u64::from(!sweeps.is_empty()), Ordering::Release);
    }

    /// Runs `call` if nothing is listed, and nothing will have been freed meanwhile.
    pub(crate) fn if_clean(&self, call: impl FnOnce()) {
        let Ok(_none) = self.passing.try_lock() else { return };
        if self.mark().is_clean() {
            call();
        }
    }

    /// Completes when it is the caller's turn to make a pass in a thread beside: `None` when there is nothing to free by then.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok()?;
        (!self.mark().is_clean()).then_some(turn)
    }

    /// Completes when something has been listed.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // A panic under the lock leaves a list that is whole.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::entry::Value;
    use crate::pattern::Pattern;

    fn pattern(text: &str) -> Change {
        Change::Pattern(Pattern::new(text).unwrap())
    }

    fn entry(birth: u64, sequence: u64) -> Entry {
        let entry = Entry::new(Value::Absent, Timestamp::ZERO, Timestamp::MAX);
        Entry { birth: Position::new(birth, 0), tag_sequence: sequence, ..entry }
    }

    fn unexpected() -> u64 {
        panic!("there is room")
    }

    #[test]
    fn what_is_listed_voids_what_it_covers_and_is_older() {
        let sweeps = Sweeps::new();
        assert!(sweeps.mark().is_clean());
        sweeps.add(&pattern("a*"), Older::Born(Position::new(5, 0)), unexpected);
        sweeps.add(&pattern("b*"), Older::Than(3), unexpected);
        let mark = sweeps.mark();
        assert!(!mark.is_clean());
        let void = |key, entry| sweeps.void(key, &entry, mark);
        assert_eq!((void("a1", entry(4, 9)), void("a1", entry(5, 0))), (Some(true), Some(false)));
        assert_eq!((void("b1", entry(0, 2)), void("b1", entry(0, 3))), (Some(true), Some(false)));
        assert_eq!(void("c1", entry(0, 0)), Some(false));
    }

    #[test]
    fn a_record_that_is_heard_of_again_is_not_listed_again() {
        let sweeps = Sweeps::new();
        let (first, second) = (Older::Born(Position::new(5, 0)), Older::Born(Position::new(6, 0)));
        let pass = || {
            let listed = sweeps.lock().sweeps.clone();
            sweeps.end(&listed);
        };
        sweeps.add(&pattern("a*"), first, unexpected);
        pass();
        assert!(sweeps.mark().is_clean());
        sweeps.add(&pattern("a*"), first, unexpected);
        assert!(sweeps.mark().is_clean());
        for (change, older) in [("a*", second), ("b*", first)] {
            sweeps.add(&pattern(change), older, unexpected);
            assert!(!sweeps.mark().is_clean());
            pass();
        }
        sweeps.restart(1);
        pass();
        sweeps.add(&pattern("a*"), first, unexpected);
        assert!(!sweeps.mark().is_clean(), "another journal may have another record at that position");
    }

    #[test]
    fn the_same_again_is_listed_once_and_too_many_become_one_clear() {
        let sweeps = Sweeps::new();
        let older = Older::Born(Position::new(5, 0));
        let first = sweeps.add(&pattern("0"), older, unexpected);
        assert!(Arc::ptr_eq(&first, &sweeps.add(&pattern("0"), older, unexpected)));
        for n in 1..LISTED {
            sweeps.add(&pattern(&n.to_string()), older, unexpected);
        }
        sweeps.add(&pattern("x"), older, || 7);
        assert_eq!(sweeps.lock().sweeps.len(), 1);
        let void = |key, entry| sweeps.void(key, &entry, sweeps.mark());
        assert_eq!((void("other", entry(9, 6)), void("other", entry(0, 7))), (Some(true), Some(false)));
    }
}
