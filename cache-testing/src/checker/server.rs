//! The Redis that the nodes share, and what can happen to it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::keys::Keys;
use crate::RedisServer;
use crate::resp::Connection;

/// How often a replica is asked whether it is in step.
const REPLICA_INTERVAL: Duration = Duration::from_millis(10);

/// How long a replica may take to be in step.
const REPLICA_PATIENCE: Duration = Duration::from_secs(30);

/// A server without persistence: restarted, it is empty.
#[derive(Debug)]
pub struct Server {
    primary: Mutex<Arc<RedisServer>>,
    replica: Mutex<Option<Arc<RedisServer>>>,
}

impl Server {
    /// Starts a server.
    pub fn start() -> Self {
        Self { primary: Mutex::new(Arc::new(RedisServer::start())), replica: Mutex::default() }
    }

    /// Starts a server and a replica of it.
    pub fn start_with_replica() -> Self {
        let server = Self::start();
        let replica = Arc::new(RedisServer::start());
        replicate(&replica, &server.primary());
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
        replicate(&replica, &self.primary());
    }

    /// Waits until the replica follows. A replica that is promoted while it is not would lose more than the newest writes.
    pub fn wait_for_replica(&self) {
        wait_until_in_step(&self.replica());
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

    /// Removes the rules alone.
    pub fn delete_rules(&self) {
        self.run(&["DEL", &Keys::rules_in_redis()]);
    }

    /// Panics where the server refuses: a fault that was not injected would be counted as one that was.
    fn run(&self, command: &[&str]) {
        self.primary().cli(command);
    }
}

fn replicate(replica: &RedisServer, primary: &RedisServer) {
    replica.cli(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    wait_until_in_step(replica);
}

fn wait_until_in_step(replica: &RedisServer) {
    let deadline = Instant::now() + REPLICA_PATIENCE;
    while !replica.cli(&["INFO", "replication"]).lines().any(|line| line.trim_end() == "master_link_status:up") {
        assert!(Instant::now() < deadline, "the replica is not in step after {REPLICA_PATIENCE:?}");
        thread::sleep(REPLICA_INTERVAL);
    }
}
