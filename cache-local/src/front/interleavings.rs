//! The real code of the front in every order that the scheduler of [`crate::sync`] comes to.
//!
//! moka is a map under a lock, which tells of what it evicts some time after it has evicted it. What is inserted under the
//! one key is a number that only grows. From when the call has returned that removed or replaced a number, nobody may be
//! given it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Unwatched, Ordering::SeqCst};
use std::time::Duration;

use cache_core::Key;
use shuttle::thread;

use super::{Front, Kept};
use crate::sync::{Mutex, explore};

const KEY: &str = "k";

struct Tier {
    moka: Mutex<Option<Arc<Kept<u64>>>>,
    front: Front<u64>,
    /// The lowest number that may still be given. It is the test's own, and no step to the scheduler.
    floor: Unwatched,
}

impl Tier {
    fn new() -> Self {
        Self { moka: Mutex::new(None), front: Front::new(1), floor: Unwatched::new(0) }
    }

    fn look_up(&self) {
        let floor = self.floor.load(SeqCst);
        let at = self.front.at(KEY);
        let found = self.front.find(at, KEY, |kept| kept.entry).or_else(|| {
            let version = self.front.version(at);
            let kept = self.moka.lock().unwrap().clone()?;
            self.front.admit(at, version, &kept, || true);
            Some(kept.entry)
        });
        assert!(found.is_none_or(|number| number >= floor), "{found:?} was given after all below {floor} were gone");
    }

    fn returned(&self, floor: u64) {
        self.floor.fetch_max(floor, SeqCst);
    }

    fn insert(&self, number: u64) {
        let kept = Arc::new(Kept::new(Key::new(KEY).unwrap(), number, Duration::MAX));
        let replaced = self.moka.lock().unwrap().replace(kept);
        if let Some(replaced) = replaced {
            self.front.release(&replaced);
        }
        self.front.moved(self.front.at(KEY));
        self.returned(number);
    }

    /// As moka evicts: others see that it is gone before its listener hears of it.
    fn evict(&self) {
        let evicted = self.moka.lock().unwrap().take();
        if let Some(evicted) = evicted {
            self.front.release(&evicted);
        }
    }

    fn remove(&self, below: u64) {
        self.evict();
        self.front.moved(self.front.at(KEY));
        self.returned(below);
    }

    fn remove_matching(&self, below: u64) {
        self.evict();
        self.front.all_moved();
        self.returned(below);
    }

    /// When all is quiet the front holds nothing that moka has let go of.
    fn settled(&self) {
        self.look_up();
        let kept = self.moka.lock().unwrap().clone();
        let mut held = self.front.sets[0].slots.iter().filter_map(|slot| slot.with(|there| there.cloned()));
        let same = held.all(|held| kept.as_ref().is_some_and(|kept| Arc::ptr_eq(&held, kept)));
        assert!(same, "the front keeps what moka has let go of");
    }
}

/// Two that look, one that evicts, and `write`.
fn explored(write: impl Fn(&Tier) + Clone + Send + Sync + 'static) {
    explore(move || {
        let tier = Tier::new();
        tier.insert(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    tier.look_up();
                    tier.look_up();
                });
            }
            scope.spawn(|| tier.evict());
            scope.spawn(|| {
                write(&tier);
                tier.look_up();
            });
        });
        tier.settled();
    });
}

#[test]
fn nobody_is_given_what_was_removed() {
    explored(|tier| {
        tier.remove(1);
        tier.insert(1);
        tier.remove(2);
    });
}

#[test]
fn nobody_is_given_what_was_removed_with_all_that_matched() {
    explored(|tier| {
        tier.remove_matching(1);
        tier.insert(1);
        tier.remove_matching(2);
    });
}

#[test]
fn nobody_is_given_what_was_replaced() {
    explored(|tier| {
        tier.insert(1);
        tier.insert(2);
    });
}

/// The version has two parts, which are not read at once.
#[test]
fn nobody_is_given_what_was_removed_while_others_are_removed() {
    explore(|| {
        let tier = Tier::new();
        tier.insert(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    tier.look_up();
                    tier.look_up();
                });
            }
            scope.spawn(|| tier.front.all_moved());
            scope.spawn(|| tier.front.moved(tier.front.at(KEY)));
            scope.spawn(|| {
                tier.remove(1);
                tier.look_up();
            });
        });
        tier.settled();
    });
}
