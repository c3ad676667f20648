//! The duty to carry a change to a tier, kept also by a caller that goes away half-way.

use super::Far;
use crate::coherence::{Change, Coherence};

/// Queues the change when dropped, unless it was delivered.
pub(crate) struct Owed<'a> {
    far: &'a Far,
    coherence: &'a Coherence,
    change: &'a Change,
    delivered: bool,
}

impl<'a> Owed<'a> {
    pub(crate) const fn new(far: &'a Far, coherence: &'a Coherence, change: &'a Change) -> Self {
        Self { far, coherence, change, delivered: false }
    }

    pub(crate) fn delivered(mut self) {
        self.delivered = true;
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        if !self.delivered {
            self.far.enqueue(self.change, self.coherence);
        }
    }
}
