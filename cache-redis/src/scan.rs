//! Removing by pattern, a batch at a time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache_core::{Key, KeyScan, Pattern, TierError};
use redis::Cmd;
use redis::aio::ConnectionLike;

use crate::counters::Counts;
use crate::error::tier_error;
use crate::lane::Lane;
use crate::tier::Inner;

/// Where to go on, 0 at the end, and names that match.
type Found = (u64, Vec<Vec<u8>>);

/// So many keys are looked at as fast as the server answers, so that small patterns are removed at once.
const SPRINT: usize = 20_000;

/// After that, a batch is taken in so many steps: other clients wait for one step at the most.
const STEPS_OF_A_BATCH: usize = 20;

/// After so many of those, a rest.
const STEPS_BETWEEN_RESTS: usize = 5;

/// At the usual batch of 250 it bounds a scan to some 65,000 keys a second.
const REST: Duration = Duration::from_millis(1);

/// How fast a scan goes. A large one leaves the server to its other clients most of the time: it takes much smaller steps, and
/// rests after a few.
#[derive(Default)]
pub(crate) struct Pace {
    steps: usize,
}

impl Pace {
    /// How many keys to look at in the next step, of at most `batch`.
    pub(crate) fn batch(&self, batch: usize) -> usize {
        if self.is_sprint(batch) { batch } else { batch.div_ceil(STEPS_OF_A_BATCH) }
    }

    /// To be called after each step.
    pub(crate) async fn rest(&mut self, batch: usize) {
        self.steps += 1;
        if self.is_sprint(batch) || !self.steps.is_multiple_of(STEPS_BETWEEN_RESTS) {
            tokio::task::yield_now().await;
        } else {
            // Not on the service's clock: it is there for the server.
            tokio::time::sleep(REST).await;
        }
    }

    fn is_sprint(&self, batch: usize) -> bool {
        self.steps * batch < SPRINT
    }
}

/// What a scan for a pattern came to.
pub(crate) struct Swept {
    /// How many keys were removed.
    pub(crate) removed: u64,
    /// Whether it met every key. Not so where keys moved meanwhile from one server to another.
    #[cfg_attr(not(feature = "cluster"), allow(dead_code, reason = "on one server it always does"))]
    pub(crate) met_all: bool,
}

/// Removes every key that matches and tells how many there were. SCAN may report a key twice, so the replies of UNLINK are
/// what counts.
///
/// What one step finds is removed with the next step, in one round trip. In between the server turns to its other clients. All of
/// it is one connection: to a server that was replaced in between a cursor means nothing, and keys would be passed over.
pub(crate) async fn remove_matching(
    connection: &mut (impl ConnectionLike + Send),
    pattern: &str,
    batch: usize,
    counts: &Counts,
) -> Result<u64, TierError> {
    let (mut removed, mut pace) = (0, Pace::default());
    let mut found = step(connection, pattern, 0, batch).await?;
    loop {
        let size = pace.batch(batch);
        let (next, names) = found;
        // A batch can be larger than asked for.
        let mut names = names.chunks(size);
        let last = names.next_back().unwrap_or_default();
        for names in names {
            removed += remove(connection, names, counts).await?;
        }
        if next == 0 {
            return Ok(removed + remove(connection, last, counts).await?);
        }
        pace.rest(batch).await;
        found = if last.is_empty() {
            step(connection, pattern, next, size).await?
        } else {
            let mut both = redis::pipe();
            both.add_command(unlink(last)).add_command(scan(pattern, next, size));
            let (unlinked, found): (u64, _) =
                both.query_async(connection).await.map_err(|error| tier_error("UNLINK and SCAN", &error))?;
            removed += unlinked;
            counts.swept(unlinked);
            found
        };
    }
}

async fn remove(
    connection: &mut (impl ConnectionLike + Send),
    names: &[Vec<u8>],
    counts: &Counts,
) -> Result<u64, TierError> {
    if names.is_empty() {
        return Ok(0);
    }
    let unlinked: u64 = unlink(names).query_async(connection).await.map_err(|error| tier_error("UNLINK", &error))?;
    counts.swept(unlinked);
    Ok(unlinked)
}

/// The next names that match, and where to go on: 0 at the end.
pub(crate) async fn step(
    connection: &mut (impl ConnectionLike + Send),
    pattern: &str,
    cursor: u64,
    batch: usize,
) -> Result<Found, TierError> {
    scan(pattern, cursor, batch).query_async(connection).await.map_err(|error| tier_error("SCAN", &error))
}

fn scan(pattern: &str, cursor: u64, batch: usize) -> Cmd {
    let mut command = redis::cmd("SCAN");
    command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(batch);
    command
}

/// The keys that match, on one server after the other. Whoever asks for them takes time between two steps, so a connection is
/// held for one step only. Where a server is replaced in between, keys may be missing.
pub(crate) struct DataScan {
    /// The present server last, before those whose turn is yet to come.
    lanes: Vec<Arc<Lane>>,
    /// Where the scan is on the present server.
    cursor: u64,
    inner: Arc<Inner>,
    pattern: String,
}

impl DataScan {
    pub(crate) fn new(lanes: Vec<Arc<Lane>>, inner: Arc<Inner>, pattern: &Pattern) -> Self {
        let pattern = inner.names().data_matching(pattern);
        Self { lanes, cursor: 0, inner, pattern }
    }
}

#[async_trait]
impl KeyScan for DataScan {
    async fn next(&mut self) -> Result<Option<Vec<Key>>, TierError> {
        let Some(lane) = self.lanes.last() else { return Ok(None) };
        let mut connection = lane.check_out().await?;
        let (next, names) = step(&mut connection, &self.pattern, self.cursor, self.inner.scan_batch).await?;
        self.cursor = next;
        if next == 0 {
            self.lanes.pop();
        }
        Ok(Some(names.iter().filter_map(|name| self.inner.names().key_of(name)).collect()))
    }
}

/// The command that removes keys and leaves freeing their memory to a thread of the server.
pub(crate) fn unlink<N: redis::ToRedisArgs>(names: N) -> Cmd {
    let mut command = redis::cmd("UNLINK");
    command.arg(names);
    command
}
