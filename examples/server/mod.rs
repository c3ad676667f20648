//! The Redis that an example runs against: the one that is there, or one of its own.

use std::process::{Command, Stdio};

use cache_testing::RedisServer;

/// A server, and whether the example may kill it.
pub(crate) enum Server {
    /// Named by `CACHE_REDIS_URL`.
    Given(String),
    /// Started for this example; it ends with it.
    Own(RedisServer),
}

impl Server {
    /// The server of `CACHE_REDIS_URL`, else a new one that keeps its data over a restart.
    pub(crate) fn find() -> anyhow::Result<Self> {
        if let Ok(url) = std::env::var("CACHE_REDIS_URL")
            && !url.is_empty()
        {
            return Ok(Self::Given(url));
        }
        let mut version = Command::new("redis-server");
        match version.arg("--version").stdout(Stdio::null()).status() {
            Ok(status) if status.success() => Ok(Self::Own(RedisServer::builder().append_only().start())),
            _ => anyhow::bail!(
                "this example needs Redis: set CACHE_REDIS_URL (such as redis://127.0.0.1:6379) to use one that runs, or install \
                 redis-server (such as by apt-get install redis-server) to have one started"
            ),
        }
    }

    /// Where the server is.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Given(url) => url.clone(),
            Self::Own(server) => server.url(),
        }
    }
}
