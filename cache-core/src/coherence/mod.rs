//! The coherence protocol: what keeps the tiers of all nodes from serving what an invalidation has voided.

mod at_hand;
mod bus;
mod epochs;
#[cfg(cache_aside_shuttle)]
#[cfg(test)]
mod interleavings;
mod listener;
mod near;
mod position;
mod recent;
mod record;
mod rules;
#[cfg(test)]
mod shelf;
mod state;
mod sweeps;
mod trust;
mod waiters;

pub use bus::{Beat, Bus, BusConnection, BusMessage, JournalPage, REPLICA_MAX_BYTES, Replica};
pub use position::{InvalidPosition, Position};
pub use record::{Change, InvalidRecord, MAX_BYTES as RECORD_MAX_BYTES, MAX_KEYS as RECORD_MAX_KEYS, NodeId, Record};

pub use rules::RuleSet;

pub(crate) use at_hand::AtHand;
pub(crate) use epochs::{Insertion, Ticket};
pub(crate) use listener::{Debts, Listener, PAGE};
pub(crate) use state::{Coherence, Voided};
pub(crate) use sweeps::Sweep;
pub(crate) use trust::Timings;
