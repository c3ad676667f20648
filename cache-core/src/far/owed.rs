//! The duty to carry a change to a tier, kept also by a caller that goes away half-way.

use std::sync::atomic::Ordering;

use super::{Carried, Far, Manner, Queued};
use crate::coherence::{Change, Coherence};

/// Queues the change when dropped, unless it was delivered.
pub(crate) struct Owed<'a> {
    far: &'a Far,
    coherence: &'a Coherence,
    change: &'a Change,
    delivered: bool,
    /// A write of the key is on its way to the tier.
    written: bool,
}

impl<'a> Owed<'a> {
    pub(crate) fn new(far: &'a Far, coherence: &'a Coherence, change: &'a Change) -> Self {
        far.under_way.fetch_add(1, Ordering::AcqRel);
        Self { far, coherence, change, delivered: false, written: false }
    }

    /// As [`Owed::new`], where the change is owed in place of a write that is about to be sent. The write may still run after
    /// it was given up, and the change must come after it.
    pub(crate) fn in_place_of_write(far: &'a Far, coherence: &'a Coherence, change: &'a Change) -> Self {
        // A tier that is not ready is sent nothing.
        let mut owed = Self::new(far, coherence, change);
        owed.written = far.is_ready();
        owed
    }

    pub(crate) fn delivered(mut self) {
        self.delivered = true;
    }

    /// Carries the change to the tier. `Err` when the tier could not be told: then it is queued.
    pub(crate) async fn deliver(self, manner: Manner) -> Result<Carried, Queued> {
        if !self.far.hears() {
            return Err(Queued);
        }
        let carried = self.far.carry(self.change, manner, self.coherence).await.map_err(|_| Queued)?;
        self.delivered();
        Ok(carried)
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        if !self.delivered {
            if self.written {
                self.far.hold_off();
            }
            self.far.enqueue(self.change, self.coherence);
        }
        // After it was queued, so that it is seen all the time.
        self.far.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}
