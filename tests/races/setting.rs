//! Three nodes over one Redis, and what may overtake a load or a read of the first of them.

use std::sync::Arc;
use std::time::Duration;

use cache_aside::clock::ManualClock;
use cache_aside::{BusStatus, CachingService, Event, LocalTier, Policy};
use cache_testing::{FaultProxy, RedisServer};
use tokio::sync::broadcast;

use crate::gated::{GatedTier, Gates};
use crate::support::{Told, eventually, heard, near, node_builder, told, until};

pub(crate) const OLD: &str = "old";
pub(crate) const NEW: &str = "new";

/// Bounds that hold on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than any test moves the clock, so that nothing runs out by itself.
const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// What voids a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Key,
    Pattern,
    Tag,
    Clear,
    /// Another value is set.
    Set,
    /// A `DEL` from outside.
    Delete,
    Flush,
}

/// Who makes the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// The node whose load or read is overtaken.
    Own,
    Other,
}

/// The changes that nodes make, by either of them.
pub(crate) fn changes_of_nodes() -> impl Iterator<Item = (Change, Writer)> {
    let changes = [Change::Key, Change::Pattern, Change::Tag, Change::Clear, Change::Set];
    changes.into_iter().flat_map(|change| [(change, Writer::Own), (change, Writer::Other)])
}

/// The same, and those made behind the nodes' backs.
pub(crate) fn changes() -> impl Iterator<Item = (Change, Writer)> {
    changes_of_nodes().chain([(Change::Delete, Writer::Other), (Change::Flush, Writer::Other)])
}

pub(crate) struct Setting {
    pub(crate) redis: RedisServer,
    /// Before the commands of node a.
    pub(crate) commands: FaultProxy,
    /// Before the bus of node a.
    pub(crate) bus: FaultProxy,
    pub(crate) clock: ManualClock,
    pub(crate) gates: Gates,
    pub(crate) a: CachingService,
    pub(crate) b: CachingService,
    /// What a tells of.
    told: Told,
    /// A node that only looks.
    c: CachingService,
}

impl Setting {
    pub(crate) async fn new() -> Self {
        let redis = RedisServer::start();
        let (commands, bus) = (FaultProxy::start(redis.address()), FaultProxy::start(redis.address()));
        let tier = GatedTier::new(&redis.url_at(commands.port()), &redis.url_at(bus.port()));
        let (gates, clock) = (tier.gates(), ManualClock::new());
        let builder = CachingService::builder().local(LocalTier::new(1_000)).remote(tier).tier_timeout(PATIENCE);
        let (builder, told) = told(builder.default_policy(Policy::new(TTL)).clock(clock.clone()));
        let mut events = told.subscribe();
        let a = builder.build().await.unwrap();
        // It connects in the first attempt, for which its clock need not move.
        until(&mut events, "the bus is healthy", |event| matches!(event, Event::BusConnected)).await;
        // Nodes whose clocks differ by years do not believe each other's entries.
        let other = || node_builder(&redis.url()).default_policy(Policy::new(TTL)).clock(clock.clone()).build();
        let (b, c) = (other().await.unwrap(), other().await.unwrap());
        Self { redis, commands, bus, clock, gates, a, b, told, c }
    }

    /// What a tells of from now on.
    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        self.told.subscribe()
    }

    /// Changes what is under `key`, which is also its tag.
    pub(crate) async fn change(&self, change: Change, writer: Writer, key: &str) {
        let writer = if writer == Writer::Own { &self.a } else { &self.b };
        match change {
            Change::Key => drop(writer.invalidate(key).await),
            Change::Pattern => drop(writer.invalidate_pattern(format!("{key}*")).await.unwrap()),
            Change::Tag => drop(writer.invalidate_tags([key]).await),
            Change::Clear => drop(writer.clear().await),
            Change::Set => drop(writer.set(key, NEW.to_owned()).await),
            Change::Delete => drop(self.redis.cli(&["DEL", &format!("cache:{key}")])),
            Change::Flush => drop(self.redis.cli(&["FLUSHALL"])),
        }
    }

    /// Checks that no tier of any node has the value from before `change`.
    pub(crate) async fn assert_void(&self, change: Change, writer: Writer, key: &str) {
        self.have_heard(&[&self.a, &self.b, &self.c]).await;
        let expected = (change == Change::Set).then(|| NEW.to_owned());
        assert_ne!(near(&self.a, key).await.as_deref(), Some(OLD), "near: {change:?} by {writer:?}");
        for (name, node) in [("a", &self.a), ("b", &self.b), ("c", &self.c)] {
            let value = node.get::<String>(key).await;
            assert_eq!(value, expected.clone().map(Arc::new), "{name}: {change:?} by {writer:?}");
        }
    }

    /// Waits until a, which was cut off, has taken up the journal anew.
    pub(crate) async fn a_has_started_anew(&self) {
        eventually("the node starts anew", || async {
            self.clock.advance(Duration::from_millis(100));
            self.a.stats().resets > 0 && self.a.status().await.bus == BusStatus::Healthy
        })
        .await;
    }

    /// Waits until a has applied every record up to now.
    pub(crate) async fn a_has_heard(&self) {
        self.have_heard(&[&self.a]).await;
    }

    async fn have_heard(&self, nodes: &[&CachingService]) {
        // A node that lost the journal connects again, after a pause on its clock.
        tokio::select! {
            () = heard(&self.b, nodes) => {}
            () = self.time_passes() => {}
        }
    }

    /// Never ends.
    pub(crate) async fn time_passes(&self) {
        loop {
            self.clock.advance(Duration::from_millis(5));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
