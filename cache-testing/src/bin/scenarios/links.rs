//! A record that a node misses, because its link was cut or half open while the record was sent.

use std::time::{Duration, Instant};

use cache_testing::{FaultProxy, RedisServer};

use crate::node::{Node, near, node};
use crate::options::Options;
use crate::table::{Cell, shown};
use crate::{Failure, Heading};

pub(crate) const HEADING: Heading =
    ("message missed on a cut or half-open link: old value 10 s after it is back", "no");

const OLD_AFTER: Duration = Duration::from_secs(10);

pub(crate) async fn run(options: &Options) -> Result<Cell, Failure> {
    let cut = missed(options, Link::Cut).await?;
    let half_open = missed(options, Link::HalfOpen).await?;
    let text = match (cut, half_open) {
        (Some(cut), Some(half_open)) => {
            format!("no (gone after {} / {})", shown(cut), shown(half_open))
        }
        (cut, half_open) => format!("yes (cut: {}, half open: {})", cut.is_none(), half_open.is_none()),
    };
    Ok(Cell::new(cut.is_some() && half_open.is_some(), text))
}

#[derive(Clone, Copy, PartialEq)]
enum Link {
    Cut,
    /// The server has given the connection up; the client is not told.
    HalfOpen,
}

/// How long after the link is back the node gives the old value up; `None` if it does not.
async fn missed(options: &Options, link: Link) -> Result<Option<Duration>, Failure> {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address());
    let (a, b) = (node(&redis.url_at(proxy.port())).await?, node(&redis.url()).await?);
    b.set("k", "old".to_owned()).await;
    a.get::<String>("k").await.ok_or("the value is there to be read")?;
    match link {
        Link::Cut => proxy.cut().await,
        Link::HalfOpen => {
            proxy.pause();
            redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        }
    }
    b.invalidate("k").await;
    tokio::time::sleep(options.outage()).await;
    proxy.pass().await;
    Ok(gone(&a).await)
}

async fn gone(node: &Node) -> Option<Duration> {
    let back = Instant::now();
    while near(node, "k").await.is_some() {
        if back.elapsed() > OLD_AFTER {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Some(back.elapsed())
}
