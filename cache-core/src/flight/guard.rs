//! The leader's end of a flight.

use std::any::Any;
use std::sync::Arc;

use super::{Flight, Flights, Outcome};
use crate::key::Key;

/// The duty to end a flight. Dropping it without an outcome (a cancelled or panicked leader) frees the key, and lets one
/// of the followers take over.
pub(crate) struct Leader<T: Send + Sync + 'static, E: Send + Sync + 'static> {
    flights: Arc<Flights>,
    key: Key,
    flight: Arc<Flight<T, E>>,
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> Leader<T, E> {
    pub(super) const fn new(flights: Arc<Flights>, key: Key, flight: Arc<Flight<T, E>>) -> Self {
        Self { flights, key, flight }
    }

    /// Ends the flight: all followers get `outcome`, and so does the caller. Without followers nothing else holds it, so
    /// that an error can be taken out of its `Arc`.
    pub(crate) fn end(self, outcome: Outcome<T, E>) -> Outcome<T, E> {
        // From here on nobody joins.
        self.leave();
        if self.flight.outcome.receiver_count() > 0 {
            self.flight.outcome.send_replace(Some(outcome.clone()));
        }
        outcome
    }

    fn leave(&self) {
        let flight = Arc::clone(&self.flight) as Arc<dyn Any + Send + Sync>;
        self.flights.remove(&self.key, &flight);
    }
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> Drop for Leader<T, E> {
    fn drop(&mut self) {
        self.leave();
    }
}
