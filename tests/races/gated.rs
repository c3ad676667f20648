//! The Redis tier with gates: a call can be held before it is sent, or after Redis has answered it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cache_aside::coherence::{Bus, JournalPage, NodeId, Position, Record};
use cache_aside::{
    Acquire, Appended, CacheTier, Claim, Entry, Key, KeyScan, Namespace, Pattern, Put, PutOutcome, RedisTier,
    SharedTier, TierError, Token,
};

use crate::support::Gate;

/// Where a call can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Point {
    GetAnswered,
    AcquireAnswered,
    FillSent,
    FillAnswered,
    RefillSent,
    RefillAnswered,
    PutSent,
    PutAnswered,
    InvalidateSent,
    InvalidateAnswered,
    ScanSent,
}

/// The gates that are yet to be met.
#[derive(Clone, Default)]
pub(crate) struct Gates(Arc<Mutex<HashMap<Point, Gate>>>);

impl Gates {
    /// Closes a gate before the next call that comes to `point`.
    pub(crate) fn close(&self, point: Point) -> Gate {
        let gate = Gate::default();
        let unmet = self.0.lock().unwrap().insert(point, gate.clone());
        assert!(unmet.is_none(), "{point:?} is closed already");
        gate
    }

    async fn pass(&self, point: Point) {
        let gate = self.0.lock().unwrap().remove(&point);
        if let Some(gate) = gate {
            gate.pass().await;
        }
    }
}

pub(crate) struct GatedTier {
    commands: RedisTier,
    bus: RedisTier,
    gates: Gates,
}

impl GatedTier {
    /// A tier whose commands go to one URL and whose bus to another, so that a proxy before one of them leaves the other
    /// alone.
    pub(crate) fn new(commands: &str, bus: &str) -> Self {
        Self::tracking(commands, bus, false)
    }

    /// The same, and whether it tracks foreign writes.
    pub(crate) fn tracking(commands: &str, bus: &str, tracking: bool) -> Self {
        let patience = Duration::from_secs(10);
        let tier = |url| RedisTier::builder(url).connect_timeout(patience).response_timeout(patience);
        let bus = tier(bus).track_foreign_writes(tracking).build().unwrap();
        Self { commands: tier(commands).build().unwrap(), bus, gates: Gates::default() }
    }

    pub(crate) fn gates(&self) -> Gates {
        self.gates.clone()
    }
}

#[async_trait]
impl CacheTier for GatedTier {
    fn name(&self) -> &'static str {
        self.commands.name()
    }

    fn bind(&self, namespace: &Namespace) -> Result<(), TierError> {
        self.commands.bind(namespace)?;
        self.bus.bind(namespace)
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, TierError> {
        let answer = self.commands.get(key).await;
        self.gates.pass(Point::GetAnswered).await;
        answer
    }

    async fn set(&self, key: &Key, entry: Entry, ttl: Duration) -> Result<(), TierError> {
        self.commands.set(key, entry, ttl).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64, TierError> {
        self.commands.delete(keys).await
    }

    async fn invalidate_pattern(&self, pattern: &Pattern) -> Result<u64, TierError> {
        self.gates.pass(Point::ScanSent).await;
        self.commands.invalidate_pattern(pattern).await
    }

    async fn ping(&self) -> Result<(), TierError> {
        self.commands.ping().await
    }

    fn shared(&self) -> Option<&dyn SharedTier> {
        Some(self)
    }
}

#[async_trait]
impl SharedTier for GatedTier {
    async fn acquire(&self, key: &Key, token: Token, over: Option<Token>, ttl: Duration) -> Result<Acquire, TierError> {
        let answer = self.commands.acquire(key, token, over, ttl).await;
        self.gates.pass(Point::AcquireAnswered).await;
        answer
    }

    async fn extend(&self, key: &Key, token: Token, ttl: Duration) -> Result<bool, TierError> {
        self.commands.extend(key, token, ttl).await
    }

    async fn fill(&self, key: &Key, token: Token, entry: Entry, ttl: Duration) -> Result<bool, TierError> {
        self.gates.pass(Point::FillSent).await;
        let answer = self.commands.fill(key, token, entry, ttl).await;
        self.gates.pass(Point::FillAnswered).await;
        answer
    }

    async fn release(&self, key: &Key, token: Token) -> Result<(), TierError> {
        self.commands.release(key, token).await
    }

    async fn claim(&self, key: &Key, over: Token, ttl: Duration) -> Result<Claim, TierError> {
        self.commands.claim(key, over, ttl).await
    }

    async fn extend_claim(&self, key: &Key, over: Token, ttl: Duration) -> Result<bool, TierError> {
        self.commands.extend_claim(key, over, ttl).await
    }

    async fn end_claim(&self, key: &Key, over: Token, throttle: Duration) -> Result<bool, TierError> {
        self.commands.end_claim(key, over, throttle).await
    }

    async fn refill(&self, key: &Key, over: Token, entry: Entry, ttl: Duration) -> Result<bool, TierError> {
        self.gates.pass(Point::RefillSent).await;
        let answer = self.commands.refill(key, over, entry, ttl).await;
        self.gates.pass(Point::RefillAnswered).await;
        answer
    }

    async fn put(&self, key: &Key, put: Put, record: &Record) -> Result<PutOutcome, TierError> {
        self.gates.pass(Point::PutSent).await;
        let answer = self.commands.put(key, put, record).await;
        self.gates.pass(Point::PutAnswered).await;
        answer
    }

    async fn invalidate(&self, keys: &[Key], record: &Record, lift: Option<Token>) -> Result<Appended, TierError> {
        self.gates.pass(Point::InvalidateSent).await;
        let answer = self.commands.invalidate(keys, record, lift).await;
        self.gates.pass(Point::InvalidateAnswered).await;
        answer
    }

    async fn fence(&self, keys: &[Key], record: &Record, token: Token, hold: Duration) -> Result<Appended, TierError> {
        self.commands.fence(keys, record, token, hold).await
    }

    async fn enclose(&self, key: &Key, fence: Token, lease: Token, ttl: Duration) -> Result<bool, TierError> {
        self.commands.enclose(key, fence, lease, ttl).await
    }

    async fn conclude(
        &self,
        key: &Key,
        put: Put,
        record: &Record,
        fence: Token,
        lease: Token,
    ) -> Result<PutOutcome, TierError> {
        self.commands.conclude(key, put, record, fence, lease).await
    }

    async fn unheard(&self, position: Position, bound: Duration) -> Result<Duration, TierError> {
        self.commands.unheard(position, bound).await
    }

    async fn leave(&self, node: NodeId) -> Result<(), TierError> {
        self.commands.leave(node).await
    }

    async fn scan(&self, pattern: &Pattern) -> Result<Box<dyn KeyScan>, TierError> {
        self.commands.scan(pattern).await
    }

    async fn read_after(&self, after: Position, limit: usize) -> Result<JournalPage, TierError> {
        self.commands.read_after(after, limit).await
    }

    async fn swept(&self, pattern: &Pattern, position: Position) -> Result<bool, TierError> {
        self.commands.swept(pattern, position).await
    }

    fn bus(&self) -> &dyn Bus {
        self.bus.bus()
    }
}
