//! A value that was read, and may be served later, if nothing has voided it by then.

use std::sync::Arc;

use super::{Coherence, Ticket};
use crate::clock::Timestamp;
use crate::entry::Entry;

/// An entry with its value by reference, and the ticket with which it was read.
#[derive(Clone, Debug)]
pub(crate) struct AtHand {
    pub(crate) entry: Arc<Entry>,
    pub(crate) ticket: Ticket,
}

impl AtHand {
    /// The one of the two that is fresh for longer.
    pub(crate) fn fresher(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.entry.fresh_until > self.entry.fresh_until => other,
            _ => self,
        }
    }
}

impl Coherence {
    /// Whether what is at hand may still be served: it has not run out, nothing has voided it since it was read, and this node
    /// would have heard of it.
    pub(crate) fn stands(&self, key: &str, at_hand: &AtHand, now: Timestamp) -> bool {
        let AtHand { entry, ticket } = at_hand;
        entry.expires > now && self.trust.covers(entry.as_of, now) && self.may_store(key, entry, *ticket)
    }
}
