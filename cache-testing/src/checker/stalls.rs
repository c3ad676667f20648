//! How late this process itself is, since what it measures is no better than that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::message::Stall;
use super::moment::Moment;

const TICK: Duration = Duration::from_millis(5);

/// A thread that sleeps, and takes note of how late it wakes up.
#[derive(Debug)]
pub struct StallWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Stall>,
}

impl StallWatch {
    /// Starts to watch.
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Self { stop, thread: thread::spawn(move || watch(&stopped)) }
    }

    /// The longest stall so far.
    ///
    /// # Panics
    ///
    /// Never, unless the watching thread did.
    pub fn finish(self) -> Stall {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("nothing in it panics")
    }
}

fn watch(stop: &AtomicBool) -> Stall {
    let mut worst = Stall::default();
    while !stop.load(Ordering::Acquire) {
        let due = Moment::now() + TICK;
        thread::sleep(TICK);
        let end = Moment::now();
        worst = worst.max(Stall { duration: end.since(due), end });
    }
    worst
}
