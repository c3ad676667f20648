//! A Redis Cluster for one test.

use std::thread;
use std::time::{Duration, Instant};

use super::RedisServer;
use crate::port::Port;

/// How long a primary has to be silent before a replica takes over. Shorter ones are reached on a busy machine by servers
/// that are well.
const NODE_TIMEOUT: Duration = Duration::from_millis(2_000);

/// Servers find out about each other in the background.
const PATIENCE: Duration = Duration::from_secs(60);

const SLOTS: usize = 16_384;

/// Primaries that share the slots, each with the same number of replicas. It dies with its owner, as its servers do.
///
/// All methods block, and may be called from async tests.
#[derive(Debug)]
pub struct RedisCluster {
    primaries: Vec<RedisServer>,
    /// Those of the first primary, then those of the second, and so on.
    replicas: Vec<RedisServer>,
    /// Where the servers talk to each other.
    _ports: Vec<Port>,
}

impl RedisCluster {
    /// Starts a cluster of three primaries without replicas, and waits until all of it answers.
    pub fn start() -> Self {
        Self::with_replicas(0)
    }

    /// Starts a cluster of three primaries with `each` replicas, and waits until all of it answers.
    pub fn with_replicas(each: usize) -> Self {
        let (mut ports, mut servers) = (Vec::new(), Vec::new());
        for _ in 0..3 + 3 * each {
            let (server, port) = Self::server();
            ports.push(port);
            servers.push(server);
        }
        let replicas = servers.split_off(3);
        let cluster = Self { primaries: servers, replicas, _ports: ports };
        cluster.join();
        cluster
    }

    /// Starts a server that belongs to no cluster yet, and gives the port on which it talks to others.
    pub fn server() -> (RedisServer, Port) {
        let port = Port::reserve();
        let server = RedisServer::builder()
            .directive("cluster-enabled", "yes")
            .directive("cluster-port", &port.number().to_string())
            .directive("cluster-node-timeout", &NODE_TIMEOUT.as_millis().to_string())
            .directive("cluster-replica-validity-factor", "0")
            .directive("repl-diskless-sync-delay", "0")
            .start();
        (server, port)
    }

    /// The servers that were made primaries.
    pub fn primaries(&self) -> &[RedisServer] {
        &self.primaries
    }

    /// The servers that were made replicas: those of the first primary first.
    pub fn replicas(&self) -> &[RedisServer] {
        &self.replicas
    }

    /// The URLs of all servers.
    pub fn urls(&self) -> Vec<String> {
        self.servers().map(RedisServer::url).collect()
    }

    /// The slot of a key.
    pub fn slot_of(&self, key: &str) -> u16 {
        self.primaries[0].cli(&["CLUSTER", "KEYSLOT", key]).parse().expect("a slot is a number")
    }

    /// Which primary was given the slot of a key at the start.
    pub fn primary_of(&self, key: &str) -> usize {
        let slot = usize::from(self.slot_of(key));
        (0..3).find(|at| (SLOTS * at / 3..SLOTS * (at + 1) / 3).contains(&slot)).expect("every slot has a primary")
    }

    /// Begins to move a slot between two primaries: from now on, keys that are not at the first are asked for at the second.
    pub fn begin_move(&self, slot: u16, from: &RedisServer, to: &RedisServer) {
        let slot = slot.to_string();
        to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
        from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
    }

    /// Moves the keys of a slot.
    pub fn move_keys(&self, slot: u16, from: &RedisServer, to: &RedisServer) {
        loop {
            let keys = from.cli(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "100"]);
            let keys: Vec<&str> = keys.lines().filter(|key| !key.is_empty()).collect();
            if keys.is_empty() {
                return;
            }
            let port = to.port().to_string();
            let command = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            from.cli(&command.into_iter().chain(keys).collect::<Vec<_>>());
        }
    }

    /// Ends the move of a slot: it belongs to `to`.
    pub fn end_move(&self, slot: u16, from: &RedisServer, to: &RedisServer) {
        for server in [to, from] {
            server.cli(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &id(to)]);
        }
    }

    /// Waits until `server` says that it is a primary.
    pub fn wait_for_primary(&self, server: &RedisServer) {
        let took_over = || server.cli(&["ROLE"]).starts_with("master");
        wait_or("a replica takes over", took_over, || server.cli(&["CLUSTER", "NODES"]) + "\n" + &server.log());
    }

    /// Waits until every server that runs finds that all slots are served.
    pub fn wait_until_well(&self) {
        for server in self.servers().filter(|server| server.is_running()) {
            wait("every slot is served", || server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
        }
    }

    fn join(&self) {
        let first = &self.primaries[0];
        for (at, server) in self.primaries.iter().enumerate() {
            let (from, to) = (SLOTS * at / 3, SLOTS * (at + 1) / 3 - 1);
            server.cli(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
            server.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
        }
        self.servers().skip(1).for_each(|server| meet(server, first));
        self.servers().skip(1).for_each(|server| self.introduce(server, first));
        let count = self.servers().count();
        for server in self.servers() {
            let known = || server.cli(&["CLUSTER", "NODES"]).lines().filter(|line| line.contains("connected")).count();
            wait("all servers know each other", || known() == count);
        }
        let each = self.replicas.len() / self.primaries.len();
        for (at, replica) in self.replicas.iter().enumerate() {
            replica.cli(&["CLUSTER", "REPLICATE", &id(&self.primaries[at / each])]);
        }
        for replica in &self.replicas {
            wait("a replica is up to date", || replica.cli(&["INFO", "replication"]).contains("master_link_status:up"));
        }
        self.wait_until_well();
        for server in self.servers() {
            let slots = || server.cli(&["CLUSTER", "SHARDS"]).matches("replica").count();
            wait("all servers know the replicas", || slots() >= self.replicas.len());
        }
    }

    /// Lets `server` know of `other`, and so of the whole cluster.
    pub fn introduce(&self, server: &RedisServer, other: &RedisServer) {
        let (other_id, mut met) = (id(other), Instant::now() - NODE_TIMEOUT);
        wait("a server knows another", || {
            let nodes = server.cli(&["CLUSTER", "NODES"]);
            let knows = nodes.lines().any(|line| line.starts_with(&other_id) && line.contains(" connected"));
            // It gives up on one that is busy for longer than this.
            if !knows && met.elapsed() >= NODE_TIMEOUT {
                meet(server, other);
                met = Instant::now();
            }
            knows
        });
    }

    fn servers(&self) -> impl Iterator<Item = &RedisServer> {
        self.primaries.iter().chain(&self.replicas)
    }
}

fn meet(server: &RedisServer, other: &RedisServer) {
    let port = other.cli(&["CONFIG", "GET", "cluster-port"]);
    let bus = port.lines().last().unwrap_or_default();
    server.cli(&["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string(), bus]);
}

fn id(server: &RedisServer) -> String {
    server.cli(&["CLUSTER", "MYID"])
}

/// Servers tell nobody when they have agreed, so they are asked.
pub(super) fn wait(what: &str, holds: impl FnMut() -> bool) {
    wait_or(what, holds, String::new);
}

/// As [`wait`], and says why it may have waited in vain.
pub(super) fn wait_or(what: &str, mut holds: impl FnMut() -> bool, why: impl Fn() -> String) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", why());
        thread::sleep(Duration::from_millis(5));
    }
}
