//! Removing by pattern, a batch at a time.

use std::sync::Arc;

use async_trait::async_trait;
use cache_core::{Key, KeyScan, Pattern, TierError};
use deadpool_redis::Connection;
use redis::Cmd;
use redis::aio::ConnectionLike;

use crate::error::tier_error;
use crate::lane::Lane;
use crate::tier::Inner;

/// Removes every key that matches and tells how many there were. SCAN may report a key twice, so the replies of UNLINK are
/// what counts.
///
/// Each batch is two commands, one after the other's reply, so that the server turns to its other clients in between.
pub(crate) async fn remove_matching(
    connection: &mut (impl ConnectionLike + Send),
    pattern: &str,
    batch: usize,
) -> Result<u64, TierError> {
    let mut removed = 0;
    let mut cursor = 0;
    loop {
        let (next, names) = step(connection, pattern, cursor, batch).await?;
        // A batch can be larger than asked for.
        for names in names.chunks(batch) {
            let unlinked: u64 =
                unlink(names).query_async(connection).await.map_err(|error| tier_error("UNLINK", &error))?;
            removed += unlinked;
            tokio::task::yield_now().await;
        }
        if next == 0 {
            return Ok(removed);
        }
        cursor = next;
    }
}

/// The next names that match, and where to go on: 0 at the end.
pub(crate) async fn step(
    connection: &mut (impl ConnectionLike + Send),
    pattern: &str,
    cursor: u64,
    batch: usize,
) -> Result<(u64, Vec<Vec<u8>>), TierError> {
    let mut scan = redis::cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(batch);
    scan.query_async(connection).await.map_err(|error| tier_error("SCAN", &error))
}

/// The keys that match, over a connection of its own to one server after the other.
pub(crate) struct DataScan {
    /// Those whose turn is yet to come.
    lanes: Vec<Arc<Lane>>,
    /// Where the scan is on the present server; `None` between two of them.
    at: Option<(Connection, u64)>,
    inner: Arc<Inner>,
    pattern: String,
}

impl DataScan {
    pub(crate) fn new(lanes: Vec<Arc<Lane>>, inner: Arc<Inner>, pattern: &Pattern) -> Self {
        let pattern = inner.names().data_matching(pattern);
        Self { lanes, at: None, inner, pattern }
    }
}

#[async_trait]
impl KeyScan for DataScan {
    async fn next(&mut self) -> Result<Option<Vec<Key>>, TierError> {
        let (mut connection, cursor) = match self.at.take() {
            Some(at) => at,
            None => match self.lanes.pop() {
                Some(lane) => (lane.check_out().await?, 0),
                None => return Ok(None),
            },
        };
        let (next, names) = step(&mut connection, &self.pattern, cursor, self.inner.scan_batch).await?;
        self.at = Some((connection, next)).filter(|_| next != 0);
        Ok(Some(names.iter().filter_map(|name| self.inner.names().key_of(name)).collect()))
    }
}

/// The command that removes keys and leaves freeing their memory to a thread of the server.
pub(crate) fn unlink<N: redis::ToRedisArgs>(names: N) -> Cmd {
    let mut command = redis::cmd("UNLINK");
    command.arg(names);
    command
}
