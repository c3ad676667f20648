//! Removing by pattern, a batch at a time.

use std::sync::Arc;

use async_trait::async_trait;
use cache_core::coherence::Position;
use cache_core::{Key, KeyScan, Pattern, TierError};
use deadpool_redis::Connection;
use redis::Cmd;
use redis::aio::ConnectionLike;

use crate::error::tier_error;
use crate::scripts;
use crate::tier::Inner;

/// So many keys are swept by one call of the script, which has to unpack them.
const KEYS_PER_SWEEP: usize = 1_000;

/// Removes every key that matches, but for fences and for entries that were born at `before` or later, and tells how many
/// there were. SCAN may report a key twice, so what the removals say is what counts.
///
/// Each batch is two commands, one after the other's reply, so that the server turns to its other clients in between.
pub(crate) async fn sweep(
    connection: &mut (impl ConnectionLike + Send),
    pattern: &str,
    before: Position,
    batch: usize,
) -> Result<u64, TierError> {
    let mut removed = 0;
    let mut cursor = 0;
    loop {
        let (next, names) = step(connection, pattern, cursor, batch).await?;
        // A batch can be larger than asked for.
        for names in names.chunks(batch.min(KEYS_PER_SWEEP)) {
            let mut script = scripts::SWEEP.prepare_invoke();
            for name in names {
                script.key(name);
            }
            script.arg(before.millis()).arg(before.sequence());
            let swept: u64 = script.invoke_async(connection).await.map_err(|error| tier_error("sweeping", &error))?;
            removed += swept;
            tokio::task::yield_now().await;
        }
        if next == 0 {
            return Ok(removed);
        }
        cursor = next;
    }
}

/// The next names that match, and where to go on: 0 at the end.
async fn step(
    connection: &mut (impl ConnectionLike + Send),
    pattern: &str,
    cursor: u64,
    batch: usize,
) -> Result<(u64, Vec<Vec<u8>>), TierError> {
    let mut scan = redis::cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(batch);
    scan.query_async(connection).await.map_err(|error| tier_error("SCAN", &error))
}

/// The keys that match, over a connection of its own.
pub(crate) struct DataScan {
    connection: Connection,
    inner: Arc<Inner>,
    pattern: String,
    /// `None` at the end.
    cursor: Option<u64>,
}

impl DataScan {
    pub(crate) fn new(connection: Connection, inner: Arc<Inner>, pattern: &Pattern) -> Self {
        let pattern = inner.names().data_matching(pattern);
        Self { connection, inner, pattern, cursor: Some(0) }
    }
}

#[async_trait]
impl KeyScan for DataScan {
    async fn next(&mut self) -> Result<Option<Vec<Key>>, TierError> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        let (next, names) = step(&mut self.connection, &self.pattern, cursor, self.inner.scan_batch).await?;
        self.cursor = Some(next).filter(|next| *next != 0);
        Ok(Some(names.iter().filter_map(|name| self.inner.names().key_of(name)).collect()))
    }
}

/// The command that removes keys and leaves freeing their memory to a thread of the server.
pub(crate) fn unlink<N: redis::ToRedisArgs>(names: N) -> Cmd {
    let mut command = redis::cmd("UNLINK");
    command.arg(names);
    command
}
