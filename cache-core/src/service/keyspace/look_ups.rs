//! How often the tiers had what was read through keyspaces.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::service::near::Near;
use crate::stats::{BusyCounter, Counter, KeyspaceStats, KeyspaceTierStats};

/// So many prefixes are counted each by itself, at most. Keyspaces are few, and named by the program; one that makes their
/// names up from data must not make as many counters, or labels of metrics, as there are data.
const MOST: usize = 128;

/// Stands for all prefixes above [`MOST`]: no prefix holds an asterisk.
const REST: &str = "*";

/// The look-ups through the keyspaces of one prefix.
#[derive(Debug)]
pub(in crate::service) struct LookUps {
    near: Tally,
    far: Box<[Tally]>,
}

#[derive(Debug, Default)]
struct Tally {
    hits: BusyCounter,
    misses: Counter,
}

impl LookUps {
    fn new(far: usize) -> Self {
        Self { near: Tally::default(), far: (0..far).map(|_| Tally::default()).collect() }
    }

    pub(in crate::service) fn count_near<T>(&self, found: &Near<T>) {
        self.near.count(!matches!(found, Near::Miss));
    }

    /// The far tier at `depth` has or has not answered a look-up.
    pub(in crate::service) fn count_far(&self, depth: usize, hit: bool) {
        if let Some(tally) = self.far.get(depth) {
            tally.count(hit);
        }
    }

    /// `near` is the name of the near tier, if there is one, and `far` those of the others.
    pub(super) fn snapshot(
        &self,
        prefix: &str,
        near: Option<&'static str>,
        far: impl IntoIterator<Item = &'static str>,
    ) -> KeyspaceStats {
        let near = near.map(|name| self.near.snapshot(name));
        let far = self.far.iter().zip(far).map(|(tally, name)| tally.snapshot(name));
        KeyspaceStats { prefix: prefix.to_owned(), tiers: near.into_iter().chain(far).collect() }
    }
}

impl Tally {
    fn count(&self, hit: bool) {
        if hit { self.hits.increment() } else { self.misses.increment() }
    }

    fn snapshot(&self, name: &'static str) -> KeyspaceTierStats {
        KeyspaceTierStats { name, hits: self.hits.get(), misses: self.misses.get() }
    }
}

/// The keyspaces of a service, by prefix.
#[derive(Debug, Default)]
pub(in crate::service) struct Registry {
    known: Mutex<BTreeMap<String, Arc<LookUps>>>,
}

impl Registry {
    /// The counters of a prefix, and the name they go by. Keyspaces of one prefix share them.
    pub(super) fn enter(&self, prefix: &str, far: usize) -> (String, Arc<LookUps>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let own = known.contains_key(prefix) || known.len() < MOST;
        let name = if own { prefix } else { REST };
        let look_ups = known.entry(name.to_owned()).or_insert_with(|| Arc::new(LookUps::new(far)));
        (name.to_owned(), Arc::clone(look_ups))
    }

    pub(in crate::service) fn snapshot(
        &self,
        near: Option<&'static str>,
        far: impl IntoIterator<Item = &'static str> + Clone,
    ) -> Vec<KeyspaceStats> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(prefix, look_ups)| look_ups.snapshot(prefix, near, far.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyspaces_of_one_prefix_share_their_counters() {
        let registry = Registry::default();
        let ((_, one), (_, again), (_, other)) =
            (registry.enter("user", 1), registry.enter("user", 1), registry.enter("order", 1));
        assert!(Arc::ptr_eq(&one, &again) && !Arc::ptr_eq(&one, &other));
        one.count_near(&Near::Hit(Arc::new(1)));
        again.count_near(&Near::<u8>::Miss);
        other.count_far(0, true);
        let shown = registry.snapshot(Some("local"), ["redis"]);
        let shown: Vec<_> = shown
            .iter()
            .flat_map(|space| space.tiers.iter().map(|tier| (&*space.prefix, tier.name, tier.hits, tier.misses)))
            .collect();
        let expected =
            [("order", "local", 0, 0), ("order", "redis", 1, 0), ("user", "local", 1, 1), ("user", "redis", 0, 0)];
        assert_eq!(shown, expected);
    }

    #[test]
    fn prefixes_made_up_from_data_are_counted_together_once_there_are_many() {
        let registry = Registry::default();
        for number in 0..MOST + 50 {
            registry.enter(&format!("user{number}"), 0).1.count_near(&Near::<u8>::Miss);
        }
        let (name, _) = registry.enter("user0", 0);
        assert_eq!(name, "user0", "one that is known keeps its own");
        let shown = registry.snapshot(Some("local"), []);
        assert_eq!(shown.len(), MOST + 1);
        assert_eq!((&*shown[0].prefix, shown[0].tiers[0].misses), (REST, 50));
    }
}
