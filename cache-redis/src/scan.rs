//! Removing by pattern, a batch at a time.

use cache_core::TierError;
use cache_core::coherence::Position;
use redis::Cmd;
use redis::aio::ConnectionLike;

use crate::error::tier_error;
use crate::scripts;

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
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(batch);
        let (next, names): (u64, Vec<Vec<u8>>) =
            scan.query_async(connection).await.map_err(|error| tier_error("SCAN", &error))?;
        // A batch can be larger than asked for.
        for names in names.chunks(batch) {
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

/// The command that removes keys and leaves freeing their memory to a thread of the server.
pub(crate) fn unlink<N: redis::ToRedisArgs>(names: N) -> Cmd {
    let mut command = redis::cmd("UNLINK");
    command.arg(names);
    command
}
