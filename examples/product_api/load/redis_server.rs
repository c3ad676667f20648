//! The Redis of the cached side.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const START: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// A Redis that all nodes share; a server started for this run ends with it.
pub(crate) struct SharedRedis {
    pub(crate) url: String,
    _server: Option<Child>,
}

impl SharedRedis {
    /// The server that `CACHE_REDIS_URL` names, else one of our own, else none, which it says.
    pub(crate) async fn find_or_start(directory: &Path) -> anyhow::Result<Option<Self>> {
        if let Some(url) = crate::redis_url() {
            println!("L2: the Redis of CACHE_REDIS_URL.");
            return Ok(Some(Self { url, _server: None }));
        }
        match start(directory).await? {
            Some(redis) => {
                println!("L2: a redis-server of this run, {}.", redis.url);
                Ok(Some(redis))
            }
            None => {
                println!(
                    "L2: none, so one node with L1 only. Install redis-server or set CACHE_REDIS_URL for two nodes."
                );
                Ok(None)
            }
        }
    }
}

async fn start(directory: &Path) -> anyhow::Result<Option<SharedRedis>> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let server = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no", "--dir"])
        .arg(directory)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    match server {
        Ok(mut server) => {
            wait_until_up(&mut server, port).await?;
            Ok(Some(SharedRedis { url: format!("redis://127.0.0.1:{port}"), _server: Some(server) }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("cannot start redis-server"),
    }
}

async fn wait_until_up(server: &mut Child, port: u16) -> anyhow::Result<()> {
    let connected = async {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::select! {
        up = tokio::time::timeout(START, connected) => up.context("redis-server does not accept connections after 5 s"),
        status = server.wait() => bail!("redis-server ended at its start: {}", status?),
    }
}
