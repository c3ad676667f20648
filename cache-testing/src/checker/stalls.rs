//! How late this process itself is, since what it measures is no better than that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::message::Stall;
use super::moment::Moment;

/// Shorter stalls happen all the time, and would fill the report.
pub const NOTED_STALL: Duration = Duration::from_millis(20);

const TICK: Duration = Duration::from_millis(5);

/// A thread that sleeps, and takes note of how late it wakes up.
#[derive(Debug)]
pub struct StallWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Stall>>,
}

impl StallWatch {
    /// Starts to watch.
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Self { stop, thread: thread::spawn(move || watch(&stopped)) }
    }

    /// The stalls so far that are worth a note.
    ///
    /// # Panics
    ///
    /// Never, unless the watching thread did.
    pub fn finish(self) -> Vec<Stall> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("nothing in it panics")
    }
}

fn watch(stop: &AtomicBool) -> Vec<Stall> {
    let mut stalls = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let due = Moment::now() + TICK;
        thread::sleep(TICK);
        let end = Moment::now();
        stalls.extend(Some(Stall { duration: end.since(due), end }).filter(|stall| stall.duration >= NOTED_STALL));
    }
    stalls
}
