//! What the scheduler offers, and how the tests use it.

pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

/// For each scheduler and scenario. A tenth of them finds nearly every fence that is taken away; the last few, which need
/// several steps in one order, need more.
const SCHEDULES: usize = 2_000;

/// The same schedules each time, so that a failure is due to a change.
const SEED: u64 = 0x00ca_c4ea_51de;

/// How many times, beyond those that are forced, the scheduler by priorities lets a thread overtake another.
const DEPTH: usize = 4;

/// All keys meet in one slot, where they can void each other, and the only tag is that of slot 0.
pub(crate) const fn slots(_: usize) -> usize {
    1
}

/// Written once. The scheduler has none; the flag gives it the steps.
pub(crate) struct OnceLock<T> {
    written: AtomicBool,
    value: std::sync::OnceLock<T>,
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self { written: AtomicBool::new(false), value: std::sync::OnceLock::new() }
    }
}

impl<T> OnceLock<T> {
    pub(crate) fn get(&self) -> Option<&T> {
        self.written.load(Ordering::SeqCst).then(|| self.value.get()).flatten()
    }

    pub(crate) fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        let value = self.value.get_or_init(init);
        self.written.store(true, Ordering::SeqCst);
        value
    }
}

/// Runs `scenario` in many orders: drawn evenly at each step, and by priorities that change seldom, which finds what needs
/// a thread to stand still for long. A panic tells the schedule that led to it.
pub(crate) fn explore(scenario: impl Fn() + Clone + Send + Sync + 'static) {
    run(RandomScheduler::new_from_seed(SEED, SCHEDULES), scenario.clone());
    run(PctScheduler::new_from_seed(SEED, DEPTH, SCHEDULES), scenario);
}

fn run(scheduler: impl Scheduler + 'static, scenario: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 128 * 1_024;
    // The orderings are as the head of `sync.rs` says.
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(scenario);
}
