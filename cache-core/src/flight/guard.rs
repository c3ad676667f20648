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

    /// Ends the flight: all followers get `outcome`.
    pub(crate) fn end(self, outcome: Outcome<T, E>) {
        self.leave();
        self.flight.outcome.send_replace(Some(outcome));
    }

    /// A place among the followers of this flight.
    pub(crate) fn follow(&self) -> super::Follower<T, E> {
        super::Follower(self.flight.outcome.subscribe())
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
