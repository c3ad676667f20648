//! Makes the faults happen, heals them, and keeps a log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

use super::faults::{Episode, Fault, FaultKind, Schedule, Target};
use super::fleet::Fleet;
use super::history::{History, Stretch};
use super::ledger::Ledger;
use super::moment::Moment;
use super::server::Server;
use crate::proxy::{Direction, Flow};

/// Subscribers are killed again as soon as they may have come back.
const KILL_INTERVAL: Duration = Duration::from_millis(200);

/// What can be done to the server. It blocks for some milliseconds.
type Action = fn(&Server);

/// A fault that happened.
#[derive(Debug, Clone, Copy)]
pub struct Incident {
    /// What it was.
    pub fault: Fault,
    /// From when to when.
    pub stretch: Stretch,
}

/// What faults befall.
#[derive(Debug, Clone)]
pub struct Injector {
    /// The nodes and their links.
    pub fleet: Arc<Fleet>,
    /// The server.
    pub server: Arc<Server>,
    /// Where it is noted that a server has lost writes, and when all is well.
    pub ledger: Arc<Mutex<Ledger>>,
    /// When every fault is to end.
    pub end: Instant,
}

impl Injector {
    /// Injects faults until the end, and tells them in order of their ends. All are healed when it returns.
    ///
    /// # Errors
    ///
    /// The nodes are not well within a minute after the faults were healed.
    pub async fn inject(&self, schedule: &mut Schedule) -> Result<Vec<Incident>, String> {
        let mut incidents = Vec::new();
        loop {
            self.fleet.wait_until_well().await?;
            self.note(History::becomes_well);
            let Episode { quiet, faults } = schedule.next_episode();
            sleep_until(self.end.min(Instant::now() + quiet)).await;
            self.note(History::ceases_to_be_well);
            if Instant::now() >= self.end {
                return Ok(incidents);
            }
            let faults: Vec<_> = faults.into_iter().map(|fault| tokio::spawn(self.clone().happen(fault))).collect();
            for fault in faults {
                incidents.push(fault.await.map_err(|error| format!("a fault could not be injected: {error}"))?);
            }
        }
    }

    async fn happen(self, fault: Fault) -> Incident {
        sleep(fault.after).await;
        let from = Moment::now();
        let until = self.end.min(Instant::now() + fault.lasts);
        match (fault.target, fault.kind) {
            (Target::Link(slot), _) => befall_link(fault, &self.fleet, slot, until).await,
            (Target::Process(slot), kind) => befall_process(kind, &self.fleet, slot, until).await,
            (Target::Server, FaultKind::Failover) => self.fail_over(fault.delay, until).await,
            (Target::Server, FaultKind::RollBack) => self.roll_back(fault.delay * 5).await,
            (Target::Server, kind) => befall_server(kind, &self.server, until).await,
        }
        Incident { fault, stretch: Stretch { from, to: Moment::now() } }
    }

    /// The replica takes over without what happened in the `lag` before.
    async fn fail_over(&self, lag: Duration, until: Instant) {
        run(&self.server, Server::wait_for_replica).await;
        self.server.hold_replication();
        sleep(lag).await;
        run(&self.server, Server::kill).await;
        self.server.drop_replication().await;
        self.note_loss();
        run(&self.server, Server::promote).await;
        self.server.resume_replication().await;
        self.fleet.lead_links_to(self.server.address()).await;
        sleep_until(until).await;
        run(&self.server, Server::rejoin).await;
    }

    /// The server comes back at once, without what happened in the `age` before. Were it away as well, old values would rise
    /// when the bound on them is over, which counts from the writes.
    async fn roll_back(&self, age: Duration) {
        run(&self.server, Server::save).await;
        sleep(age).await;
        run(&self.server, Server::kill).await;
        self.note_loss();
        run(&self.server, Server::restart_from_snapshot).await;
    }

    /// From here on nothing reaches the old server, and nothing has been read from the one in its place.
    fn note_loss(&self) {
        self.note(|history| history.failovers.push(Moment::now()));
    }

    fn note(&self, note: impl FnOnce(&mut History)) {
        note(self.ledger.lock().unwrap_or_else(PoisonError::into_inner).history());
    }
}

async fn befall_link(fault: Fault, fleet: &Fleet, slot: usize, until: Instant) {
    let link = fleet.link(slot);
    match fault.kind {
        FaultKind::CutLink => link.cut().await,
        FaultKind::SeverLink => link.sever().await,
        FaultKind::DeafLink => link.set(Direction::ToClient, Flow::Hold),
        FaultKind::MuteLink => link.set(Direction::ToServer, Flow::Hold),
        FaultKind::BlackHole => link.pause(),
        _ => {
            link.set(Direction::ToClient, Flow::Delay(fault.delay));
            link.set(Direction::ToServer, Flow::Delay(fault.delay));
        }
    }
    sleep_until(until).await;
    link.pass().await;
}

/// Killing and stopping wait for the process to have ended or to stand still, which takes no time worth a thread.
async fn befall_process(kind: FaultKind, fleet: &Fleet, slot: usize, until: Instant) {
    if kind == FaultKind::KillNode {
        fleet.kill(slot);
        sleep_until(until).await;
        fleet.start_node(slot);
    } else {
        fleet.stop(slot);
        sleep_until(until).await;
        fleet.resume(slot);
    }
}

async fn befall_server(kind: FaultKind, server: &Arc<Server>, until: Instant) {
    let (begin, end): (Action, Action) = match kind {
        FaultKind::StopServer => (Server::stop, Server::resume),
        FaultKind::RestartServer => (Server::kill, Server::restart),
        FaultKind::KillSubscribers => (Server::kill_subscribers, Server::kill_subscribers),
        FaultKind::KillClients => (Server::kill_clients, |_| ()),
        FaultKind::Flush => (Server::flush, |_| ()),
        FaultKind::DeleteJournal => (Server::delete_journal, |_| ()),
        FaultKind::DeletePosition => (Server::delete_position, |_| ()),
        _ => (Server::delete_rules, |_| ()),
    };
    run(server, begin).await;
    while kind == FaultKind::KillSubscribers && Instant::now() + KILL_INTERVAL < until {
        sleep(KILL_INTERVAL).await;
        run(server, begin).await;
    }
    sleep_until(until).await;
    run(server, end).await;
}

async fn run(server: &Arc<Server>, action: Action) {
    let server = Arc::clone(server);
    spawn_blocking(move || action(&server)).await.expect("the server does what it is told");
}
