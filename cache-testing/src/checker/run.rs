//! A whole run: start everything, let it go wrong, heal it, look at what is left, and judge.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::check::{Verdict, check};
use super::faults::{FaultKind, Schedule};
use super::fleet::{Fleet, FleetSettings, NodeView};
use super::history::History;
use super::injector::{Incident, Injector};
use super::keys::Keys;
use super::ledger::Ledger;
use super::message::{Breakage, Stall, Timings, ToNode};
use super::probe::Probe;
use super::server::Server;
use super::source::Source;
use super::stalls::StallWatch;
use super::writers::Writers;

/// What is allowed on top of the bound that the services state: a heartbeat that is noticed to be missing is noticed by a
/// process that must get a processor first. The report says how long one had to wait at the most.
pub const ALLOWANCE: Duration = Duration::from_millis(500);

/// How long a delivery may take while all is well, on top of the longest stall of a process in that stretch of time. It takes
/// some milliseconds where processors are free. The server stalls like any process, and nobody sees by how much.
pub const DELIVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether all that was queued has been delivered.
const SETTLE_INTERVAL: Duration = Duration::from_millis(50);

/// How long that may take.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);

/// What is to be run.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// The program that becomes a node: see [`FleetSettings::program`].
    pub program: PathBuf,
    /// For how long faults are injected. The end of a run, in which all is healed and audited, comes on top.
    pub duration: Duration,
    /// What every random choice follows. Which interleaving comes of them is up to the machine.
    pub seed: u64,
    /// How many nodes run at once.
    pub nodes: u32,
    /// How many keys there are.
    pub keys: u32,
    /// How many reads all nodes together make each second, at the most.
    pub reads_per_second: u32,
    /// How many writes are made each second.
    pub writes_per_second: u32,
    /// The intervals of the nodes.
    pub timings: Timings,
    /// Which faults may come.
    pub faults: BTreeSet<FaultKind>,
    /// How the nodes are broken.
    pub breakage: Breakage,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was run.
    pub settings: RunSettings,
    /// What happened.
    pub history: History,
    /// Calls that returned `Done`.
    pub done: u64,
    /// Calls that returned `Queued`.
    pub queued: u64,
    /// What went wrong, on purpose.
    pub incidents: Vec<Incident>,
    /// The nodes, as they were at their end.
    pub nodes: Vec<NodeView>,
    /// Values that were read in Redis itself.
    pub probed: u64,
    /// For how long an older value may be read.
    pub bound: Duration,
    /// The judgement.
    pub verdict: Verdict,
}

/// The parts of a run.
struct Run {
    server: Arc<Server>,
    source: Arc<Source>,
    ledger: Arc<Mutex<Ledger>>,
    fleet: Arc<Fleet>,
    settings: RunSettings,
}

/// Runs.
///
/// # Errors
///
/// The run could not be brought to its end, so nothing can be said about the promises.
pub async fn run(settings: RunSettings) -> Result<Outcome, String> {
    let stalls = StallWatch::start();
    let run = Run::start(settings).await?;
    let keys = Keys { count: run.settings.keys };
    let probe = Probe::start(Arc::clone(&run.server), Arc::clone(&run.ledger), keys, run.settings.seed);
    let incidents = run.disturb(keys).await?;
    let bound = run.fleet.views().values().filter_map(|view| view.bound).max().unwrap_or_default() + ALLOWANCE;
    run.audit(bound).await?;
    let probed = probe.finish();
    run.finish_nodes().await?;
    Ok(run.close(incidents, bound, probed, stalls.finish()))
}

impl Run {
    async fn start(settings: RunSettings) -> Result<Self, String> {
        let has_failovers = settings.faults.contains(&FaultKind::Failover);
        let server = Arc::new(if has_failovers { Server::start_with_replica() } else { Server::start() });
        let source = Arc::new(Source::new(settings.keys));
        let ledger = Arc::new(Mutex::new(Ledger::new(Arc::clone(&source))));
        let fleet = FleetSettings {
            program: settings.program.clone(),
            nodes: settings.nodes,
            keys: settings.keys,
            reads_per_second: settings.reads_per_second / settings.nodes.max(1),
            seed: settings.seed,
            timings: settings.timings,
            breakage: settings.breakage,
        };
        let fleet = Fleet::start(fleet, &server, Arc::clone(&source), Arc::clone(&ledger)).await?;
        Ok(Self { server, source, ledger, fleet: Arc::new(fleet), settings })
    }

    /// Reads, writes and faults, until the time is over.
    async fn disturb(&self, keys: Keys) -> Result<Vec<Incident>, String> {
        let settings = &self.settings;
        let end = Instant::now() + settings.duration;
        let mut writers = Writers {
            fleet: Arc::clone(&self.fleet),
            source: Arc::clone(&self.source),
            ledger: Arc::clone(&self.ledger),
            keys,
            per_second: settings.writes_per_second,
            random: fastrand::Rng::with_seed(settings.seed),
        };
        let mut schedule = Schedule::new(settings.seed, settings.nodes as usize, &settings.faults);
        let injector = Injector {
            fleet: Arc::clone(&self.fleet),
            server: Arc::clone(&self.server),
            ledger: Arc::clone(&self.ledger),
            end,
        };
        let ((), incidents) = tokio::join!(writers.write_until(end), injector.inject(&mut schedule));
        incidents
    }

    /// Waits until everything is delivered and the bound has passed, and lets every node and a new one read every key.
    async fn audit(&self, bound: Duration) -> Result<(), String> {
        let settled = async {
            while !self.lock_ledger(|ledger| ledger.is_settled()) {
                sleep(SETTLE_INTERVAL).await;
            }
        };
        // What is not delivered by then is a violation, and reported as one.
        let _ = tokio::time::timeout(SETTLE_PATIENCE, settled).await;
        self.tell_all(ToNode::BeCalm).await;
        sleep(bound).await;
        let last = self.fleet.start_node(self.fleet.last_slot());
        let connected = |view: Option<&NodeView>| view.is_some_and(|view| view.connected);
        self.fleet.wait_for("the last node", |views| connected(views.get(&last))).await?;
        self.fleet.wait_until_well().await?;
        let nodes = self.tell_all(ToNode::Audit).await;
        self.lock_ledger(|ledger| ledger.history().audited = nodes);
        self.fleet.wait_for("the audit", |views| views.values().all(|view| view.gone || view.audited)).await
    }

    async fn finish_nodes(&self) -> Result<(), String> {
        self.tell_all(ToNode::Finish).await;
        self.fleet.wait_for("the nodes to finish", |views| views.values().all(|view| view.gone || view.finished)).await
    }

    /// Tells all nodes that run, and says which they are.
    async fn tell_all(&self, message: ToNode) -> Vec<u32> {
        let mut told = Vec::new();
        for node in (0..=self.fleet.last_slot()).filter_map(|slot| self.fleet.node(slot)) {
            if self.fleet.tell(node, message.clone()).await {
                told.push(node);
            }
        }
        told
    }

    fn close(self, incidents: Vec<Incident>, bound: Duration, probed: u64, own_stalls: Vec<Stall>) -> Outcome {
        let (mut history, done, queued) =
            self.lock_ledger(|ledger| (ledger.close(), ledger.done, ledger.queued_in_all));
        let views = self.fleet.views();
        history.died = views.iter().filter(|(_, view)| view.died()).map(|(node, _)| *node).collect();
        let nodes: Vec<NodeView> = views.into_values().collect();
        history.stalls = own_stalls;
        history.fence_ttl = self.settings.timings.fence_ttl;
        let losses = incidents.iter().filter(|incident| incident.fault.kind.loses_fences());
        history.losses = losses.map(|incident| incident.stretch).collect();
        for node in &nodes {
            history.stalls.extend(node.stalls.iter().filter(|stall| !is_a_fault(node, stall, &incidents)));
        }
        let verdict = check(&history, bound, DELIVERY);
        Outcome { settings: self.settings, history, done, queued, incidents, nodes, probed, bound, verdict }
    }

    fn lock_ledger<R>(&self, act: impl FnOnce(&mut Ledger) -> R) -> R {
        act(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether the node was late because it was stopped on purpose.
fn is_a_fault(node: &NodeView, stall: &Stall, incidents: &[Incident]) -> bool {
    let stopped = super::faults::Target::Process(node.slot);
    incidents.iter().filter(|incident| incident.fault.target == stopped).any(|incident| {
        let stretch = incident.stretch;
        stretch.from <= stall.end && stall.end.since(stretch.to) <= stall.duration
    })
}
