//! Loading a value anew before its callers need it, and not too often.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::loaded::Loader;
use super::read::Wanted;
use super::{Inner, Plan};
use crate::clock::Timestamp;
use crate::entry::{Entry, Token};
use crate::erased::Types;
use crate::flight::Role;
use crate::key::Key;
use crate::policy::Policy;
use crate::striped::Striped;

/// So many background refreshes run at once in one service, at most. What comes on top is refreshed by a later hit.
pub(super) const MAX_REFRESHES: usize = 1_024;

/// A hit comes upon an early refresh more than so many times the cost before the end once in nine million.
const EARLIEST: f64 = 16.0;

/// Which entry is to be replaced, although it may still be fresh.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    token: Token,
    fresh_until: Timestamp,
}

impl Due {
    pub(super) const fn new(entry: &Entry) -> Self {
        Self { token: entry.token, fresh_until: entry.fresh_until }
    }

    /// Whether `entry` is the one that is to be replaced. A near tier may have kept it for less than it is fresh.
    pub(super) fn covers(&self, entry: &Entry) -> bool {
        self.token == entry.token && entry.fresh_until <= self.fresh_until
    }
}

/// Until when a hit need not think of an early refresh.
pub(super) fn settled_until(policy: &Policy, fresh_until: Timestamp, cost: Duration) -> Timestamp {
    fresh_until.before(cost.mul_f64((policy.beta() * EARLIEST).min(MOST)))
}

/// No cost times this overflows.
const MOST: f64 = 1e6;

/// Whether to refresh now what is fresh until `fresh_until` and took `cost` to load: XFetch, by a number drawn anew each time.
pub(super) fn is_early(policy: &Policy, fresh_until: Timestamp, cost: Duration, now: Timestamp) -> bool {
    let beta = policy.beta();
    if beta <= 0.0 {
        return false;
    }
    // From above 0 to 1, whose logarithm is 0.
    let draw = 1.0 - fastrand::f64();
    let ahead = cost.as_secs_f64() * beta * -draw.ln();
    ahead * 1_000.0 >= fresh_until.since(now).as_millis() as f64
}

impl Inner {
    /// Loads `key` anew in the background, unless that is under way or not to be tried yet.
    pub(super) fn refresh(self: &Arc<Self>, key: &str, plan: Plan, types: Types, due: Due, loader: Loader<'_>) {
        // One that borrows never comes upon what is due.
        let Loader::Detached(load) = loader else { return };
        let Ok(key) = Key::new(key) else { return };
        self.note_stale(&key, due.fresh_until);
        if self.throttles.hold(&key, self.clock.now()) {
            self.counters.throttled.increment();
            return;
        }
        let Ok(permit) = Arc::clone(&self.refreshing).try_acquire_owned() else { return };
        self.start(None);
        if let Role::Leads(leader) = self.coherence.join(&key, types.pair, plan.access, plan.policy.load_limit()) {
            let inner = Arc::clone(self);
            self.tasks.spawn(
                "refresh",
                super::global::in_scope(async move {
                    let wanted = Wanted { key: &key, plan: &plan, of: types.value };
                    let end = inner.errand(wanted, &leader, Some(due), true).run(&mut Some(load)).await;
                    drop(leader.end(end));
                    drop(permit);
                }),
            );
        }
    }
}

/// Keys whose load has failed, and when it may be tried again. There are at most [`Throttles::MOST`] of them; what is more
/// pushes out those that are due next.
pub(super) struct Throttles {
    shards: Striped<Mutex<HashMap<Key, Timestamp>>>,
}

impl Throttles {
    const SHARDS: usize = 64;
    const MOST: usize = 65_536;

    pub(super) fn new() -> Self {
        Self { shards: Striped::new(Self::SHARDS) }
    }

    /// Nobody in this node is to load `key` before `until`.
    pub(super) fn note(&self, key: &Key, now: Timestamp, until: Timestamp) {
        if until <= now {
            return;
        }
        let mut shard = lock(self.shards.of(key.as_str()));
        if shard.len() >= Self::MOST / Self::SHARDS {
            shard.retain(|_, until| *until > now);
        }
        if shard.len() >= Self::MOST / Self::SHARDS
            && let Some(next) = shard.iter().min_by_key(|(_, until)| **until).map(|(key, _)| key.clone())
        {
            shard.remove(&next);
        }
        shard.insert(key.clone(), until);
    }

    /// There is something newer than what a load has failed to replace.
    pub(super) fn forget(&self, key: &Key) {
        lock(self.shards.of(key.as_str())).remove(key);
    }

    /// Whether `key` is not to be loaded at `now`.
    pub(super) fn hold(&self, key: &Key, now: Timestamp) -> bool {
        let mut shard = lock(self.shards.of(key.as_str()));
        let held = shard.get(key).map(|until| *until > now);
        if held == Some(false) {
            shard.remove(key);
        }
        held == Some(true)
    }
}

fn lock(shard: &Mutex<HashMap<Key, Timestamp>>) -> std::sync::MutexGuard<'_, HashMap<Key, Timestamp>> {
    // A panic under the lock leaves the map whole: no call in between can panic.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(number: usize) -> Key {
        Key::new(format!("k{number}")).unwrap()
    }

    #[test]
    fn a_throttled_key_is_held_until_its_time() {
        let (throttles, start) = (Throttles::new(), Timestamp::from_millis(1));
        throttles.note(&key(1), start, start + SECOND);
        assert!(throttles.hold(&key(1), start) && !throttles.hold(&key(2), start));
        assert!(!throttles.hold(&key(1), start + SECOND));
        throttles.note(&key(1), start, start);
        assert!(!throttles.hold(&key(1), start));
        throttles.note(&key(1), start, start + SECOND);
        throttles.forget(&key(1));
        assert!(!throttles.hold(&key(1), start));
    }

    #[test]
    fn no_more_keys_are_throttled_than_there_is_room_for() {
        let (throttles, start) = (Throttles::new(), Timestamp::from_millis(1));
        for number in 0..Throttles::MOST + 1_000 {
            throttles.note(&key(number), start, start + SECOND);
        }
        let held: usize = throttles.shards.iter().map(|shard| lock(shard).len()).sum();
        assert!(held <= Throttles::MOST, "{held}");
        assert!(throttles.hold(&key(Throttles::MOST + 999), start), "the last one always is");
    }

    #[test]
    fn an_early_refresh_is_drawn_as_often_as_xfetch_says() {
        let (now, cost) = (Timestamp::from_millis(0), SECOND);
        for (beta, left) in [(1.0, 1), (1.0, 3), (2.0, 3)] {
            let policy = Policy::default().refresh_ahead(beta);
            let draws = 200_000;
            let early = (0..draws).filter(|_| is_early(&policy, now + SECOND * left, cost, now)).count();
            let (expected, found) = ((-f64::from(left) / beta).exp(), early as f64 / f64::from(draws));
            assert!((found - expected).abs() < 0.01, "beta {beta}, {left} s left: {found}, not {expected}");
        }
        assert!(!is_early(&Policy::default(), now, cost, now), "off");
        let end = now + SECOND * 100;
        assert_eq!(settled_until(&Policy::default(), end, cost), end);
        assert_eq!(settled_until(&Policy::default().refresh_ahead(1.0), end, cost), now + SECOND * 84);
    }
}
