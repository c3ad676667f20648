//! Knowing that a primary was replaced.
//!
//! A replica that takes over may lack the last writes, removals among them, and a primary that comes back from its disk as
//! well. Where that happens on the server of the journal, the journal shows it. Elsewhere nothing does, so the processes that
//! the primaries run in are asked for with every heartbeat. One that is gone was replaced, or has given all its slots away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use cache_core::TierError;
use futures_util::future::join_all;

use super::Cluster;
use super::map::Address;

#[derive(Default)]
pub(super) struct Processes {
    /// The id of the process that each primary runs in.
    known: Mutex<HashMap<Address, String>>,
    /// How often one of them was replaced.
    comebacks: AtomicU64,
}

impl Cluster {
    /// How often a primary was replaced by another process.
    pub(crate) fn comebacks(&self) -> u64 {
        self.processes.comebacks.load(Ordering::Acquire)
    }

    /// Looks whether a primary was replaced. What cannot be found out now is found out the next time.
    pub(crate) async fn watch(&self) {
        match self.primary_processes().await {
            Ok(found) => {
                if self.processes.replace(found) {
                    self.processes.comebacks.fetch_add(1, Ordering::AcqRel);
                }
            }
            Err(error) => tracing::debug!(target: "cache_aside", %error, "the primaries of the cluster are not known"),
        }
    }

    /// The process that each primary runs in now; `None` for those that do not answer.
    async fn primary_processes(&self) -> Result<Vec<(Address, Option<String>)>, TierError> {
        let (_, map) = self.primaries_now().await?;
        let mut info = redis::cmd("INFO");
        info.arg("server");
        let asked = map.primaries().map(async |address| {
            let lane = self.inner.lane(address)?;
            let report = lane.query::<String>("INFO", &info).await.ok();
            let id = report
                .and_then(|report| report.lines().find_map(|line| Some(line.strip_prefix("run_id:")?.to_owned())));
            Ok((address.clone(), id))
        });
        join_all(asked).await.into_iter().collect()
    }
}

impl Processes {
    /// Takes note of what was found, and tells whether a process that was known is not there any more.
    fn replace(&self, found: Vec<(Address, Option<String>)>) -> bool {
        // A panic under the lock leaves what was there.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = HashMap::new();
        for (address, id) in found {
            // One that does not answer may still be the one that it was.
            if let Some(id) = id.or_else(|| known.get(&address).cloned()) {
                now.insert(address, id);
            }
        }
        let gone = known.values().any(|id| !now.values().any(|there| there == id));
        *known = now;
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(servers: &[(&str, Option<&str>)]) -> Vec<(Address, Option<String>)> {
        servers.iter().map(|(host, id)| (((*host).to_owned(), 1), id.map(str::to_owned))).collect()
    }

    #[test]
    fn a_process_that_is_gone_was_replaced() {
        let processes = Processes::default();
        assert!(!processes.replace(found(&[("a", Some("1")), ("b", Some("2"))])), "nothing was known");
        assert!(!processes.replace(found(&[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))])), "one is new");
        assert!(!processes.replace(found(&[("a", None), ("b", Some("2")), ("c", Some("3"))])), "one does not answer");
        assert!(processes.replace(found(&[("a", Some("4")), ("b", Some("2")), ("c", Some("3"))])), "it was restarted");
        assert!(
            processes.replace(found(&[("d", Some("5")), ("b", Some("2")), ("c", Some("3"))])),
            "a replica took over"
        );
        assert!(!processes.replace(found(&[("d", Some("2")), ("b", Some("5")), ("c", Some("3"))])), "they only moved");
    }
}
