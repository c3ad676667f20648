//! What happens in a service that an operator may want to know.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::coherence::Position;
use crate::error::TierError;
use crate::key::{InvalidKey, Key};
use crate::stats::Counters;

/// Something that happened in a service, for the handler given to
/// [`on_event`](crate::CachingServiceBuilder::on_event). Each is also an event of `tracing` with the target `cache_aside`
/// and the name that [`Event::name`] gives.
///
/// No event holds a value, a password or a URL.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// `cache.tier.down`, warn: the breaker of a far tier has opened. It is not asked until it answers a ping.
    #[non_exhaustive]
    TierDown {
        /// The tier's name.
        tier: &'static str,
        /// What its latest call failed with.
        error: TierError,
    },
    /// `cache.tier.probed`, debug: the breaker is half open, and the service has pinged the tier.
    #[non_exhaustive]
    TierProbed {
        /// The tier's name.
        tier: &'static str,
        /// Whether the tier answered. If so it is delivered what it is owed, and then is up.
        answered: bool,
    },
    /// `cache.tier.up`, info: the breaker has closed. The tier has all invalidations that it was owed, and is asked again.
    #[non_exhaustive]
    TierUp {
        /// The tier's name.
        tier: &'static str,
    },
    /// `cache.bus.connected`, info: invalidations of other nodes reach this one, for the first time or again.
    BusConnected,
    /// `cache.bus.isolated`, warn: invalidations may not reach this node. Its near tier serves entries no older than
    /// `isolated_ttl` from here on.
    #[non_exhaustive]
    BusIsolated {
        /// Why.
        reason: Arc<str>,
    },
    /// `cache.bus.replayed`, debug: records that this node had missed are being read from the journal.
    BusReplayed,
    /// `cache.bus.reset`, warn: the journal did not reach back to what this node knew, so its near tier was emptied.
    #[non_exhaustive]
    BusReset {
        /// How many invalidations the journal had lost, which this node delivers again.
        redelivered: usize,
    },
    /// `cache.invalidation.queued`, debug: a tier could not be told of an invalidation now. It is not read until it has been.
    #[non_exhaustive]
    InvalidationQueued {
        /// The tier's name.
        tier: &'static str,
        /// How many wait for it by now.
        queued: usize,
    },
    /// `cache.invalidation.delivered`, info: a tier was told of every invalidation that waited for it.
    #[non_exhaustive]
    InvalidationsDelivered {
        /// The tier's name.
        tier: &'static str,
    },
    /// `cache.invalidation.lost`, error: the service was shut down with invalidations that could not be delivered, or one
    /// was made after its end.
    #[non_exhaustive]
    InvalidationsLost {
        /// The tier's name.
        tier: &'static str,
        /// How many by now, with those that were told of before.
        queued: u64,
    },
    /// `cache.queue.overflowed`, warn: too many invalidations waited for a tier; they became one `clear`.
    #[non_exhaustive]
    QueueOverflowed {
        /// The tier's name.
        tier: &'static str,
    },
    /// `cache.fill.fenced`, debug: a value was loaded or read, and not stored, because an invalidation came in between.
    #[non_exhaustive]
    FillFenced {
        /// The key.
        key: Key,
    },
    /// `cache.write.unfenced`, warn: a write of the source goes on without a fence around it, because the shared tier is
    /// away.
    #[non_exhaustive]
    WriteUnfenced {
        /// How many keys.
        keys: usize,
    },
    /// `cache.write.dead`, error: a write behind was put aside, as a [dead letter](crate::WriteBehind::dead_letters). The source
    /// may not have it, and its key is invalidated.
    #[non_exhaustive]
    WriteDead {
        /// The key.
        key: Key,
        /// What its [`PendingWrite::id`](crate::PendingWrite::id) was.
        write: Position,
    },
    /// `cache.write.unreadable`, error: an entry among the writes behind says no key, so this service did not write it. It was
    /// removed, and those behind it go on.
    #[non_exhaustive]
    WriteUnreadable {
        /// The name of the log: the prefix of its keyspace.
        log: Arc<str>,
        /// The number of the partition.
        partition: u16,
        /// The id of the entry in the stream of the partition.
        entry: Position,
    },
    /// `cache.lease.timed_out`, debug: a load is not stored because another node held the lease for longer than the load
    /// timeout.
    #[non_exhaustive]
    LeaseTimedOut {
        /// The key.
        key: Key,
    },
    /// `cache.load.failed`, debug: a load gave no value.
    #[non_exhaustive]
    LoadFailed {
        /// The key; `None` for a batch, and for a key that is invalid.
        key: Option<Key>,
        /// What happened.
        failure: LoadFailure,
    },
    /// `cache.stale.served`, debug: a caller was given a value past its time to live, as its policy allows.
    #[non_exhaustive]
    StaleServed {
        /// The key.
        key: Key,
        /// How long ago the value stopped being fresh.
        by: Duration,
    },
    /// `cache.value.too_large`, debug: a value is longer than
    /// [`Policy::max_value_bytes`](crate::Policy::max_value_bytes), and was not stored, or not read.
    #[non_exhaustive]
    TooLarge {
        /// The key.
        key: Key,
        /// The length of the value.
        bytes: u64,
    },
    /// `cache.value.undecodable`, debug: a stored value could not be decoded, and counts as a miss. What the codec said may
    /// quote the value, so it is not told.
    #[non_exhaustive]
    Undecodable {
        /// The key.
        key: Key,
        /// Which codec wrote it: [`Codec::id`](crate::codec::Codec::id).
        codec: u8,
    },
    /// `cache.value.unencodable`, debug: a value could not be encoded, and is kept in near tiers only.
    #[non_exhaustive]
    Unencodable {
        /// The key.
        key: Key,
    },
    /// `cache.key.invalid`, warn: a call was made with an invalid key, and bypasses the cache. Once a second at most;
    /// [`Stats::invalid_keys`](crate::Stats::invalid_keys) counts all.
    #[non_exhaustive]
    InvalidKey {
        /// What is wrong with the key.
        error: InvalidKey,
    },
}

/// Why a load gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadFailure {
    /// The loader returned an error.
    Error,
    /// It took longer than its `load_timeout`.
    TimedOut,
    /// It panicked.
    Panicked,
}

impl LoadFailure {
    /// The failure in one word: `error`, `timed_out` or `panicked`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::TimedOut => "timed_out",
            Self::Panicked => "panicked",
        }
    }
}

/// Names each event once: for [`Event::name`], and for `tracing`, which wants a literal.
macro_rules! traced {
    ($($level:ident $name:literal $variant:ident { $($field:ident: $show:expr),* } $message:literal;)*) => {
        impl Event {
            /// The name that never changes: of this event in traces.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)*
                }
            }

            fn trace(&self) {
                match self {
                    $(Self::$variant { $($field),* } => tracing::event!(
                        name: $name,
                        target: "cache_aside",
                        tracing::Level::$level,
                        { $($field = $show),* },
                        $message
                    ),)*
                }
            }
        }
    };
}

traced! {
    WARN "cache.tier.down" TierDown { tier: *tier, error: tracing::field::display(error) } "tier down: breaker open";
    DEBUG "cache.tier.probed" TierProbed { tier: *tier, answered: *answered } "pinged a tier that is down";
    INFO "cache.tier.up" TierUp { tier: *tier } "tier up: breaker closed";
    INFO "cache.bus.connected" BusConnected {} "hearing of invalidations";
    WARN "cache.bus.isolated" BusIsolated { reason: &**reason } "isolated: invalidations do not reach this node";
    DEBUG "cache.bus.replayed" BusReplayed {} "reading missed records from the journal";
    WARN "cache.bus.reset" BusReset { redelivered: *redelivered } "the journal does not reach back: emptied the near tier";
    DEBUG "cache.invalidation.queued" InvalidationQueued { tier: *tier, queued: *queued } "invalidation queued";
    INFO "cache.invalidation.delivered" InvalidationsDelivered { tier: *tier } "delivered the queued invalidations";
    ERROR "cache.invalidation.lost" InvalidationsLost { tier: *tier, queued: *queued } "shut down with invalidations undelivered";
    WARN "cache.queue.overflowed" QueueOverflowed { tier: *tier } "queue of invalidations overflowed: it is one clear now";
    DEBUG "cache.fill.fenced" FillFenced { key: tracing::field::display(key) } "not stored: invalidated meanwhile";
    WARN "cache.write.unfenced" WriteUnfenced { keys: *keys } "writing around the cache without a fence: the shared tier is away";
    ERROR "cache.write.dead" WriteDead { key: tracing::field::display(key), write: tracing::field::display(write) } "a write was put aside: it did not reach the source";
    ERROR "cache.write.unreadable" WriteUnreadable { log: &**log, partition: *partition, entry: tracing::field::display(entry) } "an entry among the writes is none: removed";
    DEBUG "cache.lease.timed_out" LeaseTimedOut { key: tracing::field::display(key) } "not stored: another node holds the lease";
    DEBUG "cache.load.failed" LoadFailed { key: key.as_ref().map(tracing::field::display), failure: failure.as_str() } "load failed";
    DEBUG "cache.stale.served" StaleServed { key: tracing::field::display(key), by: tracing::field::debug(by) } "served a stale value";
    DEBUG "cache.value.too_large" TooLarge { key: tracing::field::display(key), bytes: *bytes } "value too large";
    DEBUG "cache.value.undecodable" Undecodable { key: tracing::field::display(key), codec: *codec } "value undecodable";
    DEBUG "cache.value.unencodable" Unencodable { key: tracing::field::display(key) } "value unencodable";
    WARN "cache.key.invalid" InvalidKey { error: tracing::field::display(error) } "the cache is bypassed";
}

pub(crate) type Handler = Box<dyn Fn(&Event) + Send + Sync>;

/// Tells of events. Never under a lock, and never on the way of a hit in the near tier.
#[derive(Default)]
pub(crate) struct Events {
    handler: Option<Handler>,
    counters: Arc<Counters>,
}

impl Events {
    pub(crate) fn new(handler: Option<Handler>, counters: Arc<Counters>) -> Self {
        Self { handler, counters }
    }

    pub(crate) fn emit(&self, event: Event) {
        event.trace();
        if let Some(handler) = &self.handler {
            // What the handler shares with others is its own affair; nothing of the service is lent to it but the event.
            let handled = catch_unwind(AssertUnwindSafe(|| handler(&event)));
            if handled.is_err() {
                self.counters.handler_panics.increment();
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("handler", &self.handler.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_handler_that_panics_harms_nobody_and_is_counted() {
        let counters = Arc::new(Counters::default());
        let heard = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&heard);
        let handler = move |event: &Event| {
            count.fetch_add(1, Ordering::SeqCst);
            assert!(matches!(event, Event::TierUp { .. }), "a panic of the handler");
        };
        let events = Events::new(Some(Box::new(handler)), Arc::clone(&counters));
        events.emit(Event::TierUp { tier: "redis" });
        events.emit(Event::BusConnected);
        events.emit(Event::TierUp { tier: "redis" });
        assert_eq!((heard.load(Ordering::SeqCst), counters.handler_panics.get()), (3, 1));
    }
}
