//! The Redis that the nodes share, and what can happen to it.
//!
//! A failover belongs here: a replica beside the server, and a change of what the nodes' links lead to.

use std::io;
use std::net::SocketAddr;

use super::keys::Keys;
use crate::RedisServer;
use crate::resp::Connection;

/// A server without persistence: restarted, it is empty.
#[derive(Debug)]
pub struct Server {
    redis: RedisServer,
}

impl Server {
    /// Starts a server.
    pub fn start() -> Self {
        Self { redis: RedisServer::start() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.redis.address()
    }

    /// A connection past all links.
    ///
    /// # Errors
    ///
    /// The server cannot be reached.
    pub fn connect(&self) -> io::Result<Connection> {
        self.redis.connect()
    }

    /// It answers nothing until it is resumed.
    pub fn stop(&self) {
        self.redis.stop();
    }

    /// It goes on.
    pub fn resume(&self) {
        self.redis.resume();
    }

    /// It is gone with all it held.
    pub fn kill(&self) {
        self.redis.kill();
    }

    /// It is back, and empty.
    pub fn restart(&self) {
        self.redis.restart();
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
        self.redis.cli(command);
    }
}
