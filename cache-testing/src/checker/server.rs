//! The Redis that the nodes share, and what can happen to it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::keys::Keys;
use crate::proxy::{Direction, Flow};
use crate::resp::Connection;
use crate::{FaultProxy, RedisServer};

/// How often a replica is asked whether it is in step.
const REPLICA_INTERVAL: Duration = Duration::from_millis(10);

/// How long a replica may take to be in step.
const REPLICA_PATIENCE: Duration = Duration::from_secs(30);

/// A server without persistence of its own: restarted, it is empty.
#[derive(Debug)]
pub struct Server {
    primary: Mutex<Arc<RedisServer>>,
    replica: Mutex<Option<Arc<RedisServer>>>,
    /// What the replica hears of the server comes through here.
    replication: FaultProxy,
}

impl Server {
    /// Starts a server. Needs a Tokio runtime with its I/O driver.
    pub fn start() -> Self {
        let primary = Arc::new(RedisServer::start());
        let replication = FaultProxy::start(primary.address());
        Self { primary: Mutex::new(primary), replica: Mutex::default(), replication }
    }

    /// Starts a server and a replica of it, which follows some time later.
    pub fn start_with_replica() -> Self {
        let server = Self::start();
        let replica = Arc::new(RedisServer::start());
        server.replicate_to(&replica);
        *server.replica.lock().unwrap_or_else(PoisonError::into_inner) = Some(replica);
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.primary().address()
    }

    /// A connection past all links.
    ///
    /// # Errors
    ///
    /// The server cannot be reached.
    pub fn connect(&self) -> io::Result<Connection> {
        self.primary().connect()
    }

    /// It answers nothing until it is resumed.
    pub fn stop(&self) {
        self.primary().stop();
    }

    /// It goes on.
    pub fn resume(&self) {
        self.primary().resume();
    }

    /// It is gone with all it held.
    pub fn kill(&self) {
        self.primary().kill();
    }

    /// It is back, and empty.
    pub fn restart(&self) {
        self.primary().restart();
    }

    /// Keeps what it holds for [`restart_from_snapshot`](Self::restart_from_snapshot).
    pub fn save(&self) {
        self.run(&["SAVE"]);
    }

    /// It is back with what it held when it was last [saved](Self::save).
    pub fn restart_from_snapshot(&self) {
        self.primary().restart_from_snapshot();
    }

    /// Keeps from the replica what happens from now on.
    pub fn hold_replication(&self) {
        self.replication.set(Direction::ToClient, Flow::Hold);
    }

    /// Drops what was kept from the replica.
    pub async fn drop_replication(&self) {
        self.replication.cut().await;
    }

    /// Makes the replica take the place of the server after that was [killed](Self::kill).
    ///
    /// # Panics
    ///
    /// There is no replica.
    pub fn promote(&self) {
        let replica = self.replica();
        replica.cli(&["REPLICAOF", "NO", "ONE"]);
        let mut primary = self.primary.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *primary, replica);
        *self.replica.lock().unwrap_or_else(PoisonError::into_inner) = Some(old);
    }

    /// Brings the server whose place was taken back, as a replica.
    pub fn rejoin(&self) {
        let replica = self.replica();
        replica.restart();
        self.replicate_to(&replica);
    }

    /// Lets the replica hear of the server that is there now.
    pub async fn resume_replication(&self) {
        self.replication.lead_to(self.address());
        self.replication.pass().await;
    }

    /// Waits until the replica follows. A replica that is promoted while it is not would lose more than the newest writes.
    pub fn wait_for_replica(&self) {
        wait_until_in_step(&self.replica());
    }

    fn replicate_to(&self, replica: &RedisServer) {
        replica.cli(&["REPLICAOF", "127.0.0.1", &self.replication.port().to_string()]);
    }

    fn primary(&self) -> Arc<RedisServer> {
        Arc::clone(&self.primary.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn replica(&self) -> Arc<RedisServer> {
        let replica = self.replica.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(replica.as_ref().expect("a server with failovers was started with a replica"))
    }

    /// Closes the connections that have subscribed to something.
    pub fn kill_subscribers(&self) {
        self.run(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    }

    /// Closes the other connections.
    pub fn kill_clients(&self) {
        self.run(&["CLIENT", "KILL", "TYPE", "normal"]);
    }

    /// Removes everything.
    pub fn flush(&self) {
        self.run(&["FLUSHALL"]);
    }

    /// Removes the journal alone.
    pub fn delete_journal(&self) {
        self.run(&["DEL", &Keys::journal_in_redis()]);
    }

    /// Removes what keeps the position of the journal's last record alone.
    pub fn delete_position(&self) {
        self.run(&["DEL", &Keys::last_in_redis()]);
    }

    /// Removes the rules alone.
    pub fn delete_rules(&self) {
        self.run(&["DEL", &Keys::rules_in_redis()]);
    }

    /// Panics where the server refuses: a fault that was not injected would be counted as one that was.
    fn run(&self, command: &[&str]) {
        self.primary().cli(command);
    }
}

fn wait_until_in_step(replica: &RedisServer) {
    let deadline = Instant::now() + REPLICA_PATIENCE;
    while !replica.cli(&["INFO", "replication"]).lines().any(|line| line.trim_end() == "master_link_status:up") {
        assert!(Instant::now() < deadline, "the replica is not in step after {REPLICA_PATIENCE:?}");
        thread::sleep(REPLICA_INTERVAL);
    }
}
