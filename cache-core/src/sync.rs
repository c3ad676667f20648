//! The locks and atomics that fences are made of.
//!
//! They are those of the standard library, except in the unit tests that are built with `--cfg cache_aside_shuttle`: there
//! they belong to a scheduler that runs one thread at a time and decides at each of their operations who goes on. So the
//! tests named `interleavings` run the real code in thousands of orders, each of which can be run again. A cfg, and not a
//! feature, since no user may turn it on.
//!
//! The scheduler takes every ordering for the strictest, so what a weaker one permits besides is not explored. `Arc` stays
//! what it is: nothing here depends on who drops the last one. So do the `watch` and the `Notify` of Tokio: none of their
//! operations waits, and what does wait is a future, which the scheduler polls. Each of them is one step to it, and is
//! linearizable on its own; the steps that matter are those between them and the locks of this crate.

#[cfg(not(all(test, cache_aside_shuttle)))]
mod usual {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

    pub(crate) const fn slots(count: usize) -> usize {
        count
    }
}

#[cfg(all(test, cache_aside_shuttle))]
mod explored;

#[cfg(all(test, cache_aside_shuttle))]
pub(crate) use explored::*;
#[cfg(not(all(test, cache_aside_shuttle)))]
pub(crate) use usual::*;
