//! The coherence protocol: what keeps the tiers of all nodes from serving what an invalidation has voided.

mod bus;
mod position;
mod record;

pub use bus::{Bus, BusConnection, BusMessage, JournalPage};
pub use position::{InvalidPosition, Position};
pub use record::{Change, InvalidRecord, MAX_BYTES as RECORD_MAX_BYTES, MAX_KEYS as RECORD_MAX_KEYS, NodeId, Record};
