//! Scans of a cluster: one of each primary.

use std::sync::Arc;

use cache_core::TierError;
use futures_util::future::join_all;
use redis::Value;

use super::Cluster;
use crate::lane::Lane;
use crate::scan::{self, Pace, Swept};
use crate::slot::slot_of;

impl Cluster {
    /// Removes every key whose name matches, on all primaries at once.
    pub(crate) async fn remove_matching(&self, names: &str, batch: usize) -> Result<Swept, TierError> {
        let (lanes, before) = self.primaries_now().await?;
        let still = self.is_still().await?;
        let sweeps = join_all(lanes.iter().map(|lane| self.sweep(lane, names, batch))).await;
        let removed = sweeps.into_iter().sum::<Result<u64, TierError>>()?;
        let (_, after) = self.primaries_now().await?;
        let met_all = still && before == after && self.is_still().await?;
        Ok(Swept { removed, met_all })
    }

    /// The lane of each primary.
    pub(crate) async fn primaries(&self) -> Result<Vec<Arc<Lane>>, TierError> {
        self.primaries_now().await.map(|(lanes, _)| lanes)
    }

    async fn sweep(&self, lane: &Lane, pattern: &str, batch: usize) -> Result<u64, TierError> {
        let mut connection = lane.check_out().await?;
        let (mut removed, mut cursor, mut pace) = (0, 0, Pace::default());
        loop {
            let size = pace.batch(batch);
            let (next, names) = scan::step(&mut connection, pattern, cursor, size).await?;
            for names in names.chunks(size) {
                let unlinked = self.unlink(names).await?;
                removed += unlinked;
                self.inner.counts.swept(unlinked);
            }
            if next == 0 {
                return Ok(removed);
            }
            cursor = next;
            pace.rest(batch).await;
        }
    }

    /// Removes keys one by one, since those of one command have to be in one slot.
    pub(crate) async fn unlink<N: AsRef<[u8]>>(&self, names: &[N]) -> Result<u64, TierError> {
        let commands: Vec<_> = names.iter().map(|name| (slot_of(name.as_ref()), scan::unlink(name.as_ref()))).collect();
        let removed = self.scatter_all(&commands).await.map_err(|failure| failure.into_tier_error("UNLINK"))?;
        Ok(removed.iter().filter(|removed| matches!(removed, Value::Int(1))).count() as u64)
    }

    /// Whether no slot is moving, as far as the primaries say.
    async fn is_still(&self) -> Result<bool, TierError> {
        let (lanes, _) = self.primaries_now().await?;
        // Each server tells of its own slots that they are on their way: `[93->-id]` or `[93-<-id]`.
        Ok(!views(&lanes).await?.iter().any(|view| view.contains(" [")))
    }
}

/// What each server says of all.
pub(super) async fn views(lanes: &[Arc<Lane>]) -> Result<Vec<String>, TierError> {
    let mut nodes = redis::cmd("CLUSTER");
    nodes.arg("NODES");
    let asked = lanes.iter().map(async |lane| lane.query::<String>("CLUSTER NODES", &nodes).await);
    join_all(asked).await.into_iter().collect()
}
