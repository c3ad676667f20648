//! Notices a leader that is not polled.
//!
//! A load that runs in its caller's task goes on only while that caller polls it. One that has been woken and is polled no
//! more, as a future in `select!` beside a branch that calls for the same key, would have its followers wait for ever. So
//! its wake-ups pass through here, and a follower takes over from a leader that has not answered one for [`STALLED`].

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::Flight;
use crate::clock::{Clock, Timestamp};
use crate::sync::{AtomicU64, Ordering};

/// A task that is alive is polled sooner after it was woken. One that is not so late is loaded for once more.
pub(super) const STALLED: Duration = Duration::from_secs(1);

/// Since when a leader has been woken and not polled, in milliseconds; zero while it has not.
#[derive(Default)]
pub(super) struct Woken(AtomicU64);

impl Woken {
    pub(super) fn is_stalled(&self, now: Timestamp) -> bool {
        let since = self.0.load(Ordering::Acquire);
        since != 0 && now.since(Timestamp::from_millis(since)) >= STALLED
    }
}

struct Watch {
    woken: Arc<Woken>,
    clock: Arc<dyn Clock>,
    waker: AtomicWaker,
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        let now = self.clock.now().as_millis();
        // The first wake-up counts, and the next poll answers them all.
        let _ = self.woken.0.compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire);
        self.waker.wake();
    }
}

/// Runs the load of `flight`, and notes when it is woken and when it is polled.
pub(super) async fn watch<F: Future>(flight: &Flight, clock: &Arc<dyn Clock>, load: F) -> F::Output {
    let watch =
        Arc::new(Watch { woken: Arc::clone(&flight.woken), clock: Arc::clone(clock), waker: AtomicWaker::new() });
    let waker = Waker::from(Arc::clone(&watch));
    let mut load = pin!(load);
    poll_fn(|context| {
        watch.waker.register(context.waker());
        watch.woken.0.store(0, Ordering::Release);
        load.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}
