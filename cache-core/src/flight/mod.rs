//! Single flight: one load of a key in this node, shared by all callers.
//!
//! A flight is found under its key until it ends or is detached. An invalidation detaches it: those who wait for it still
//! get its result, and callers that arrive later start a new one.

mod guard;
mod watched;

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use tokio::sync::watch;

use crate::clock::{Clock, Timestamp};
use crate::coherence::{AtHand, Position};
use crate::erased::{AnyError, AnyValue};
use crate::error::LoadError;
use crate::key::Key;
use crate::selection::Access;
use crate::striped::Striped;
use crate::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use guard::Leader;
use watched::{STALLED, Woken};

/// How a flight ends.
#[derive(Clone)]
pub(crate) enum End {
    /// With a value, or with an absence.
    Value(Option<AnyValue>),
    /// Its load failed.
    Failed(LoadError<AnyError>),
    /// It loaded nothing, since that failed a moment ago or is done elsewhere: whoever cannot be served what is at hand should
    /// try again.
    Withheld,
}

/// Enough that threads seldom meet on one lock.
const SHARDS: usize = 64;

/// The flights of one service. There are never more than there are callers waiting.
pub(crate) struct Flights {
    shards: Striped<Mutex<Shard>>,
}

type Shard = HashMap<Key, Vec<Slot>>;

struct Slot {
    kind: Kind,
    birth: Birth,
    flight: Arc<Flight>,
}

/// When a flight began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth {
    /// The last record that had been applied. Not the last one known: an invalidation of this node may know of a later
    /// position while the removal of an earlier one is still under way.
    pub(crate) applied: Position,
    pub(crate) at: Timestamp,
    /// From when on nobody waits for it: its leader has not been polled, and so not timed out either.
    pub(crate) overdue: Timestamp,
}

/// Callers share a load only if they agree on the types of its value and of its error, and on where the value is looked for
/// and kept. They may differ on whether an absence is an answer: whoever takes it for none loads once more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The types of value and error.
    pub(crate) types: TypeId,
    pub(crate) access: Access,
}

struct Flight {
    /// What may be served meanwhile.
    at_hand: watch::Sender<Option<AtHand>>,
    end: watch::Sender<Option<End>>,
    /// Not a part of it: what the load has waited for may keep the waker, and this, for as long as it likes.
    woken: Arc<Woken>,
    overdue: Timestamp,
}

/// A caller's part in a flight.
pub(crate) enum Role {
    /// The caller runs the load.
    Leads(Leader),
    /// The caller waits for another's load.
    Follows(Follower),
}

pub(crate) struct Follower {
    flights: Arc<Flights>,
    key: Key,
    /// Only its leader holds it, so that followers notice when that goes away.
    flight: Weak<Flight>,
    at_hand: watch::Receiver<Option<AtHand>>,
    end: watch::Receiver<Option<End>>,
}

impl Follower {
    /// What may be served meanwhile.
    pub(crate) fn offers(&self) -> watch::Receiver<Option<AtHand>> {
        self.at_hand.clone()
    }

    /// The end; `None` when the leader went away without one, or is not polled any more, and the caller should try again. A leader in
    /// a task of its own is polled as long as its runtime is driven; one that is overdue may wait in one that is not.
    /// Dropping the future takes nothing from the other followers.
    pub(crate) async fn wait(mut self, clock: &dyn Clock) -> Option<End> {
        loop {
            tokio::select! {
                biased;
                end = self.end.wait_for(Option::is_some) => return end.ok()?.clone(),
                () = clock.sleep(STALLED) => {
                    let now = clock.now();
                    let stalled = |flight: &Arc<Flight>| flight.woken.is_stalled(now) || now >= flight.overdue;
                    if let Some(flight) = self.flight.upgrade().filter(stalled) {
                        // What it loads after all goes to those who still wait for it.
                        self.flights.remove(&self.key, &flight);
                        return None;
                    }
                }
            }
        }
    }
}

impl Flights {
    pub(crate) fn new() -> Self {
        Self { shards: Striped::new(SHARDS) }
    }

    /// Joins the flight of `key`, or starts one, born now. A flight that began before `oldest` is not joined.
    pub(crate) fn join(self: &Arc<Self>, key: &Key, kind: Kind, birth: Birth, oldest: Timestamp) -> Role {
        let mut shard = self.shard(key.as_str());
        let slots = shard.entry(key.clone()).or_default();
        slots.retain(|slot| slot.kind != kind || slot.birth.at >= oldest);
        if let Some(Slot { flight, .. }) = slots.iter().find(|slot| slot.kind == kind) {
            return Role::Follows(Follower {
                flights: Arc::clone(self),
                key: key.clone(),
                flight: Arc::downgrade(flight),
                at_hand: flight.at_hand.subscribe(),
                end: flight.end.subscribe(),
            });
        }
        let (at_hand, end) = (watch::Sender::new(None), watch::Sender::new(None));
        let flight = Arc::new(Flight { at_hand, end, woken: Arc::default(), overdue: birth.overdue });
        slots.push(Slot { kind, birth, flight: Arc::clone(&flight) });
        drop(shard);
        Role::Leads(Leader::new(Arc::clone(self), key.clone(), flight))
    }

    /// Detaches the flights of `key` that began before `position`; all of them when it is `None`.
    pub(crate) fn detach(&self, key: &str, position: Option<Position>) {
        let mut shard = self.shard(key);
        if let Some(slots) = shard.get_mut(key) {
            slots.retain(|slot| !slot.began_before(position));
            if slots.is_empty() {
                shard.remove(key);
            }
        }
    }

    /// Detaches the flights of all keys that `covers` names and that began before `position`.
    pub(crate) fn detach_matching(&self, covers: impl Fn(&str) -> bool, position: Option<Position>) {
        for shard in self.shards.iter() {
            lock(shard).retain(|key, slots| {
                if covers(key.as_str()) {
                    slots.retain(|slot| !slot.began_before(position));
                }
                !slots.is_empty()
            });
        }
    }

    fn remove(&self, key: &Key, flight: &Arc<Flight>) {
        let mut shard = self.shard(key.as_str());
        if let Some(slots) = shard.get_mut(key) {
            slots.retain(|slot| !Arc::ptr_eq(&slot.flight, flight));
            if slots.is_empty() {
                shard.remove(key);
            }
        }
    }

    fn shard(&self, key: &str) -> MutexGuard<'_, Shard> {
        lock(self.shards.of(key))
    }
}

impl Slot {
    fn began_before(&self, position: Option<Position>) -> bool {
        position.is_none_or(|position| self.birth.applied < position)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // A panic under the lock leaves the map whole: no call in between can panic.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(cache_aside_shuttle)]
#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;
