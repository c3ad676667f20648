//! The tasks of one service: owned by it, ended with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tracing::Instrument;

/// Dropping it ends every task.
#[derive(Default)]
pub(crate) struct Tasks {
    set: Mutex<JoinSet<()>>,
    /// Whether the tasks that run for ever do run: they end with the runtime that they were started on.
    running: Arc<AtomicBool>,
    closed: AtomicBool,
}

impl Tasks {
    /// Claims the right to start the tasks that run for ever: `None` when they run already, or were ended for good, or there is
    /// no runtime to run them.
    pub(crate) fn start(&self) -> Option<Running> {
        if self.running.load(Ordering::Acquire) || self.is_closed() || Handle::try_current().is_err() {
            return None;
        }
        (!self.running.swap(true, Ordering::AcqRel)).then(|| Running(Arc::new(Flag(Arc::clone(&self.running)))))
    }

    /// Runs `task` to its end, or to the end of the service. `name` is that of its span.
    pub(crate) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let span = tracing::debug_span!(target: "cache_aside", "cache.task", name);
        let mut set = self.lock();
        while set.try_join_next().is_some() {}
        set.spawn(task.instrument(span));
    }

    /// Runs `task`, which does not end by itself, until the service or the runtime does.
    pub(crate) fn spawn_forever(
        &self,
        running: &Running,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let running = running.clone();
        self.spawn(name, async move {
            task.await;
            drop(running);
        });
    }

    /// Whether the tasks were ended for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends every task, and returns when all have ended. Those that run for ever are not started again.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let mut set = std::mem::take(&mut *self.lock());
        set.shutdown().await;
    }

    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by the tasks that run for ever: when they are gone, they may be started again.
#[derive(Clone)]
pub(crate) struct Running(#[allow(dead_code, reason = "it is held, to be dropped")] Arc<Flag>);

struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
