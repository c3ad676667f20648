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

    /// As [`Owed::new`], of a change whose record stands at `position`: only its scan is owed.
    pub(super) fn scan(far: &'a Far, coherence: &'a Coherence, change: &'a Change, position: Position) -> Self {
        let mut owed = Self::new(far, coherence, change);
        owed.recorded = Some(position);
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

    /// The write in whose place it is owed has failed with `error`. What was refused does not run later, and is not waited for.
    pub(crate) fn failed(mut self, error: &TierError) {
        self.written &= !error.is_refusal();
    }

    /// Carries the change to the tier. `Err` when the tier could not be told: then it is queued.
    pub(crate) async fn deliver(self, manner: Manner) -> Result<Carried, Queued> {
        if !self.far.hears() {
            return Err(Queued);
        }
        self.carry(manner).await.map_err(|_| Queued)
    }

    /// Tells the tier, and frees what is void by that. What fails half-way is queued, for its scan alone if its record stands.
    pub(super) async fn carry(mut self, manner: Manner) -> Result<Carried, TierError> {
        let told = self.tell(manner).await?;
        let freed = match self.recorded {
            Some(position) => self.far.free(self.change, position, self.coherence).await?,
            None => 0,
        };
        if self.written {
            // Somebody may have read until now what the write had put there, and hold it near.
            self.coherence.void(self.change);
        }
        self.delivered();
        Ok(Carried { removed: told.removed + freed, ..told })
    }

    /// Tells the tier, and leaves to the queue what has to be scanned for.
    pub(super) async fn carry_record(mut self) -> Result<(), TierError> {
        self.tell(Manner::default()).await?;
        if let Some(position) = self.recorded {
            self.far.push_scan(self.change, position, self.coherence);
        }
        self.delivered();
        Ok(())
    }

    async fn tell(&mut self, manner: Manner) -> Result<Carried, TierError> {
        if self.recorded.is_some_and(|position| self.coherence.has_record(position)) {
            return Ok(Carried { removed: 0, position: self.recorded });
        }
        self.recorded = None;
        let told = self.far.tell(self.change, manner, self.coherence).await?;
        self.recorded = told.position.filter(|_| self.far.scans_for(self.change));
        Ok(told)
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        if !self.delivered {
            if self.written {
                self.far.hold_off();
            }
            match self.recorded {
                Some(position) => self.far.enqueue_scan(self.change, position, self.coherence),
                None => self.far.enqueue(self.change, self.coherence),
            }
        }
        // After it was queued, so that it is seen all the time.
        self.far.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}
