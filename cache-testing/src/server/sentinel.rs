//! A primary and its replicas with sentinels that watch over them, for one test.

use super::RedisServer;
use super::cluster::{wait, wait_or};

/// The name by which the sentinels know the primary.
const SERVICE: &str = "main";

/// A primary with one replica, and three sentinels, of which two have to agree. It dies with its owner, as its servers do.
///
/// All methods block, and may be called from async tests.
#[derive(Debug)]
pub struct RedisSentinels {
    sentinels: Vec<RedisServer>,
    servers: [RedisServer; 2],
}

impl RedisSentinels {
    /// Starts everything, and waits until the sentinels know of the replica and of each other.
    pub fn start() -> Self {
        let servers = [(); 2].map(|()| RedisServer::builder().directive("repl-diskless-sync-delay", "0").start());
        let [primary, replica] = &servers;
        replica.cli(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
        wait("the replica is up to date", || replica.cli(&["INFO", "replication"]).contains("master_link_status:up"));
        let sentinels: Vec<_> = (0..3).map(|_| RedisServer::builder().sentinel().start()).collect();
        for sentinel in &sentinels {
            sentinel.cli(&["SENTINEL", "MONITOR", SERVICE, "127.0.0.1", &primary.port().to_string(), "2"]);
            // A primary that is busy must not be taken for one that is gone.
            sentinel.cli(&["SENTINEL", "SET", SERVICE, "down-after-milliseconds", "2000"]);
            sentinel.cli(&["SENTINEL", "SET", SERVICE, "failover-timeout", "3000"]);
        }
        let this = Self { sentinels, servers };
        for sentinel in &this.sentinels {
            let knows = |text: &str| sentinel.cli(&["INFO", "sentinel"]).contains(text);
            wait("the sentinels know each other", || knows("slaves=1,sentinels=3"));
        }
        this
    }

    /// The name by which the sentinels know the primary.
    pub fn service(&self) -> &'static str {
        SERVICE
    }

    /// The URLs of the sentinels.
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    /// The sentinels.
    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// The server that was the primary at the start.
    pub fn primary(&self) -> &RedisServer {
        &self.servers[0]
    }

    /// The server that was its replica at the start.
    pub fn replica(&self) -> &RedisServer {
        &self.servers[1]
    }

    /// Waits until the sentinels have made the replica the primary, and all of them say so.
    pub fn wait_for_failover(&self) {
        let port = self.replica().port().to_string();
        for sentinel in &self.sentinels {
            let named = || sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE]);
            let is_named = || named().lines().any(|line| line == port);
            wait_or("the sentinels name the other server", is_named, || sentinel.cli(&["INFO", "sentinel"]));
        }
        wait("it is a primary", || self.replica().cli(&["ROLE"]).starts_with("master"));
    }
}
