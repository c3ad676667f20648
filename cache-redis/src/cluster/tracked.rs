//! Hearing of what other programs write to a cluster.
//!
//! Each server tells of its own keys only, so each primary is asked to, on a connection of its own. That goes for those
//! without slots too: of a slot that is moving, keys are at its new server before any map says so.
//!
//! A node hears of everything while it is connected to exactly the primaries that there are, and each of them answers. Both
//! are asked for with every heartbeat. Where either is not so, the connection of the bus is given up with these, and what is
//! near is dropped once all are made anew: nobody knows what was written in between.

use std::collections::{BTreeMap, BTreeSet};

use cache_core::TierError;
use futures_util::future::{join_all, try_join_all};
use redis::Value;
use redis::aio::MultiplexedConnection;

use super::Cluster;
use super::map::Address;
use super::scan::views;
use crate::bus::track;
use crate::error::tier_error;
use crate::pushes::Intake;

/// A connection to each primary, which tells of writes.
pub(crate) struct Tracked(BTreeMap<Address, MultiplexedConnection>);

impl Cluster {
    /// Has each primary tell `intake` of every write to keys whose names begin with `prefix`.
    pub(crate) async fn track(&self, prefix: &str, intake: &Intake) -> Result<Tracked, TierError> {
        let opening = self.all_primaries().await?.into_iter().map(async |address| {
            let lane = self.inner.lane(&address)?;
            let intake = intake.clone();
            let mut connection = lane.place().server().await?.open_bus(move |push| intake.take(push)).await?;
            track(&mut connection, prefix).await?;
            Ok::<_, TierError>((address, connection))
        });
        Ok(Tracked(try_join_all(opening).await?.into_iter().collect()))
    }

    /// Makes sure that all primaries are tracked, and that what they have told so far has arrived.
    pub(crate) async fn hear(&self, tracked: &mut Tracked) -> Result<(), TierError> {
        if !self.all_primaries().await?.iter().eq(tracked.0.keys()) {
            return Err(TierError::unavailable("the primaries of the cluster have changed"));
        }
        let ping = redis::cmd("PING");
        let asked = tracked.0.values_mut().map(async |connection| ping.query_async::<Value>(connection).await);
        join_all(asked)
            .await
            .into_iter()
            .try_for_each(|answer| answer.map(drop))
            .map_err(|error| tier_error("PING", &error))
    }

    /// Each server that takes writes, or will when a slot moves to it.
    async fn all_primaries(&self) -> Result<BTreeSet<Address>, TierError> {
        let (lanes, map) = self.primaries_now().await?;
        let views = views(&lanes).await?;
        let idle = views.iter().flat_map(|view| view.lines()).filter_map(idle_primary);
        Ok(map.primaries().cloned().chain(idle).collect())
    }
}

/// The primary that a line of the answer to CLUSTER NODES is about, if it has no slots and is well:
/// `<id> <host>:<port>@<bus port>[,<name>[,..]] <flags> <primary> <sent> <received> <epoch> <link> [<slots> ..]`.
fn idle_primary(line: &str) -> Option<Address> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, address, flags, _, _, _, _, _, slots @ ..] = &words[..] else { return None };
    let is_well = !["fail", "handshake", "noaddr"].iter().any(|flag| flags.split(',').any(|set| set == *flag));
    // What is in brackets is on its way.
    let is_idle = slots.iter().all(|slots| slots.starts_with('['));
    if !(is_well && is_idle && flags.split(',').any(|flag| flag == "master")) {
        return None;
    }
    let (host_and_port, rest) = address.split_once('@')?;
    let (host, port) = host_and_port.rsplit_once(':')?;
    let name = rest.split(',').nth(1).filter(|name| !name.is_empty() && !name.contains('='));
    let host = name.unwrap_or(host).trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primaries_without_slots_are_found() {
        let found = |address: &str, flags: &str, slots: &str| {
            let line = format!("07c3 {address} {flags} - 0 1426238316232 2 connected{slots}");
            idle_primary(&line).map(|(host, port)| format!("{host} {port}"))
        };
        assert_eq!(found("127.0.0.1:30004@31004", "master", "").as_deref(), Some("127.0.0.1 30004"));
        assert_eq!(found("127.0.0.1:30004@31004", "myself,master", " [93-<-292f]").as_deref(), Some("127.0.0.1 30004"));
        assert_eq!(found("127.0.0.1:30004@31004,redis.example", "master", "").as_deref(), Some("redis.example 30004"));
        assert_eq!(found("127.0.0.1:30004@31004,,shard-id=1", "master", "").as_deref(), Some("127.0.0.1 30004"));
        assert_eq!(found("::1:30004@31004", "master", "").as_deref(), Some("::1 30004"));
        assert_eq!(found("127.0.0.1:30004@31004", "master", " 0-5460"), None);
        for flags in ["slave", "master,fail", "master,handshake", "master,noaddr"] {
            assert_eq!(found("127.0.0.1:30004@31004", flags, ""), None, "{flags}");
        }
        assert_eq!(idle_primary("vars currentEpoch 6"), None);
        assert_eq!(idle_primary(""), None);
    }
}
