//! Warming up: the near tier is filled from the shared one before it is asked.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::{Cacheable, Inner};
use crate::error::Error;
use crate::key::Key;
use crate::pattern::Pattern;
use crate::tier::KeyScan;

/// So many keys are read at once.
const BATCH: usize = 100;

/// Preloads the near tier: made by [`CachingService::preload`](super::CachingService::preload).
#[must_use = "it does nothing until `run` is awaited"]
pub struct Preload<'a, T> {
    inner: &'a Arc<Inner>,
    pattern: Pattern,
    keys_per_second: u32,
    max_keys: u64,
    on_progress: Option<Box<dyn FnMut(&PreloadProgress) + Send + 'a>>,
    value: PhantomData<fn() -> T>,
}

/// How far a preload has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PreloadProgress {
    /// Keys that were found and read; one that the scan tells twice counts twice.
    pub read: u64,
    /// Keys of which the near tier has a value now.
    pub loaded: u64,
    /// Whether everything was read that was to be.
    pub complete: bool,
}

impl<'a, T: Cacheable> Preload<'a, T> {
    pub(super) const fn new(inner: &'a Arc<Inner>, pattern: Pattern) -> Self {
        let (keys_per_second, max_keys) = (10_000, 100_000);
        Self { inner, pattern, keys_per_second, max_keys, on_progress: None, value: PhantomData }
    }

    /// How many keys are read in a second, at most. Default: 10,000. 0 counts as 1.
    pub const fn keys_per_second(mut self, keys: u32) -> Self {
        self.keys_per_second = keys;
        self
    }

    /// How many keys are read in all, at most. Default: 100,000.
    pub const fn max_keys(mut self, keys: u64) -> Self {
        self.max_keys = keys;
        self
    }

    /// Is called after each batch of up to 100 keys, and at the end.
    pub fn on_progress(mut self, report: impl FnMut(&PreloadProgress) + Send + 'a) -> Self {
        self.on_progress = Some(Box::new(report));
        self
    }

    /// Reads the keys and fills the near tier. What is preloaded is held to the same rules as any other read, and stays for
    /// as long as the service's default policy says. Dropping the future ends it; what has been loaded stays.
    ///
    /// It ends early, and says so, when the shared tier cannot be asked. Without a shared tier there is nothing to read.
    pub async fn run(mut self) -> PreloadProgress {
        let mut progress = PreloadProgress::default();
        let scan = match self.inner.shared().and_then(|far| Some((far, far.shared()?))) {
            Some((far, shared)) => far.ask(shared.scan(&self.pattern)).await,
            None => None,
        };
        if let Some(mut scan) = scan {
            while !progress.complete && self.step(&mut *scan, &mut progress).await {}
        }
        self.report(&progress);
        let PreloadProgress { read, loaded, complete } = progress;
        tracing::info!(target: "cache_aside", pattern = %self.pattern, read, loaded, complete, "preloaded");
        progress
    }

    /// Reads the next keys. False when the shared tier could not be asked.
    async fn step(&mut self, scan: &mut dyn KeyScan, progress: &mut PreloadProgress) -> bool {
        let Some(far) = self.inner.shared() else { return false };
        let Some(found) = far.ask(scan.next()).await else { return false };
        let Some(keys) = found else {
            progress.complete = true;
            return true;
        };
        for keys in keys.chunks(BATCH) {
            let left = usize::try_from(self.max_keys - progress.read).unwrap_or(usize::MAX);
            self.read(&keys[..keys.len().min(left)], progress).await;
            progress.complete = progress.read >= self.max_keys;
            if progress.complete {
                break;
            }
        }
        true
    }

    async fn read(&mut self, keys: &[Key], progress: &mut PreloadProgress) {
        let began = self.inner.clock.now();
        let names: Vec<&str> = keys.iter().map(Key::as_str).collect();
        let values = self.inner.get_many::<T>(&names, &self.inner.plan()).await;
        progress.read += keys.len() as u64;
        progress.loaded += values.iter().flatten().count() as u64;
        self.report(progress);
        let pace = Duration::from_secs(1).mul_f64(keys.len() as f64 / f64::from(self.keys_per_second.max(1)));
        let spent = self.inner.clock.now().since(began);
        self.inner.clock.sleep(pace.saturating_sub(spent)).await;
    }

    fn report(&mut self, progress: &PreloadProgress) {
        if let Some(report) = &mut self.on_progress {
            report(progress);
        }
    }
}

impl<T> fmt::Debug for Preload<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pattern, keys_per_second, max_keys, .. } = self;
        f.debug_struct("Preload")
            .field("pattern", pattern)
            .field("keys_per_second", keys_per_second)
            .field("max_keys", max_keys)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn preload<T: Cacheable>(self: &Arc<Self>, pattern: &str) -> Result<Preload<'_, T>, Error> {
        Ok(Preload::new(self, Pattern::new(pattern)?))
    }
}
