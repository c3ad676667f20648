//! What the front's fences are made of.
//!
//! These are the atomics of the standard library and the slots of `arc-swap`, except in the unit tests that are built with
//! `--cfg cache_aside_shuttle`: there they belong to a scheduler that decides at each of their operations which thread goes
//! on, as in `cache-core/src/sync.rs`. A slot is one step to it: what `arc-swap` does within is its own to prove.

#[cfg(not(all(test, cache_aside_shuttle)))]
mod usual {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use std::sync::Arc;

    use arc_swap::ArcSwapOption;

    /// A place for one value, which is read without a lock.
    #[derive(Debug)]
    pub(crate) struct Slot<T>(ArcSwapOption<T>);

    impl<T> Default for Slot<T> {
        fn default() -> Self {
            Self(ArcSwapOption::empty())
        }
    }

    impl<T> Slot<T> {
        /// Runs `look` on what is there.
        pub(crate) fn with<R>(&self, look: impl FnOnce(Option<&Arc<T>>) -> R) -> R {
            look(self.0.load().as_ref())
        }

        pub(crate) fn put(&self, value: Arc<T>) {
            self.0.store(Some(value));
        }

        /// Empties the slot if `value` is in it.
        pub(crate) fn take(&self, value: &Arc<T>) {
            if self.with(|there| there.is_some_and(|there| Arc::ptr_eq(there, value))) {
                self.0.compare_and_swap(value, None);
            }
        }
    }
}

#[cfg(all(test, cache_aside_shuttle))]
mod explored;

#[cfg(all(test, cache_aside_shuttle))]
pub(crate) use explored::*;
#[cfg(not(all(test, cache_aside_shuttle)))]
pub(crate) use usual::*;
