//! Loads and late replies that an invalidation overtakes.

use cache_testing::proxy::{Direction, Flow};
use cache_testing::{FaultProxy, RedisServer};

use crate::node::{HeldLoad, Node, heard, near, node};
use crate::{Failure, Heading};

const OLD: &str = "old";
const NEW: &str = "new";

/// How many of `keys` any of `nodes` still answers with the old value, from any of its tiers.
async fn kept(keys: &[String], nodes: &[&Node]) -> usize {
    let mut kept = 0;
    for key in keys {
        let mut old = false;
        for node in nodes {
            old |= node.get::<String>(key).await.is_some_and(|value| *value == OLD);
        }
        kept += usize::from(old);
    }
    kept
}

/// A slow load is held over an invalidation, and ends 100 ms later.
pub(crate) mod held {
    use std::time::Duration;

    use super::*;
    use crate::options::Options;
    use crate::table::Cell;

    pub(crate) const HEADING: Heading =
        ("slow load held over an invalidation, ended 100 ms later: old value kept", "no");

    pub(crate) async fn run(options: &Options) -> Result<Cell, Failure> {
        let redis = RedisServer::start();
        let url = redis.url();
        let (a, b, c) = (node(&url).await?, node(&url).await?, node(&url).await?);
        let keys: Vec<String> = (0..options.choose(40, 10)).map(|n| format!("held:{n}")).collect();
        for keys in keys.chunks(2) {
            let mut loads = Vec::new();
            for (key, writer) in keys.iter().zip([&a, &b]) {
                loads.push(HeldLoad::start(&a, key, OLD).await?);
                writer.invalidate(key).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            for load in loads {
                load.end().await?;
            }
        }
        heard(&b, &[&a, &c]).await?;
        let kept = kept(&keys, &[&a, &b, &c]).await;
        Ok(Cell::new(kept == 0, format!("{} (kept in {kept} of {} rounds)", no_or_yes(kept), keys.len())))
    }

    fn no_or_yes(count: usize) -> &'static str {
        if count == 0 { "no" } else { "yes" }
    }
}

/// A load ends as the invalidation returns, on a node that is 5 ms away from Redis: what it fills is on its way to Redis
/// while the record is on its way to the node.
pub(crate) mod ending {
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::*;
    use crate::options::Options;
    use crate::table::Cell;

    pub(crate) const HEADING: Heading = (
        "the same, load ending as the invalidation returns, node 5 ms from Redis: rounds with the old value",
        "0 of 20",
    );

    const DISTANCE: Duration = Duration::from_millis(5);

    /// Races at once, each on a key of its own.
    const TOGETHER: usize = 50;

    pub(crate) async fn run(options: &Options) -> Result<Cell, Failure> {
        let redis = RedisServer::start();
        let proxy = FaultProxy::start(redis.address());
        let (a, b) = (node(&redis.url_at(proxy.port())).await?, node(&redis.url()).await?);
        proxy.set(Direction::ToServer, Flow::Delay(DISTANCE));
        proxy.set(Direction::ToClient, Flow::Delay(DISTANCE));
        let keys: Vec<String> = (0..options.rounds()).map(|n| format!("ending:{n}")).collect();
        for keys in keys.chunks(TOGETHER) {
            let mut rounds = JoinSet::new();
            for (number, key) in keys.iter().enumerate() {
                let writer = if number % 2 == 0 { &b } else { &a };
                rounds.spawn(round(a.clone(), writer.clone(), key.clone()));
            }
            while let Some(round) = rounds.join_next().await {
                round??;
            }
        }
        proxy.pass().await;
        heard(&b, &[&a]).await?;
        let kept = kept(&keys, &[&a, &b]).await;
        Ok(Cell::new(kept == 0, format!("{kept} of {}", keys.len())))
    }

    async fn round(a: Node, writer: Node, key: String) -> Result<(), Failure> {
        let load = HeldLoad::start(&a, &key, OLD).await?;
        writer.invalidate(&key).await;
        load.end().await.map(drop)
    }
}

/// A caller comes after the invalidation, while the load that began before it still runs.
pub(crate) mod joining {
    use super::*;
    use crate::node::load;
    use crate::options::Options;
    use crate::table::Cell;

    pub(crate) const HEADING: Heading =
        ("caller after the invalidation, old load running", "loads itself / waits for it, new value");

    pub(crate) async fn run(options: &Options) -> Result<Cell, Failure> {
        let redis = RedisServer::start();
        let (a, b) = (node(&redis.url()).await?, node(&redis.url()).await?);
        let keys: Vec<String> = (0..options.choose(40, 10)).map(|n| format!("joining:{n}")).collect();
        let mut answered_new = 0;
        for (number, key) in keys.iter().enumerate() {
            let old = HeldLoad::start(&a, key, OLD).await?;
            let writer = if number % 2 == 0 { &a } else { &b };
            writer.invalidate(key).await;
            // The old load stands still, so who waits for it or joins it gets no answer.
            let answer = tokio::time::timeout(OLD_LOAD, load(writer, key, NEW)).await;
            answered_new += usize::from(matches!(answer, Ok(Ok(value)) if *value == NEW));
            old.end().await?;
        }
        let kept = kept(&keys, &[&a, &b]).await;
        let text = format!("loads itself, new value ({answered_new} of {})", keys.len());
        Ok(Cell::new(answered_new == keys.len() && kept == 0, text))
    }

    const OLD_LOAD: std::time::Duration = std::time::Duration::from_secs(2);
}

/// The reply of Redis to a read comes late: an invalidation was made meanwhile.
pub(crate) mod promoted {
    use super::*;
    use crate::options::Options;
    use crate::table::Cell;

    pub(crate) const HEADING: Heading = ("late L2 reply promoted: stale rounds", "0 of 20");

    pub(crate) async fn run(options: &Options) -> Result<Cell, Failure> {
        let redis = RedisServer::start();
        let proxy = FaultProxy::start(redis.address());
        let (a, b) = (node(&redis.url_at(proxy.port())).await?, node(&redis.url()).await?);
        let keys: Vec<String> = (0..options.choose(200, 40)).map(|n| format!("promoted:{n}")).collect();
        for (number, key) in keys.iter().enumerate() {
            b.set(key, OLD.to_owned()).await;
            heard(&b, &[&a]).await?;
            let replies = proxy.hold_replies();
            let reader = tokio::spawn({
                let (a, key) = (a.clone(), key.clone());
                async move { a.get::<String>(key).await }
            });
            replies.wait_until_holding(format!("\"{OLD}\"")).await;
            let invalidation = async { b.invalidate(key).await };
            if number % 2 == 0 {
                // The reply and the record set out for the node together, long after the invalidation returned.
                invalidation.await;
                replies.release();
            } else {
                tokio::join!(invalidation, async { replies.release() });
            }
            reader.await?;
        }
        heard(&b, &[&a]).await?;
        let mut stale = 0;
        for key in &keys {
            stale += usize::from(near(&a, key).await.is_some());
        }
        Ok(Cell::new(stale == 0, format!("{stale} of {}", keys.len())))
    }
}
