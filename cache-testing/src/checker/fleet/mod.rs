//! The node processes, and what they say.

mod connections;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::ledger::Ledger;
use super::message::{Breakage, Health, NodeSettings, Stall, Timings, ToNode};
use super::moment::Moment;
use super::server::Server;
use super::source::Source;
use crate::{FaultProxy, Process};
use connections::{Shared, accept};

/// How long the nodes may take to do what they are waited for: a bound on a hang, never a pause.
const PATIENCE: Duration = Duration::from_secs(60);

/// What every node is started with.
#[derive(Debug, Clone)]
pub struct FleetSettings {
    /// The program that becomes a node when it is given its settings as `node <settings>`.
    pub program: PathBuf,
    /// How many nodes.
    pub nodes: u32,
    /// How many keys.
    pub keys: u32,
    /// How many reads each node makes each second.
    pub reads_per_second: u32,
    /// What random choices follow.
    pub seed: u64,
    /// The intervals of the nodes.
    pub timings: Timings,
    /// How they are broken.
    pub breakage: Breakage,
}

/// What is known of a node that was started.
#[derive(Debug, Clone, Default)]
pub struct NodeView {
    /// Its place.
    pub slot: usize,
    /// It is connected.
    pub connected: bool,
    /// It has gone.
    pub gone: bool,
    /// It lived, and [`Fleet::kill`] killed it.
    pub killed: bool,
    /// What its service says about staleness.
    pub bound: Option<Duration>,
    /// Its latest health, and when that came.
    pub health: Option<(Moment, Health)>,
    /// It has read every key after [`ToNode::Audit`].
    pub audited: bool,
    /// It has said everything.
    pub finished: bool,
    /// Reads that gave no value.
    pub without_value: u64,
    /// Its longer stalls.
    pub stalls: Vec<Stall>,
}

/// The place of a node: its processes come and go, its link stays.
#[derive(Debug)]
struct Slot {
    proxy: FaultProxy,
    process: Mutex<Option<(u32, Process)>>,
}

/// The nodes.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    slots: Vec<Slot>,
    settings: FleetSettings,
    next: AtomicU32,
    acceptor: JoinHandle<()>,
    directory: tempfile::TempDir,
}

impl NodeView {
    /// Whether it ended, or said what nobody understands, without having been killed.
    pub const fn died(&self) -> bool {
        self.gone && !self.killed
    }
}

impl Fleet {
    /// Starts the nodes and waits until they are connected.
    ///
    /// # Errors
    ///
    /// A node does not start.
    pub async fn start(
        settings: FleetSettings,
        server: &Server,
        source: Arc<Source>,
        ledger: Arc<Mutex<Ledger>>,
    ) -> Result<Self, String> {
        let directory = tempfile::Builder::new().prefix("checker-").tempdir().map_err(|error| error.to_string())?;
        let listener = UnixListener::bind(directory.path().join("socket")).map_err(|error| error.to_string())?;
        let shared = Shared { source, ledger, links: Mutex::default(), views: watch::Sender::default() };
        let shared = Arc::new(shared);
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&shared)));
        let slot = |_| Slot { proxy: FaultProxy::start(server.address()), process: Mutex::default() };
        let slots = (0..=settings.nodes).map(slot).collect();
        let fleet = Self { shared, slots, settings, next: AtomicU32::new(0), acceptor, directory };
        for slot in fleet.slots() {
            fleet.start_node(slot);
        }
        fleet.wait_for("the nodes to connect", |views| views.values().all(|view| view.connected)).await?;
        Ok(fleet)
    }

    /// The numbers of the places whose nodes run from the start. One more is for the node that is started last.
    pub fn slots(&self) -> std::ops::Range<usize> {
        0..self.settings.nodes as usize
    }

    /// The place of the node that is started last.
    pub fn last_slot(&self) -> usize {
        self.settings.nodes as usize
    }

    /// Starts a node in a place that has none, and tells its number. It connects later.
    pub fn start_node(&self, slot: usize) -> u32 {
        let node = self.next.fetch_add(1, Ordering::Relaxed);
        let settings = NodeSettings {
            node,
            socket: self.directory.path().join("socket"),
            url: format!("redis://{}", self.slots[slot].proxy.address()),
            keys: self.settings.keys,
            reads_per_second: if slot == self.last_slot() { 0 } else { self.settings.reads_per_second },
            seed: self.settings.seed.wrapping_add(u64::from(node)),
            timings: self.settings.timings,
            breakage: self.settings.breakage,
        };
        self.shared.views.send_modify(|views| drop(views.insert(node, NodeView { slot, ..NodeView::default() })));
        let settings = serde_json::to_string(&settings).expect("settings of numbers and text can be written");
        let process = Process::builder(&self.settings.program).argument("node").argument(settings).spawn();
        *self.lock_process(slot) = Some((node, process));
        node
    }

    /// Kills the node of a place. One that is gone already was not killed.
    pub fn kill(&self, slot: usize) {
        let Some((node, mut process)) = self.lock_process(slot).take() else { return };
        if process.is_running() {
            // Before it is gone, so that nobody takes it for one that died by itself.
            self.shared.change(node, |view| view.killed = !view.gone);
        }
    }

    /// Stops the node of a place.
    pub fn stop(&self, slot: usize) {
        if let Some((_, process)) = &*self.lock_process(slot) {
            process.stop();
        }
    }

    /// Lets the node of a place go on.
    pub fn resume(&self, slot: usize) {
        if let Some((_, process)) = &*self.lock_process(slot) {
            process.resume();
        }
    }

    /// The link of a place to the server.
    pub fn link(&self, slot: usize) -> &FaultProxy {
        &self.slots[slot].proxy
    }

    /// Leads every link to another server.
    pub async fn lead_links_to(&self, server: SocketAddr) {
        for slot in &self.slots {
            slot.proxy.lead_to(server);
            slot.proxy.sever().await;
        }
    }

    /// The number of the node in a place, if one is connected there.
    pub fn node(&self, slot: usize) -> Option<u32> {
        let node = self.lock_process(slot).as_ref().map(|(node, _)| *node)?;
        self.shared.views.borrow().get(&node).filter(|view| view.connected && !view.gone).map(|_| node)
    }

    /// Says something to a node, unless it is gone.
    pub async fn tell(&self, node: u32, message: ToNode) -> bool {
        let link = self.shared.lock_links().get(&node).cloned();
        match link {
            Some(link) => link.send(message).await.is_ok(),
            None => false,
        }
    }

    /// What is known of all nodes that were ever started.
    pub fn views(&self) -> BTreeMap<u32, NodeView> {
        self.shared.views.borrow().clone()
    }

    /// Waits until every node that runs has said, after this call, that it is well.
    ///
    /// # Errors
    ///
    /// They do not for a minute.
    pub async fn wait_until_well(&self) -> Result<(), String> {
        let now = Moment::now();
        let is_well = |view: &NodeView| view.health.is_some_and(|(at, health)| at > now && health.well);
        self.wait_for("the nodes to be well", |views| views.values().all(|view| view.gone || is_well(view))).await
    }

    /// Waits until what is known of the nodes is as `reached` wants it.
    ///
    /// # Errors
    ///
    /// It is not for a minute.
    pub async fn wait_for(&self, what: &str, reached: impl Fn(&BTreeMap<u32, NodeView>) -> bool) -> Result<(), String> {
        let mut views = self.shared.views.subscribe();
        let waited = timeout(PATIENCE, views.wait_for(|views| reached(views))).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(format!("waited {PATIENCE:?} for {what} in vain")),
        }
    }

    fn lock_process(&self, slot: usize) -> MutexGuard<'_, Option<(u32, Process)>> {
        self.slots[slot].process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}
