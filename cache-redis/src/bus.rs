//! The tier as a way to hear of journal records.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use cache_core::coherence::{
    Beat, Bus, BusConnection, BusMessage, Change, JournalPage, NodeId, Position, Record, RuleSet,
};
use cache_core::{TagSlot, TierError};
use redis::aio::MultiplexedConnection;

#[cfg(feature = "cluster")]
use crate::cluster::{Cluster, Tracked};
use crate::error::tier_error;
use crate::journal::JournalEntry;
use crate::pushes::Pushes;
use crate::tier::{Inner, RedisTier, millis};
use crate::{journal, pushes, rules, scripts};

/// How many rules are forgotten at a time: more would hold the server up for longer than a millisecond.
const RULES_PER_COMMAND: usize = 500;

/// The writer of the record that begins a journal, which no node needs to know for its own.
const NOBODY: NodeId = NodeId::new(0);

#[async_trait]
impl Bus for RedisTier {
    async fn connect(&self) -> Result<Box<dyn BusConnection>, TierError> {
        let (names, lane) = (self.inner.names(), &self.inner.lane);
        let tracking = self.inner.track_foreign_writes;
        let (intake, pushes) = pushes::queue(Arc::clone(&self.inner.counts), tracking);
        #[cfg(feature = "cluster")]
        let tracked = match lane.cluster().filter(|_| tracking) {
            Some(cluster) => Some(cluster.track(&names.prefix(), &intake).await?),
            None => None,
        };
        let again = self.inner.bus_sought.swap(true, Ordering::Relaxed);
        let server = lane.journal_server(&names.journal).await?;
        let mut connection = server.open_bus(move |push| intake.take(push)).await?;
        connection.subscribe(&names.channel).await.map_err(|error| tier_error("SUBSCRIBE", &error))?;
        if tracking && !lane.is_cluster() {
            track(&mut connection, &names.prefix()).await?;
        }
        if again {
            // Another server may have taken over. The one before may still answer commands, and does not hear what the bus tells:
            // what it says is not to be believed from here on.
            lane.follow_bus(&server).await?;
        }
        Ok(Box::new(Subscription {
            connection,
            #[cfg(feature = "cluster")]
            tracked,
            pushes,
            inner: Arc::clone(&self.inner),
        }))
    }
}

/// Has a server tell of every write to its keys whose names begin with `prefix`.
pub(crate) async fn track(connection: &mut MultiplexedConnection, prefix: &str) -> Result<(), TierError> {
    let mut command = redis::cmd("CLIENT");
    command.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(prefix);
    command.query_async(connection).await.map_err(|error| tier_error("CLIENT TRACKING", &error))
}

/// A connection subscribed to the channel.
///
/// The connection's own task reads pushes and replies in the order in which they come, and queues a push before it hands
/// over the reply after it.
struct Subscription {
    connection: MultiplexedConnection,
    /// In a cluster, where foreign writes are tracked, those to the primaries.
    #[cfg(feature = "cluster")]
    tracked: Option<Tracked>,
    pushes: Pushes,
    inner: Arc<Inner>,
}

impl Subscription {
    fn last_and_time(&self, (last, time): LastAndTime) -> Result<Position, TierError> {
        self.inner.server_clock.note(time);
        last.first().map_or(Ok(Position::START), JournalEntry::position)
    }
}

/// The journal's last entry, and the server's time in seconds and microseconds.
type LastAndTime = (Vec<JournalEntry>, (i64, i64));

#[async_trait]
impl BusConnection for Subscription {
    async fn next(&mut self) -> Option<BusMessage> {
        self.pushes.next(self.inner.names()).await
    }

    fn try_next(&mut self) -> Option<BusMessage> {
        self.pushes.try_next(self.inner.names())
    }

    async fn begin(&mut self, known: Position) -> Result<(), TierError> {
        let names = self.inner.names();
        let record = Record::new(NOBODY, Change::Begin).to_string();
        let mut begin = scripts::BEGIN.key(&names.journal);
        begin.key(&names.last).key(&names.rules).arg(record).arg(&names.channel).arg(self.inner.journal_max_records);
        begin.arg(known.millis()).arg(known.sequence());
        let begun: Result<i64, _> = begin.invoke_async(&mut self.connection).await;
        begun.map(drop).map_err(|error| tier_error("beginning the journal", &error))
    }

    async fn rules(&mut self) -> Result<RuleSet, TierError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(&self.inner.names().rules);
        let reply = command.query_async(&mut self.connection).await;
        let hash: HashMap<String, String> = reply.map_err(|error| tier_error("HGETALL", &error))?;
        let whole = hash.contains_key("cleared");
        rules::read(hash).filter(|_| whole).ok_or_else(|| TierError::unavailable("the rules are lost; beginning anew"))
    }

    async fn forget(&mut self, rules: &[(TagSlot, Position)]) -> Result<(), TierError> {
        for rules in rules.chunks(RULES_PER_COMMAND) {
            let mut script = scripts::FORGET.key(&self.inner.names().rules);
            for (slot, position) in rules {
                script.arg(rules::tag_field(*slot)).arg(position.to_string());
            }
            let forgotten: Result<u64, _> = script.invoke_async(&mut self.connection).await;
            forgotten.map_err(|error| tier_error("forgetting rules", &error))?;
        }
        Ok(())
    }

    async fn beat(&mut self, beat: Beat) -> Result<Position, TierError> {
        let names = self.inner.names();
        let mut script = scripts::BEAT.key(&names.journal);
        script.key(&names.nodes).arg(beat.node.to_string()).arg(beat.applied.to_string());
        script.arg(millis(beat.trusted)).arg(u64::try_from(beat.alone.as_millis()).unwrap_or(u64::MAX));
        let reply = script.invoke_async(&mut self.connection).await;
        let last = self.last_and_time(reply.map_err(|error| tier_error("the heartbeat", &error))?)?;
        #[cfg(feature = "cluster")]
        if let Some(cluster) = self.inner.lane.cluster() {
            cluster.watch().await;
            if let Some(tracked) = &mut self.tracked {
                cluster.hear(tracked).await?;
            }
        }
        Ok(last)
    }

    #[cfg(feature = "cluster")]
    fn comebacks(&self) -> u64 {
        self.inner.lane.cluster().map_or(0, Cluster::comebacks)
    }

    async fn last_position(&mut self) -> Result<Position, TierError> {
        let batch = journal::last_and_time(&self.inner.names().journal);
        let replies = batch.query_async(&mut self.connection).await;
        self.last_and_time(replies.map_err(|error| tier_error("XREVRANGE", &error))?)
    }

    async fn read_after(&mut self, after: Position, limit: usize) -> Result<JournalPage, TierError> {
        let batch = journal::read_after(&self.inner.names().journal, after, limit);
        let replies = batch.query_async(&mut self.connection).await;
        journal::page(replies.map_err(|error| tier_error("XRANGE", &error))?)
    }
}
