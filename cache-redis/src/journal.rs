//! Reading the journal, over whichever connection.

use cache_core::TierError;
use cache_core::coherence::{JournalPage, Position, Record};
use redis::{Cmd, FromRedisValue, Pipeline, Value};

/// Asks for the last entry, and for the server's time.
pub(crate) fn last_and_time(journal: &str) -> Pipeline {
    let mut batch = redis::pipe();
    batch.cmd("XREVRANGE").arg(journal).arg("+").arg("-").arg("COUNT").arg(1);
    batch.cmd("TIME");
    batch
}

/// Asks for the last entry at `position` or before it.
pub(crate) fn last_until(journal: &str, position: Position) -> Cmd {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(journal).arg(position.to_string()).arg("-").arg("COUNT").arg(1);
    command
}

/// Asks for what [`page`] reads.
pub(crate) fn read_after(journal: &str, after: Position, limit: usize) -> Pipeline {
    let mut batch = redis::pipe();
    // The records first: were the oldest read before them, a trim in between would go unnoticed.
    batch.cmd("XRANGE").arg(journal).arg(format!("({after}")).arg("+").arg("COUNT").arg(limit);
    batch.cmd("XRANGE").arg(journal).arg("-").arg("+").arg("COUNT").arg(1);
    batch
}

/// What was asked for with [`read_after`].
pub(crate) type PageReply = (Vec<JournalEntry>, Vec<JournalEntry>);

pub(crate) fn page((records, oldest): PageReply) -> Result<JournalPage, TierError> {
    let records = records.iter().map(|entry| Ok((entry.position()?, entry.record())));
    Ok(JournalPage {
        oldest: oldest.first().map(JournalEntry::position).transpose()?,
        records: records.collect::<Result<_, TierError>>()?,
    })
}

/// One entry of the stream, as Redis sends it.
pub(crate) struct JournalEntry {
    id: String,
    fields: Vec<Vec<u8>>,
}

impl JournalEntry {
    pub(crate) fn position(&self) -> Result<Position, TierError> {
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
