//! What the scheduler offers, and how the tests use it: as in `cache-core/src/sync/explored.rs`.

pub(crate) use shuttle::sync::Mutex;
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

/// For each scheduler and scenario.
const SCHEDULES: usize = 4_000;

/// The same schedules each time, so that a failure is due to a change.
const SEED: u64 = 0x00ca_c4ea_51de;

/// How many times, beyond those that are forced, the scheduler by priorities lets a thread overtake another.
const DEPTH: usize = 4;

/// A place for one value, each of whose operations is one step.
#[derive(Debug)]
pub(crate) struct Slot<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Slot<T> {
    pub(crate) fn with<R>(&self, look: impl FnOnce(Option<&Arc<T>>) -> R) -> R {
        let there = self.0.lock().unwrap().clone();
        look(there.as_ref())
    }

    pub(crate) fn put(&self, value: Arc<T>) {
        *self.0.lock().unwrap() = Some(value);
    }

    pub(crate) fn take(&self, value: &Arc<T>) {
        let mut there = self.0.lock().unwrap();
        if there.as_ref().is_some_and(|there| Arc::ptr_eq(there, value)) {
            *there = None;
        }
    }
}

/// Runs `scenario` in many orders. A panic tells the schedule that led to it.
pub(crate) fn explore(scenario: impl Fn() + Clone + Send + Sync + 'static) {
    run(RandomScheduler::new_from_seed(SEED, SCHEDULES), scenario.clone());
    run(PctScheduler::new_from_seed(SEED, DEPTH, SCHEDULES), scenario);
}

fn run(scheduler: impl Scheduler + 'static, scenario: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 128 * 1_024;
    // It takes every ordering for the strictest.
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(scenario);
}
