//! The tier: a moka cache of entries by reference.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cache_core::{CacheTier, Entry, Key, NearTier, Pattern, TierError, Usage};
use moka::Expiry;
use moka::notification::RemovalCause;
use moka::policy;
use moka::sync::Cache;

use crate::builder::{EvictionPolicy, LocalTierBuilder};
use crate::front::{At, Front, Kept};
use crate::{nearest, turns};

/// The tier in the process: values by reference, in a moka cache (TinyLFU or LRU), bounded by entries or bytes.
///
/// ```
/// use cache_local::LocalTier;
///
/// let by_count = LocalTier::new(10_000);
/// let by_size = LocalTier::builder().max_bytes(64 * 1024 * 1024).build();
/// ```
pub struct LocalTier {
    cache: Cache<Key, Stored>,
    front: Arc<Front<Entry>>,
    /// Whether nothing is kept. moka would drop what it is given without a word to the listener.
    keeps_none: bool,
    /// Tells apart what threads hold of several tiers.
    id: u64,
    counts: Arc<Counts>,
}

/// Shared with the front.
type Stored = Arc<Kept<Entry>>;

#[derive(Default)]
struct Counts {
    /// Entries given up for want of room.
    evictions: AtomicU64,
    /// The bytes of all keys and values held. moka's own weight is not that where a bound on entries counts as well.
    bytes: AtomicU64,
}

/// Frees what has run out; whether an entry may be served is decided by the service, against its own clock.
struct TimeToLive;

impl Expiry<Key, Stored> for TimeToLive {
    fn expire_after_create(&self, _: &Key, stored: &Stored, _: Instant) -> Option<Duration> {
        Some(stored.ttl)
    }

    fn expire_after_update(&self, _: &Key, stored: &Stored, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(stored.ttl)
    }
}

impl LocalTier {
    /// A tier of at most `max_entries` entries. 0 keeps none.
    #[must_use]
    pub fn new(max_entries: u64) -> Self {
        Self::builder().max_entries(max_entries).build()
    }

    /// A builder, for a bound in bytes.
    pub const fn builder() -> LocalTierBuilder {
        LocalTierBuilder::new()
    }

    pub(crate) fn from_builder(builder: LocalTierBuilder) -> Self {
        let counts = Arc::new(Counts::default());
        let front = Arc::new(Front::new(builder.max_entries.unwrap_or(LocalTierBuilder::DEFAULT_MAX_ENTRIES)));
        let (released, removed) = (Arc::clone(&front), Arc::clone(&counts));
        let eviction = match builder.eviction_policy {
            EvictionPolicy::TinyLfu => policy::EvictionPolicy::tiny_lfu(),
            EvictionPolicy::Lru => policy::EvictionPolicy::lru(),
        };
        let cache = Cache::builder().name("cache-aside").eviction_policy(eviction).expire_after(TimeToLive);
        let cache = cache.eviction_listener(move |key: Arc<Key>, stored: Stored, cause| {
            released.release(&stored);
            removed.bytes.fetch_sub(bytes_of(&key, &stored.entry), Ordering::Relaxed);
            if cause == RemovalCause::Size {
                removed.evictions.fetch_add(1, Ordering::Relaxed);
            }
        });
        let cache = match (builder.max_entries, builder.max_bytes) {
            (entries, None) => cache.max_capacity(entries.unwrap_or(LocalTierBuilder::DEFAULT_MAX_ENTRIES)),
            (Some(entries), Some(bytes)) if share_of(bytes, entries) > u32::MAX.into() => cache.max_capacity(entries),
            (entries, Some(bytes)) => {
                // An entry that weighs at least its share of the bytes keeps the number of entries in bounds as well.
                let share = entries.map_or(0, |entries| share_of(bytes, entries));
                cache.max_capacity(bytes).weigher(move |key: &Key, stored: &Stored| {
                    u32::try_from(bytes_of(key, &stored.entry).max(share)).unwrap_or(u32::MAX)
                })
            }
        };
        let keeps_none = builder.max_entries == Some(0) || builder.max_bytes == Some(0);
        static TIERS: AtomicU64 = AtomicU64::new(0);
        Self { cache: cache.build(), front, keeps_none, id: TIERS.fetch_add(1, Ordering::Relaxed), counts }
    }

    /// Lets moka know that the front has answered for it. Where moka has nothing any more, the time of what the front has is
    /// over.
    #[cold]
    fn pass_on(&self, at: At, key: &str) {
        let is_full = self.counts.evictions.load(Ordering::Relaxed) > 0;
        if turns::is_news(at, is_full) && self.cache.get(key).is_none() {
            self.front.moved(at);
        }
    }

    /// Runs `look` on what the front has under `key`, or moka. It is apart so that what a thread holds itself is found in few
    /// steps.
    #[inline(never)]
    fn inspect_farther(&self, key: &str, look: &mut dyn FnMut(&Entry)) {
        let at = self.front.at(key);
        let hold = |kept: &Stored| turns::is_noted().then(|| Arc::clone(kept));
        if let Some(noted) = self.front.find(at, key, |kept| (look(&kept.entry), hold(kept)).1) {
            if let Some(kept) = noted {
                nearest::hold(self.id, at, kept);
                self.pass_on(at, key);
            }
            return;
        }
        nearest::tidy(self.id, &self.front, key);
        let version = self.front.version(at);
        if let Some(kept) = self.cache.get(key) {
            self.front.admit(at, version, &kept, turns::displaces);
            look(&kept.entry);
        }
    }
}

/// The least that each of so many entries must weigh. Above what moka takes for a weight (4 GiB) the entries alone are bounded:
/// as many of the longest values that there are would not reach the bytes.
const fn share_of(bytes: u64, entries: u64) -> u64 {
    if entries == 0 { u64::MAX } else { bytes.div_ceil(entries) }
}

fn bytes_of(key: &Key, entry: &Entry) -> u64 {
    (key.as_str().len() as u64).saturating_add(entry.size)
}

impl NearTier for LocalTier {
    fn inspect(&self, key: &str, look: &mut dyn FnMut(&Entry)) {
        if let Some(at) = nearest::find(self.id, &self.front, key, &mut *look) {
            if turns::is_noted() {
                self.pass_on(at, key);
            }
        } else {
            self.inspect_farther(key, look);
        }
    }

    fn insert(&self, key: &Key, entry: Entry, ttl: Duration) {
        if self.keeps_none {
            return;
        }
        // Before the insertion, so that a removal at the same time never takes off more than was added.
        self.counts.bytes.fetch_add(bytes_of(key, &entry), Ordering::Relaxed);
        self.cache.insert(key.clone(), Arc::new(Kept::new(key.clone(), entry, ttl)));
        self.front.moved(self.front.at(key.as_str()));
    }

    fn remove(&self, key: &str) -> bool {
        // Asked first, because moka hands out what it removes also when its time has passed.
        let live = self.cache.contains_key(key);
        let removed = self.cache.remove(key).is_some();
        // Also when moka had nothing: the front may have what moka is just evicting.
        self.front.moved(self.front.at(key));
        removed && live
    }

    fn remove_matching(&self, void: &dyn Fn(&Key, &Entry) -> bool) -> u64 {
        // Collected first, since removals would wait for the iterator's lock.
        let matching: Vec<Arc<Key>> =
            self.cache.iter().filter(|(key, stored)| void(key, &stored.entry)).map(|(key, _)| key).collect();
        // What the iterator gives is live.
        matching.iter().for_each(|key| self.cache.invalidate(&**key));
        // Also when nothing matched: the front may have what moka is just evicting.
        self.front.all_moved();
        matching.len() as u64
    }
}

#[async_trait]
impl CacheTier for LocalTier {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, TierError> {
        // moka knows exactly when the time of an entry is over.
        Ok(self.cache.get(key).map(|stored| stored.entry.clone()))
    }

    async fn set(&self, key: &Key, entry: Entry, ttl: Duration) -> Result<(), TierError> {
        self.insert(key, entry, ttl);
        Ok(())
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64, TierError> {
        Ok(keys.iter().map(|key| u64::from(self.remove(key.as_str()))).sum())
    }

    async fn invalidate_pattern(&self, pattern: &Pattern) -> Result<u64, TierError> {
        Ok(self.remove_matching(&|key, _| pattern.matches(key.as_str())))
    }

    async fn ping(&self) -> Result<(), TierError> {
        Ok(())
    }

    /// Runs what moka has put off, so that the figures are exact.
    fn usage(&self) -> Usage {
        self.cache.run_pending_tasks();
        let read = |count: &AtomicU64| Some(count.load(Ordering::Relaxed));
        Usage::new(Some(self.cache.entry_count()), read(&self.counts.bytes), read(&self.counts.evictions))
    }
}

impl fmt::Debug for LocalTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalTier").field("usage", &self.usage()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use cache_core::Value;
    use cache_core::clock::Timestamp;

    const MINUTE: Duration = Duration::from_secs(60);

    fn entry(bytes: usize) -> Entry {
        let value = Value::Encoded { bytes: Bytes::from(vec![0; bytes]), codec: 1 };
        Entry::new(value, Timestamp::ZERO, Timestamp::MAX)
    }

    fn fill(tier: &LocalTier, count: usize, bytes: usize) {
        for n in 0..count {
            tier.insert(&Key::new(format!("k{n}")).unwrap(), entry(bytes), MINUTE);
        }
    }

    #[test]
    fn it_keeps_no_more_entries_than_it_may_and_counts_evictions() {
        let tier = LocalTier::new(100);
        fill(&tier, 1_000, 1);
        let usage = tier.usage();
        assert_eq!(usage.entries, Some(100));
        assert!(usage.bytes.is_some_and(|bytes| (300..=500).contains(&bytes)), "{usage:?}");
        assert_eq!(usage.evictions, Some(900));
    }

    #[test]
    fn it_keeps_no_more_bytes_than_it_may() {
        let tier = LocalTier::builder().max_bytes(10_000).build();
        fill(&tier, 1_000, 98);
        let usage = tier.usage();
        assert!(usage.bytes.is_some_and(|bytes| (9_000..=10_000).contains(&bytes)), "{usage:?}");
    }

    #[test]
    fn both_bounds_hold_together() {
        let tier = LocalTier::builder().max_bytes(10_000).max_entries(10).build();
        fill(&tier, 1_000, 1);
        assert!(tier.usage().entries.is_some_and(|entries| (1..=10).contains(&entries)), "{:?}", tier.usage());
        // 2.5 bytes each, and 5 GiB each.
        for bytes in [25, 50 << 30] {
            let tier = LocalTier::builder().max_bytes(bytes).max_entries(10).build();
            fill(&tier, 1_000, 0);
            assert!(tier.usage().entries.is_some_and(|entries| (1..=10).contains(&entries)), "{:?}", tier.usage());
        }
    }

    #[test]
    fn what_may_keep_nothing_holds_nothing() {
        let builder = LocalTier::builder;
        for none in
            [LocalTier::new(0), builder().max_bytes(0).build(), builder().max_bytes(10_000).max_entries(0).build()]
        {
            fill(&none, 10, 1);
            let usage = none.usage();
            assert_eq!((usage.entries, usage.bytes, usage.evictions), (Some(0), Some(0), Some(0)));
            assert!(none.look_up("k1").is_none());
        }
    }

    #[test]
    fn what_is_given_up_is_as_the_policy_says() {
        let left = |policy| {
            let tier = LocalTier::builder().max_entries(100).eviction_policy(policy).build();
            fill(&tier, 100, 1);
            // Each is asked for, so that TinyLFU has a reason to keep it.
            (0..100).for_each(|n| assert!(tier.cache.get(format!("k{n}").as_str()).is_some()));
            fill(&tier, 200, 1);
            tier.cache.run_pending_tasks();
            (0..100).filter(|n| tier.cache.contains_key(format!("k{n}").as_str())).count()
        };
        assert_eq!(left(EvictionPolicy::Lru), 0);
        assert!(left(EvictionPolicy::TinyLfu) > 90);
    }

    #[test]
    fn moka_hears_of_what_the_front_answers() {
        let tier = LocalTier::new(100);
        for n in 0..100 {
            tier.insert(&Key::new(format!("hot{n}")).unwrap(), entry(1), MINUTE);
        }
        let hot = || (0..100).filter(|n| tier.look_up(&format!("hot{n}")).is_some()).count();
        (0..500).for_each(|_| assert_eq!(hot(), 100));
        fill(&tier, 1_000, 1);
        assert!(tier.usage().evictions.is_some_and(|evictions| evictions >= 1_000));
        assert!(hot() >= 95, "{} of 100 that were asked for 500 times are left", hot());
    }

    #[test]
    fn it_gives_nothing_that_was_removed_or_replaced() {
        let (tier, key) = (LocalTier::new(100), Key::new("k").unwrap());
        let give = || tier.look_up("k");
        for _ in 0..100 {
            let (old, new) = (entry(1), entry(2));
            tier.insert(&key, old, MINUTE);
            assert!((0..3).all(|_| give().is_some_and(|given| given.size == 1)));
            tier.insert(&key, new.clone(), MINUTE);
            assert!((0..3).all(|_| give().is_some_and(|given| given.size == 2)));
            assert!(tier.remove("k") && give().is_none() && !tier.remove("k"));
            tier.insert(&key, new, MINUTE);
            assert!(give().is_some());
            assert_eq!(tier.remove_matching(&|_, _| true), 1);
            assert!(give().is_none());
        }
    }

    #[test]
    fn it_removes_what_matches() {
        let tier = LocalTier::new(100);
        fill(&tier, 20, 1);
        assert_eq!(tier.remove_matching(&|key, _| key.as_str().starts_with("k1")), 11);
        assert!(tier.look_up("k1").is_none() && tier.look_up("k2").is_some());
    }
}
