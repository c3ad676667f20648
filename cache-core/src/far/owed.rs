//! The duty to carry a change to a tier, kept also by a caller that goes away half-way.

use std::sync::atomic::Ordering;

use super::{Carried, Far, Manner, Queued};
use crate::coherence::{Change, Coherence, Position};
use crate::error::TierError;

/// Queues the change when dropped, unless it was delivered.
pub(crate) struct Owed<'a> {
    far: &'a Far,
    coherence: &'a Coherence,
    change: &'a Change,
    /// Where its record stands, once it has one: then only its scan is owed.
    recorded: Option<Position>,
    delivered: bool,
    /// A write of the key is on its way to the tier.
    written: bool,
}

impl<'a> Owed<'a> {
    pub(crate) fn new(far: &'a Far, coherence: &'a Coherence, change: &'a Change) -> Self {
        far.under_way.fetch_add(1, Ordering::AcqRel);
        Self { far, coherence, change, recorded: None, delivered: false, written: false }
    }

    /// As [`Owed::new`], of a change whose record may stand at `recorded` already.
    pub(super) fn again(
        far: &'a Far,
        coherence: &'a Coherence,
        change: &'a Change,
        recorded: Option<Position>,
    ) -> Self {
        let mut owed = Self::new(far, coherence, change);
        owed.recorded = recorded;
        owed
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
    pub(crate) async fn deliver(mut self, manner: Manner) -> Result<Carried, Queued> {
        if !self.far.hears() {
            return Err(Queued);
        }
        let carried = self.carry(manner).await.map_err(|_| Queued)?;
        self.delivered();
        Ok(carried)
    }

    pub(super) async fn carry(&mut self, manner: Manner) -> Result<Carried, TierError> {
        self.far.carry(self.change, &mut self.recorded, manner, self.coherence).await
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        if !self.delivered {
            if self.written {
                self.far.hold_off();
            }
            self.far.enqueue_recorded(self.change, self.recorded, self.coherence);
        }
        // After it was queued, so that it is seen all the time.
        self.far.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}
