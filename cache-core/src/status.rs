//! What `status()` answers: is it well, and since when.

use std::time::Duration;

use serde::Serialize;

use crate::clock::Timestamp;

/// The health of a service now.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The tiers, nearest first.
    pub tiers: Vec<TierStatus>,
    /// The delivery of invalidations between nodes.
    pub bus: BusStatus,
    /// Invalidations that wait for a tier to come back.
    pub queued_invalidations: u64,
}

/// The health of one tier.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TierStatus {
    /// The tier's name.
    pub name: &'static str,
    /// Whether it serves.
    pub state: TierState,
    /// Since when it has been in this state.
    pub since: Timestamp,
    /// What its latest failed call said, also when it has recovered since.
    pub last_error: Option<String>,
    /// How long it took to answer the ping of this status; `None` when it did not.
    pub latency: Option<Duration>,
}

/// Whether a tier serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TierState {
    /// Its latest call succeeded.
    Up,
    /// Its latest calls failed, or invalidations wait to be delivered to it; it is still asked where that is safe.
    Degraded,
    /// Its breaker is open: it is not asked until it answers a ping.
    Down,
}

/// The delivery of invalidations between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BusStatus {
    /// No tier is shared: there are no other nodes to hear of.
    Absent,
    /// Every invalidation reaches this node as it happens.
    Healthy,
    /// This node cannot hear of invalidations; near tiers serve entries no older than `isolated_ttl`.
    Isolated {
        /// Until when every invalidation is known to have been heard.
        since: Timestamp,
    },
}

/// What became of an invalidation or a `set`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// How many keys held an entry (or a lease) that is now gone: in the tier of this service that had the most of them; of
    /// patterns and `clear`, in the far tiers, if there are any and they could be told. 0 for a `set` and for tags, whose entries
    /// nobody counts.
    pub removed: u64,
    /// Who knows of it.
    pub delivery: Delivery,
    /// Whether the value of a `set` is kept in any tier: not if a value of a newer version is there, if another write of the key
    /// was under way, if it is larger than its policy allows, if its time to live is zero, or if the only tier that it was meant
    /// for is away. False for an invalidation.
    pub stored: bool,
}

impl Receipt {
    pub(crate) const fn new(delivery: Delivery) -> Self {
        Self { removed: 0, delivery, stored: false }
    }
}

/// Who knows of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// Every tier has applied it, and it is on its way to every node.
    Done,
    /// This node has applied it; a tier is away, and will hear of it before this node reads that tier again. Not after
    /// [`shutdown`](crate::CachingService::shutdown): then nobody tells it.
    Queued,
    /// This node has applied it, and no tier is shared with others.
    Local,
}
