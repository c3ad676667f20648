//! A tier of your own: whatever can store bytes under a key can take part.
//!
//! Run it with `cargo run --example custom_tier`; it needs no server. `MapTier` below is all that a tier must be: it stores
//! entries as they come, for as long as it is told, and leaves policies, coalescing and errors to the service. The
//! conformance suite in `tests/conformance.rs` holds it to the same properties as our own tiers.
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cache_aside::{CacheTier, CachingService, Entry, Key, Pattern, TierError, Usage};

/// A tier over a map. Its clones share their entries, as two nodes share a server.
#[derive(Clone, Default)]
pub struct MapTier {
    entries: Arc<Mutex<HashMap<Key, Stored>>>,
}

struct Stored {
    entry: Entry,
    /// `None` where the time to live reaches further than an `Instant` can.
    until: Option<Instant>,
}

impl MapTier {
    /// The entries, without those whose time has passed.
    fn live(&self) -> MutexGuard<'_, HashMap<Key, Stored>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        entries.retain(|_, stored| stored.until.is_none_or(|until| now < until));
        entries
    }
}

#[async_trait]
impl CacheTier for MapTier {
    fn name(&self) -> &'static str {
        "map"
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, TierError> {
        Ok(self.live().get(key).map(|stored| stored.entry.clone()))
    }

    async fn set(&self, key: &Key, entry: Entry, ttl: Duration) -> Result<(), TierError> {
        self.live().insert(key.clone(), Stored { entry, until: Instant::now().checked_add(ttl) });
        Ok(())
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64, TierError> {
        let mut entries = self.live();
        Ok(keys.iter().filter(|key| entries.remove(*key).is_some()).count() as u64)
    }

    async fn invalidate_pattern(&self, pattern: &Pattern) -> Result<u64, TierError> {
        let mut entries = self.live();
        let before = entries.len();
        entries.retain(|key, _| !pattern.matches(key.as_str()));
        Ok((before - entries.len()) as u64)
    }

    async fn ping(&self) -> Result<(), TierError> {
        Ok(())
    }

    fn usage(&self) -> Usage {
        Usage::new(Some(self.live().len() as u64), None, None)
    }
}

/// Stands for a slow source.
async fn load(id: u32) -> Result<String, Infallible> {
    println!("  loading user {id} from the source");
    Ok(format!("user number {id}"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let map = MapTier::default();
    let first = CachingService::builder().tier(map.clone()).build().await?;
    let second = CachingService::builder().tier(map.clone()).build().await?;

    println!("the first node reads a user that nobody has read yet:");
    let user = first.get_or_load("user:7", || load(7)).await?;
    println!("  got {user:?}");

    println!("the second node finds it in the tier that both share:");
    let user = second.get_or_load("user:7", || load(7)).await?;
    println!("  got {user:?}");

    println!("the first node invalidates all users:");
    let receipt = first.invalidate_pattern("user:*").await?;
    println!("  removed {}", receipt.removed);
    println!("  the second node now finds {:?}", second.get::<String>("user:7").await);

    for tier in second.stats().tiers {
        println!("tier {} of the second node: {} hits, {} misses", tier.name, tier.hits, tier.misses);
    }
    Ok(())
}
