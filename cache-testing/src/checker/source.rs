//! The versioned source of truth: a version for each key, which only grows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::history::{KeyNumber, Version};
use super::moment::Moment;

/// For how long nobody writes a key whose `set` was given up half-way. Until then the `set` may still run, and of two
/// writes at once nobody could say which one came last. It is more than the bound on one call to Redis, which the `set`
/// carries along.
const SET_MAY_STILL_RUN: Duration = Duration::from_secs(3);

/// What the caches are about.
#[derive(Debug)]
pub struct Source {
    keys: Mutex<Vec<Key>>,
}

#[derive(Debug, Clone, Copy)]
struct Key {
    version: Version,
    /// From when on the key may be written; `None` while a write is under way.
    free_from: Option<Moment>,
}

/// How a write has ended, as far as the next write of the key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing of it runs any more that could store a value.
    Wholly,
    /// A `set` of it may still run.
    GivenUp,
}

impl Source {
    /// Keys from 0, each with version 1.
    pub fn new(keys: u32) -> Self {
        let key = Key { version: 1, free_from: Some(Moment::default()) };
        Self { keys: Mutex::new(vec![key; keys as usize]) }
    }

    /// What a load of the key gives now; `None` when there is no such key.
    pub fn read(&self, key: KeyNumber) -> Option<Version> {
        self.lock().get(key as usize).map(|key| key.version)
    }

    /// Gives each of the keys that is not being written a new version, and keeps other writers from them until
    /// [`end_write`](Self::end_write): a cache cannot know which of two writes at once was the last.
    pub fn begin_write(&self, keys: impl IntoIterator<Item = KeyNumber>) -> Vec<(KeyNumber, Version)> {
        let versions = self.reserve(keys);
        self.commit(&versions);
        versions
    }

    /// The same for versions that the source has when they are [committed](Self::commit).
    pub fn reserve(&self, keys: impl IntoIterator<Item = KeyNumber>) -> Vec<(KeyNumber, Version)> {
        let now = Moment::now();
        let mut all = self.lock();
        let reserve = |number: KeyNumber| {
            let key = all.get_mut(number as usize)?;
            key.free_from.filter(|free_from| *free_from <= now)?;
            key.free_from = None;
            Some((number, key.version + 1))
        };
        keys.into_iter().filter_map(reserve).collect()
    }

    /// Has the versions from now on.
    pub fn commit(&self, versions: &[(KeyNumber, Version)]) {
        let mut all = self.lock();
        for (number, version) in versions {
            if let Some(key) = all.get_mut(*number as usize) {
                key.version = *version;
            }
        }
    }

    /// Lets others write the keys.
    pub fn end_write(&self, versions: &[(KeyNumber, Version)], ended: Ended) {
        let now = Moment::now();
        let free_from = if ended == Ended::Wholly { now } else { now + SET_MAY_STILL_RUN };
        let mut all = self.lock();
        for (number, _) in versions {
            if let Some(key) = all.get_mut(*number as usize) {
                key.free_from = Some(free_from);
            }
        }
    }

    /// The versions of all keys, by number.
    pub fn versions(&self) -> Vec<Version> {
        self.lock().iter().map(|key| key.version).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_writer_at_a_time() {
        let source = Source::new(3);

        let first = source.begin_write([0, 1, 9]);
        let second = source.begin_write([1, 2]);

        assert_eq!((first.as_slice(), second.as_slice()), (&[(0, 2), (1, 2)][..], &[(2, 2)][..]));
        source.end_write(&first, Ended::Wholly);
        assert_eq!(source.begin_write([0, 1, 2]), [(0, 3), (1, 3)]);
        assert_eq!(source.versions(), [3, 3, 2]);
        assert_eq!((source.read(2), source.read(3)), (Some(2), None));
    }

    #[test]
    fn a_key_that_is_reserved_has_its_version_when_it_is_committed() {
        let source = Source::new(1);
        let reserved = source.reserve([0]);
        assert_eq!((reserved.as_slice(), source.read(0)), (&[(0, 2)][..], Some(1)));
        assert!(source.begin_write([0]).is_empty());

        source.commit(&reserved);

        assert_eq!(source.read(0), Some(2));
        assert!(source.reserve([0]).is_empty());
    }

    #[test]
    fn a_set_that_was_given_up_keeps_others_from_the_key() {
        let source = Source::new(1);
        let write = source.begin_write([0]);

        source.end_write(&write, Ended::GivenUp);

        assert!(source.begin_write([0]).is_empty());
        assert_eq!(source.read(0), Some(2));
    }
}
