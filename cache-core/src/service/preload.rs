//! Warming up: the near tier is filled from the shared one before it is asked.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Cacheable, Inner};
use crate::error::Error;
use crate::key::Key;
use crate::pattern::Pattern;
use crate::policy::Policy;
use crate::tier::KeyScan;

/// So many keys are read at once.
const BATCH: usize = 100;

/// Preloads the near tier: made by [`CachingService::preload`](super::CachingService::preload), and by the `preload` calls of
/// a [`Keyspace`](super::Keyspace).
#[must_use = "it does nothing until `run` is awaited"]
pub struct Preload<'a, T> {
    inner: &'a Arc<Inner>,
    keys: Keys,
    policy: Policy,
    /// In place of reading only.
    load: Option<Load<'a>>,
    keys_per_second: u32,
    max_keys: u64,
    on_progress: Option<Report<'a>>,
    /// Whether keys were left out because the shared tier could not be read for them.
    unread: bool,
    value: PhantomData<fn() -> T>,
}

enum Keys {
    /// Those that the shared tier has.
    Matching(Pattern),
    Given(Vec<String>),
}

/// Reads or loads the given keys from one index up to another, and tells how many there are, or why that failed.
type Load<'a> = Box<dyn Fn(usize, usize) -> BoxFuture<'a, Result<u64, String>> + Send + 'a>;

type Report<'a> = Box<dyn FnMut(&PreloadProgress) + Send + 'a>;

/// How far a preload has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PreloadProgress {
    /// Keys that were found and read; one that the scan tells twice counts twice.
    pub read: u64,
    /// Keys of which a value was found in a tier, or loaded. The near tier has it now, if the policy writes that and it has room.
    pub loaded: u64,
    /// Keys that were left out: those of batches that could not be loaded, and those that the shared tier could not be read for. It
    /// was away, or the server of a cluster that has them, or it could not be asked for the invalidations that this node has missed.
    pub failed: u64,
    /// Calls that failed, if only for some of their keys: reads and loads of batches, and steps of the scan for keys.
    pub failed_calls: u64,
    /// Whether everything was read that was to be. It is not, where keys were left out that the shared tier may have.
    pub complete: bool,
}

impl<'a, T: Cacheable> Preload<'a, T> {
    const fn new(inner: &'a Arc<Inner>, keys: Keys, policy: Policy) -> Self {
        let (keys_per_second, max_keys) = (10_000, 100_000);
        Self {
            inner,
            keys,
            policy,
            load: None,
            keys_per_second,
            max_keys,
            on_progress: None,
            unread: false,
            value: PhantomData,
        }
    }

    /// Preloads what matches.
    pub(super) const fn matching(inner: &'a Arc<Inner>, pattern: Pattern, policy: Policy) -> Self {
        Self::new(inner, Keys::Matching(pattern), policy)
    }

    /// Preloads these keys.
    pub(super) const fn of_keys(inner: &'a Arc<Inner>, keys: Vec<String>, policy: Policy) -> Self {
        Self::new(inner, Keys::Given(keys), policy)
    }

    /// Also loads what is missing.
    pub(super) fn loading(
        mut self,
        load: impl Fn(usize, usize) -> BoxFuture<'a, Result<u64, String>> + Send + 'a,
    ) -> Self {
        self.load = Some(Box::new(load));
        self
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
    /// as long as the policy of the service, or of the keyspace, says. Dropping the future ends it; what has been loaded stays.
    ///
    /// It ends early, and says so, when the shared tier cannot be asked for the keys that it has. Keys that it cannot be read for are
    /// [`failed`](PreloadProgress::failed), and the next are tried. Without a shared tier there is nothing to read.
    pub async fn run(mut self) -> PreloadProgress {
        let mut progress = PreloadProgress::default();
        match std::mem::replace(&mut self.keys, Keys::Given(Vec::new())) {
            Keys::Matching(pattern) => self.run_matching(&pattern, &mut progress).await,
            Keys::Given(keys) => self.run_given(&keys, &mut progress).await,
        }
        progress.complete &= !self.unread;
        self.report(&progress);
        let PreloadProgress { read, loaded, failed, failed_calls, complete } = progress;
        tracing::info!(target: "cache_aside", read, loaded, failed, failed_calls, complete, "preloaded");
        progress
    }

    async fn run_matching(&mut self, pattern: &Pattern, progress: &mut PreloadProgress) {
        let Some((far, shared)) = self.inner.shared().and_then(|far| Some((far, far.shared()?))) else { return };
        match far.ask(shared.scan(pattern)).await {
            Some(mut scan) => while !progress.complete && self.step(&mut *scan, progress).await {},
            None => progress.failed_calls += 1,
        }
    }

    async fn run_given(&mut self, keys: &[String], progress: &mut PreloadProgress) {
        let keys = &keys[..keys.len().min(usize::try_from(self.max_keys).unwrap_or(usize::MAX))];
        for (at, batch) in keys.chunks(BATCH).enumerate() {
            self.read(batch, at * BATCH, progress).await;
        }
        progress.complete = true;
    }

    /// Reads the next keys. False when the shared tier could not be asked.
    async fn step(&mut self, scan: &mut dyn KeyScan, progress: &mut PreloadProgress) -> bool {
        let Some(far) = self.inner.shared() else { return false };
        let Some(found) = far.ask(scan.next()).await else {
            progress.failed_calls += 1;
            return false;
        };
        let Some(keys) = found else {
            progress.complete = true;
            return true;
        };
        for keys in keys.chunks(BATCH) {
            let left = usize::try_from(self.max_keys - progress.read).unwrap_or(usize::MAX);
            let names: Vec<&str> = keys.iter().map(Key::as_str).take(left).collect();
            self.read(&names, 0, progress).await;
            progress.complete = progress.read >= self.max_keys;
            if progress.complete {
                break;
            }
        }
        true
    }

    /// Reads one batch, which stands at `from` among the given keys, and keeps the pace.
    async fn read(&mut self, keys: &[impl AsRef<str>], from: usize, progress: &mut PreloadProgress) {
        let began = self.inner.clock.now();
        let (loaded, failed, error) = match &self.load {
            Some(load) => match load(from, from + keys.len()).await {
                Ok(loaded) => (loaded, 0, None),
                Err(error) => (0, keys.len() as u64, Some(error)),
            },
            None => {
                let plan = self.inner.plan_of(self.policy.clone());
                let (values, unread) = self.inner.get_many_told::<T>(keys, &plan).await;
                self.unread |= unread > 0;
                let error = (unread > 0).then(|| "the shared tier could not be read".to_owned());
                (values.iter().flatten().count() as u64, unread, error)
            }
        };
        progress.read += keys.len() as u64;
        progress.loaded += loaded;
        if let Some(error) = error {
            progress.failed += failed;
            progress.failed_calls += 1;
            tracing::warn!(target: "cache_aside", error, keys = failed, "keys could not be preloaded");
        }
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
        let Self { keys, keys_per_second, max_keys, .. } = self;
        let keys: &dyn fmt::Debug = match keys {
            Keys::Matching(pattern) => pattern,
            Keys::Given(keys) => &keys.len(),
        };
        f.debug_struct("Preload")
            .field("keys", keys)
            .field("keys_per_second", keys_per_second)
            .field("max_keys", max_keys)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn preload<T: Cacheable>(self: &Arc<Self>, pattern: &str) -> Result<Preload<'_, T>, Error> {
        Ok(Preload::matching(self, Pattern::new(pattern)?, self.policy.clone()))
    }
}
