use super::{RedisServer, launch};
use crate::port::Port;
use crate::supervised::require;

/// Each attempt takes another port; more than a few that are taken mean that something else is wrong.
const ATTEMPTS: usize = 10;

/// How a [`RedisServer`] is to run.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct RedisServerBuilder {
    pub(super) append_only: bool,
    pub(super) password: Option<String>,
    pub(super) directives: Vec<String>,
    pub(super) sentinel: bool,
}

impl RedisServerBuilder {
    /// Keeps every write over a restart, in an append-only file that is synced before each reply.
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }

    /// Requires a password of the default user. Default: none.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Adds an ACL user with these rules, such as `user("app", "on >secret ~app:* +get")`.
    pub fn user(self, name: &str, rules: &str) -> Self {
        self.directive("user", &format!("{name} {rules}"))
    }

    /// Bounds the memory, with the eviction policy `allkeys-lru`. Default: unbounded.
    pub fn max_memory_bytes(self, bytes: u64) -> Self {
        self.directive("maxmemory", &bytes.to_string()).directive("maxmemory-policy", "allkeys-lru")
    }

    /// Adds a line of `redis.conf`, after the ones of this builder, so that it prevails over them.
    pub fn directive(mut self, name: &str, value: &str) -> Self {
        self.directives.push(format!("{name} {value}"));
        self
    }

    /// Runs it as a sentinel, which knows of no primary yet.
    pub(super) fn sentinel(mut self) -> Self {
        self.sentinel = true;
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    ///
    /// When `redis-server` is not installed or does not come up, with its log.
    pub fn start(self) -> RedisServer {
        require(
            launch::PROGRAM,
            "Install it with `apt-get install redis-server` (Debian) or `brew install redis` (macOS), or run scripts/test.sh.",
        );
        let directory = tempfile::Builder::new()
            .prefix("redis-server-")
            .tempdir()
            .expect("the directory for temporary files is writable");
        for _ in 0..ATTEMPTS {
            let port = Port::reserve();
            match launch::launch(&self, directory.path(), port.number()) {
                Ok(process) => return RedisServer { process: process.into(), settings: self, directory, port },
                Err(launch::Failure::PortTaken) => {}
                Err(failure) => panic!("redis-server did not start: {failure}"),
            }
        }
        panic!("redis-server found none of {ATTEMPTS} reserved ports free: something takes ports while the tests run");
    }

    /// The text of `redis.conf`.
    pub(super) fn configuration(&self, directory: &str, port: u16) -> String {
        let mut lines = vec![
            "bind 127.0.0.1".to_owned(),
            format!("port {port}"),
            format!("dir \"{directory}\""),
            format!("logfile \"{directory}/{}\"", launch::LOG),
            "daemonize no".to_owned(),
        ];
        if !self.sentinel {
            lines.push("save \"\"".to_owned());
        }
        if self.append_only {
            lines.extend(["appendonly yes".to_owned(), "appendfsync always".to_owned()]);
        }
        lines.extend(self.password.iter().map(|password| format!("requirepass \"{password}\"")));
        lines.extend(self.directives.iter().cloned());
        lines.join("\n") + "\n"
    }
}
