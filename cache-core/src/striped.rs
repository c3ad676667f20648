//! A fixed number of slots over which keys are spread by hash.

use std::hash::{BuildHasher, RandomState};

use crate::sync;

pub(crate) struct Striped<T> {
    slots: Box<[T]>,
    hasher: RandomState,
}

impl<T: Default> Striped<T> {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots: (0..sync::slots(slots)).map(|_| T::default()).collect(), hasher: RandomState::new() }
    }
}

impl<T> Striped<T> {
    pub(crate) fn index_of(&self, key: &str) -> usize {
        // The cast keeps the low bits, which is all that the remainder needs.
        self.hasher.hash_one(key) as usize % self.slots.len()
    }

    pub(crate) fn of(&self, key: &str) -> &T {
        self.at(self.index_of(key))
    }

    pub(crate) fn at(&self, index: usize) -> &T {
        &self.slots[index]
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.slots.iter()
    }
}
