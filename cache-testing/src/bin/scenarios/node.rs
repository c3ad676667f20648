//! Nodes as an application would build them, and loads that stand still.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache_core::{BusStatus, CachingService, CachingServiceBuilder, LoadError, Policy};
use cache_local::LocalTier;
use cache_redis::RedisTier;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Failure;

pub(crate) type Node = CachingService<()>;

/// A bound on a hang, never a pause.
const PATIENCE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(1);

/// Longer than any scenario, so that nothing runs out by itself.
const TTL: Duration = Duration::from_secs(600);

pub(crate) fn builder(url: &str) -> Result<CachingServiceBuilder<()>, Failure> {
    let builder = Node::builder().remote(RedisTier::new(url)?);
    Ok(builder.default_policy(Policy::new(TTL)))
}

/// A node with both tiers and the default timings, which hears of invalidations.
pub(crate) async fn node(url: &str) -> Result<Node, Failure> {
    let node = builder(url)?.local(LocalTier::new(20_000)).build().await?;
    hears(&node).await?;
    Ok(node)
}

pub(crate) async fn hears(node: &Node) -> Result<(), Failure> {
    until("the bus is healthy", async || node.status().await.bus == BusStatus::Healthy).await.map(drop)
}

/// Waits until `condition` holds, and tells how long that took.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) -> Result<Duration, Failure> {
    let started = Instant::now();
    while !condition().await {
        if started.elapsed() > PATIENCE {
            return Err(format!("waited {PATIENCE:?} in vain: {what}").into());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(started.elapsed())
}

/// What the near tier of `node` serves.
pub(crate) async fn near(node: &Node, key: &str) -> Option<Arc<String>> {
    node.entry(key).local_only().get().await
}

/// Waits until each of `nodes` has applied every record up to now. Records are applied in order, so it is enough to wait
/// for the last.
pub(crate) async fn heard(writer: &Node, nodes: &[&Node]) -> Result<(), Failure> {
    let marker = format!("marker:{}", fastrand::u64(..));
    for node in nodes {
        node.entry(&marker).local_only().set(String::new()).await;
    }
    writer.invalidate(&marker).await;
    for node in nodes {
        until("the node hears of it", async || near(node, &marker).await.is_none()).await?;
    }
    Ok(())
}

type Loaded = Result<Arc<String>, LoadError<Infallible>>;

/// Loads `key` at once.
pub(crate) async fn load(node: &Node, key: &str, value: &'static str) -> Loaded {
    node.get_or_load(key, move || async move { Ok::<_, Infallible>(value.to_owned()) }).await
}

/// A load whose loader has begun, and stands still until it is let go.
pub(crate) struct HeldLoad {
    caller: JoinHandle<Loaded>,
    release: oneshot::Sender<()>,
}

impl HeldLoad {
    /// Begins to load `value` under `key`, and returns once the loader runs.
    pub(crate) async fn start(node: &Node, key: &str, value: &'static str) -> Result<Self, Failure> {
        let ((started, running), (release, released)) = (oneshot::channel(), oneshot::channel());
        let (node, key) = (node.clone(), key.to_owned());
        let load = move || async move {
            // An error says that the scenario has failed already.
            let _ = started.send(());
            let _ = released.await;
            Ok(value.to_owned())
        };
        let caller = tokio::spawn(async move { node.get_or_load(key, load).await });
        running.await?;
        Ok(Self { caller, release })
    }

    /// Lets the loader go, and waits for its caller to be answered.
    pub(crate) async fn end(self) -> Result<Arc<String>, Failure> {
        // An error says that the load was given up, which the caller tells.
        let _ = self.release.send(());
        Ok(self.caller.await??)
    }
}
