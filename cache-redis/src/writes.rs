//! The tier as one that holds writes: streams with a consumer group.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::coherence::{Change, NodeId, Position, Record};
use cache_core::{
    Backlog, DeadLetter, Kept, KeptWrite, Key, NewWrite, Partition, Settle, Taken, TierError, Token, WriteLog,
};
use redis::Value;

use crate::config::Wire;
use crate::scripts;
use crate::shared::{appended, unexpected};
use crate::tier::{RedisTier, millis};

/// A stream entry as it comes: its id, and names and values of its fields in turn.
type StreamEntry = (String, Vec<Vec<u8>>);

impl RedisTier {
    fn stream(&self, Partition { log, number }: Partition<'_>) -> String {
        format!("{{{}}}!writes:{log}/{number}", self.inner.names().namespace)
    }

    fn worker_of(&self, partition: Partition<'_>) -> String {
        format!("{}/worker", self.stream(partition))
    }

    fn dead_letters_of(&self, log: &str) -> String {
        format!("{{{}}}!writes:{log}/dead", self.inner.names().namespace)
    }

    /// Removes entries of a partition's stream, and gives those that were there still: another worker may have removed the others.
    async fn remove(&self, partition: Partition<'_>, entries: Vec<Position>) -> Result<Vec<Position>, TierError> {
        if entries.is_empty() {
            return Ok(entries);
        }
        let stream = self.stream(partition);
        let mut batch = redis::Pipeline::new();
        for entry in &entries {
            // In this order: one that is acknowledged only would stay, and never be given to anybody again.
            batch.cmd("XDEL").arg(&stream).arg(entry.to_string());
            batch.cmd("XACK").arg(&stream).arg("writers").arg(entry.to_string()).ignore();
        }
        let removed: Vec<bool> = self.inner.lane.query_all("removing what is no write", &batch).await?;
        Ok(entries.into_iter().zip(removed).filter_map(|(entry, removed)| removed.then_some(entry)).collect())
    }

    /// How many writes of `key` are pending. Like its fences, it is in the slot of the key.
    fn pending(&self, key: &Key) -> String {
        self.inner.names().pending(key)
    }
}

#[async_trait]
impl WriteLog for RedisTier {
    async fn append(&self, partition: Partition<'_>, write: NewWrite, record: &Record) -> Result<Kept, TierError> {
        let names = self.inner.names();
        let last_moment = self.server_millis_in(write.within.min(self.inner.response_timeout)).await?;
        let mut script = scripts::WRITE_APPEND.key(&names.journal);
        script.key(&names.last).key(names.data(&write.key)).key(names.fences(&write.key)).key(self.pending(&write.key));
        script.key(self.stream(partition)).key(self.dead_letters_of(partition.log));
        script.arg(record.to_string()).arg(&names.channel).arg(self.inner.journal_max_records);
        let (entry, ttl) = match &write.put {
            Some(put) if self.inner.wire == Wire::Framed => (self.inner.encode(&put.entry)?, millis(put.ttl)),
            // A plain value has no room for its birth, so it is stored when it has been applied and is loaded.
            Some(_) | None => (Bytes::new(), 0),
        };
        script.arg(&entry[..]).arg(ttl).arg(last_moment).arg(write.key.as_str()).arg(&write.payload[..]);
        script.arg(millis(write.hold)).arg(write.bound);
        script.arg(write.requeued.map(|letter| letter.to_string()).unwrap_or_default());
        let reply: Value = self.invoke_in_time("keeping a write", &script).await?;
        match reply {
            Value::Int(0) => return Ok(Kept::Full),
            Value::Int(1) => return Ok(Kept::Gone),
            _ => {}
        }
        let (previous, position, id, stored): (String, String, String, bool) =
            redis::from_redis_value(reply).map_err(|_| unexpected("keeping a write"))?;
        Ok(Kept::Kept { id: read_id(&id)?, appended: appended(previous, position, Vec::new())?, stored })
    }

    async fn take(
        &self,
        log: &str,
        partitions: u16,
        first: u16,
        worker: Token,
        lease: Duration,
        limit: usize,
    ) -> Result<Option<Taken>, TierError> {
        let partition = |number| Partition { log, number };
        let mut script = scripts::WRITE_TAKE.key(self.stream(partition(0)));
        script.key(self.worker_of(partition(0)));
        for number in 1..partitions {
            script.key(self.stream(partition(number))).key(self.worker_of(partition(number)));
        }
        script.arg(&worker.as_bytes()[..]).arg(millis(lease)).arg(limit.max(1)).arg(first);
        let reply: Value = self.inner.lane.invoke("taking writes", &script).await?;
        if matches!(reply, Value::Int(0)) {
            return Ok(None);
        }
        let (number, entries, taken): (u16, Vec<StreamEntry>, u64) =
            redis::from_redis_value(reply).map_err(|_| unexpected("taking writes"))?;
        let (mut writes, mut unreadable) = (Vec::with_capacity(entries.len()), Vec::new());
        for (id, fields) in entries {
            let id = read_id(&id)?;
            match read_key(&fields) {
                // One without a payload cannot be decoded, and is put aside for that.
                Some(key) => writes.push(KeptWrite::new(id, key, read_payload(&fields).unwrap_or_default(), taken)),
                None => unreadable.push(id),
            }
        }
        let mut taken = Taken::new(number, writes);
        taken.unreadable = self.remove(partition(number), unreadable).await?;
        Ok(Some(taken))
    }

    async fn settle(
        &self,
        partition: Partition<'_>,
        worker: Token,
        settle: Settle<'_>,
        node: NodeId,
    ) -> Result<bool, TierError> {
        let (keep, rest, dead, writes) = match settle {
            Settle::Keep(lease) => (millis(lease), 0, 0, &[][..]),
            Settle::Applied(writes) => (0, 0, 0, writes),
            Settle::Dead(write) => (0, 0, 1, std::slice::from_ref(write)),
            Settle::Rest(pause) => (0, millis(pause), 0, &[][..]),
        };
        let names = self.inner.names();
        let mut script = scripts::WRITE_SETTLE.key(self.worker_of(partition));
        script
            .key(self.stream(partition))
            .key(self.dead_letters_of(partition.log))
            .key(&names.journal)
            .key(&names.last);
        script.arg(&worker.as_bytes()[..]).arg(keep).arg(rest).arg(dead);
        script.arg(&names.channel).arg(self.inner.journal_max_records);
        for write in writes {
            script.key(names.data(&write.key)).key(names.fences(&write.key)).key(self.pending(&write.key));
            let void = Record::new(node, Change::Keys([write.key.clone()].into()));
            script.arg(write.id.to_string()).arg(void.to_string());
        }
        self.inner.lane.invoke("settling writes", &script).await
    }

    async fn backlog(&self, log: &str, partitions: u16) -> Result<Backlog, TierError> {
        let mut batch = redis::Pipeline::new();
        batch.cmd("XLEN").arg(self.dead_letters_of(log));
        for number in 0..partitions {
            batch.cmd("XLEN").arg(self.stream(Partition { log, number }));
        }
        let lengths: Vec<u64> = self.inner.lane.query_all("XLEN", &batch).await?;
        let dead = lengths.first().copied().unwrap_or_default();
        Ok(Backlog::new(lengths.iter().skip(1).sum(), dead))
    }

    async fn dead_letters(&self, log: &str, after: Position, limit: usize) -> Result<Vec<DeadLetter>, TierError> {
        let mut range = redis::cmd("XRANGE");
        range.arg(self.dead_letters_of(log)).arg(format!("({after}")).arg("+").arg("COUNT").arg(limit);
        let entries: Vec<StreamEntry> = self.inner.lane.query("XRANGE", &range).await?;
        entries.into_iter().map(read_letter).collect()
    }

    async fn discard(&self, log: &str, letters: &[Position]) -> Result<u64, TierError> {
        if letters.is_empty() {
            return Ok(0);
        }
        let mut delete = redis::cmd("XDEL");
        delete.arg(self.dead_letters_of(log));
        for letter in letters {
            delete.arg(letter.to_string());
        }
        self.inner.lane.query("XDEL", &delete).await
    }
}

fn read_id(text: &str) -> Result<Position, TierError> {
    text.parse().map_err(|_| unexpected("reading the id of a write"))
}

fn read_letter((id, fields): StreamEntry) -> Result<DeadLetter, TierError> {
    let write = field(&fields, b"id").and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
    match (write, read_key(&fields), read_payload(&fields)) {
        (Some(write), Some(key), Some(payload)) => Ok(DeadLetter::new(read_id(&id)?, write, key, payload)),
        // No outage, so that reading it again and again keeps nobody from the tier.
        _ => Err(TierError::refused(format!(
            "among the dead letters, {id} is none: somebody else has put it there; remove it by XDEL"
        ))),
    }
}

fn read_key(fields: &[Vec<u8>]) -> Option<Key> {
    Key::new(std::str::from_utf8(field(fields, b"key")?).ok()?).ok()
}

fn read_payload(fields: &[Vec<u8>]) -> Option<Bytes> {
    field(fields, b"payload").map(Bytes::copy_from_slice)
}

/// The value of the field `name` of a stream entry.
fn field<'a>(fields: &'a [Vec<u8>], name: &[u8]) -> Option<&'a [u8]> {
    fields.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| &*pair[1])
}
