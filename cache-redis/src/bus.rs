//! The tier as a way to hear of journal records.

use std::sync::Arc;

use async_trait::async_trait;
use cache_core::TierError;
use cache_core::coherence::{Bus, BusConnection, BusMessage, JournalPage, Position, Record};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, PushInfo, PushKind, Value};
use tokio::sync::mpsc;

use crate::counters::Counts;
use crate::error::tier_error;
use crate::message;
use crate::tier::RedisTier;

/// How many messages wait for the node to take them. What does not fit is dropped, and found again in the journal, since
/// the message after it names a predecessor that the node has not seen.
const MESSAGES_WAITING: usize = 8_192;

#[async_trait]
impl Bus for RedisTier {
    async fn connect(&self) -> Result<Box<dyn BusConnection>, TierError> {
        let names = self.inner.names();
        let (sender, messages) = mpsc::channel(MESSAGES_WAITING);
        let counts = Arc::clone(&self.inner.counts);
        let forward = move |push| forward(push, &sender, &counts);
        let mut connection = self.inner.topology.open_bus(forward).await?;
        connection.subscribe(&names.channel).await.map_err(|error| tier_error("SUBSCRIBE", &error))?;
        Ok(Box::new(Subscription { connection, messages, journal: names.journal.clone() }))
    }
}

/// Runs in the connection's own task, so it must not wait.
fn forward(push: PushInfo, sender: &mpsc::Sender<Vec<u8>>, counts: &Counts) -> Result<(), redis::aio::SendError> {
    if push.kind != PushKind::Message {
        return Ok(());
    }
    // Channel and payload. Of channels there is only the one subscribed to.
    let Ok([_, Value::BulkString(payload)]) = <[Value; 2]>::try_from(push.data) else { return Ok(()) };
    sender.try_send(payload).map_err(|error| {
        if matches!(error, mpsc::error::TrySendError::Full(_)) {
            counts.dropped_message();
        }
        redis::aio::SendError
    })
}

/// A connection subscribed to the channel.
///
/// The connection's own task reads pushes and replies in the order in which they come, and queues a push before it hands
/// over the reply after it.
struct Subscription {
    connection: MultiplexedConnection,
    /// Ends when the connection's task drops the sender, which is when the connection is lost.
    messages: mpsc::Receiver<Vec<u8>>,
    journal: String,
}

#[async_trait]
impl BusConnection for Subscription {
    async fn next(&mut self) -> Option<BusMessage> {
        self.messages.recv().await.map(|payload| message::parse(&payload))
    }

    fn try_next(&mut self) -> Option<BusMessage> {
        self.messages.try_recv().ok().map(|payload| message::parse(&payload))
    }

    async fn last_position(&mut self) -> Result<Position, TierError> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(&self.journal).arg("+").arg("-").arg("COUNT").arg(1);
        let reply = command.query_async(&mut self.connection).await;
        let last: Vec<JournalEntry> = reply.map_err(|error| tier_error("XREVRANGE", &error))?;
        last.first().map_or(Ok(Position::START), JournalEntry::position)
    }

    async fn read_after(&mut self, after: Position, limit: usize) -> Result<JournalPage, TierError> {
        let mut batch = redis::pipe();
        // The records first: were the oldest read before them, a trim in between would go unnoticed.
        batch.cmd("XRANGE").arg(&self.journal).arg(format!("({after}")).arg("+").arg("COUNT").arg(limit);
        batch.cmd("XRANGE").arg(&self.journal).arg("-").arg("+").arg("COUNT").arg(1);
        let replies = batch.query_async(&mut self.connection).await;
        let (records, oldest): (Vec<JournalEntry>, Vec<JournalEntry>) =
            replies.map_err(|error| tier_error("XRANGE", &error))?;
        let records = records.iter().map(|entry| Ok((entry.position()?, entry.record())));
        Ok(JournalPage {
            oldest: oldest.first().map(JournalEntry::position).transpose()?,
            records: records.collect::<Result<_, TierError>>()?,
        })
    }
}

/// One entry of the stream, as Redis sends it.
struct JournalEntry {
    id: String,
    fields: Vec<Vec<u8>>,
}

impl JournalEntry {
    fn position(&self) -> Result<Position, TierError> {
        self.id.parse().map_err(|error| TierError::unavailable(format!("the journal cannot be read: {error}")))
    }

    /// The record in it, unless someone else wrote the entry or it is of another version.
    fn record(&self) -> Option<Record> {
        match self.fields.as_slice() {
            [name, record] if name == b"record" => std::str::from_utf8(record).ok()?.parse().ok(),
            _ => None,
        }
    }
}

impl FromRedisValue for JournalEntry {
    fn from_redis_value(value: Value) -> Result<Self, redis::ParsingError> {
        let (id, fields) = redis::from_redis_value(value)?;
        Ok(Self { id, fields })
    }
}
