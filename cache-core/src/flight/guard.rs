//! The leader's end of a flight.

use std::sync::Arc;

use tokio::sync::watch;

use super::watched::watch;
use super::{End, Flight, Flights};
use crate::clock::Clock;
use crate::coherence::AtHand;
use crate::key::Key;

/// The duty to end a flight. Dropping it without an end (a cancelled or panicked leader) frees the key, and lets one of the
/// followers take over.
pub(crate) struct Leader {
    flights: Arc<Flights>,
    key: Key,
    flight: Arc<Flight>,
}

impl Leader {
    pub(super) const fn new(flights: Arc<Flights>, key: Key, flight: Arc<Flight>) -> Self {
        Self { flights, key, flight }
    }

    /// Shows what there is to be served meanwhile.
    pub(crate) fn offer(&self, at_hand: &AtHand) {
        self.flight.at_hand.send_replace(Some(at_hand.clone()));
    }

    /// What is offered, for the caller whose load this is.
    pub(crate) fn offers(&self) -> watch::Receiver<Option<AtHand>> {
        self.flight.at_hand.subscribe()
    }

    /// Ends the flight: all followers get `end`, and so does the caller. Without followers nothing else holds it, so that an
    /// error can be taken out of its `Arc`.
    pub(crate) fn end(self, end: End) -> End {
        // From here on nobody joins.
        self.leave();
        if self.flight.end.receiver_count() > 0 {
            self.flight.end.send_replace(Some(end.clone()));
        }
        end
    }

    /// Runs the load in the caller's task: followers take over if it is not polled any more.
    pub(crate) async fn watch<F: Future>(&self, clock: &Arc<dyn Clock>, load: F) -> F::Output {
        watch(&self.flight, clock, load).await
    }

    fn leave(&self) {
        self.flights.remove(&self.key, &self.flight);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.leave();
    }
}
