//! Starting the process and knowing that it is up.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use super::RedisServerBuilder;
use crate::resp::{Connection, Reply};
use crate::supervised::Supervised;

pub(super) const PROGRAM: &str = "redis-server";
pub(super) const LOG: &str = "redis.log";
/// What `SAVE` writes, and a replica before it reads it.
pub(super) const SNAPSHOT: &str = "dump.rdb";

/// Generous, for machines that run many tests at once and servers that read a long append-only file.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Whatever holds the port may accept a probe and never answer, while the server has long ended.
const PROBE_TIMEOUT: Duration = Duration::from_millis(250);

/// Redis tells nobody when it is up, so it is asked this often.
const PROBE_INTERVAL: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(super) enum Failure {
    /// Another process bound the port after it was reserved.
    PortTaken,
    /// The process ended; its log.
    Ended(String),
    /// The process runs but does not answer; its log.
    Silent(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortTaken => write!(formatter, "another process has bound its port"),
            Self::Ended(log) => write!(formatter, "it ended; its log:\n{log}"),
            Self::Silent(log) => write!(formatter, "no answer to PING within {START_TIMEOUT:?}; its log:\n{log}"),
        }
    }
}

/// Starts a server on `port` and returns once that very process answers on it.
pub(super) fn launch(settings: &RedisServerBuilder, directory: &Path, port: u16) -> Result<Supervised, Failure> {
    let configuration = directory.join("redis.conf");
    let text = settings.configuration(&directory.to_string_lossy(), port);
    std::fs::write(&configuration, text).expect("the server's directory is writable");
    // The log of an earlier attempt would be taken for this one's.
    let _ = std::fs::remove_file(directory.join(LOG));
    let mut process = Supervised::spawn(OsStr::new(PROGRAM), |command| {
        let errors = std::fs::File::create(directory.join("stderr")).expect("the server's directory is writable");
        command
            .arg(&configuration)
            .args(settings.sentinel.then_some("--sentinel"))
            .stdout(Stdio::null())
            .stderr(errors);
    });
    let deadline = Instant::now() + START_TIMEOUT;
    while !answers(settings, port, process.id()) {
        if process.exit_status().is_some() {
            return Err(ended(directory));
        }
        if Instant::now() > deadline {
            return Err(Failure::Silent(log(directory)));
        }
        thread::sleep(PROBE_INTERVAL);
    }
    Ok(process)
}

pub(super) fn connect(settings: &RedisServerBuilder, port: u16, timeout: Duration) -> io::Result<Connection> {
    let mut connection = Connection::open_with_timeout(port, timeout)?;
    if let Some(password) = &settings.password {
        let reply = connection.command(&["AUTH", password])?;
        assert_eq!(reply, Reply::Status("OK".to_owned()), "the default user's password is the one that was set");
    }
    Ok(connection)
}

pub(super) fn log(directory: &Path) -> String {
    let read = |name| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    read(LOG) + &read("stderr")
}

fn ended(directory: &Path) -> Failure {
    let log = log(directory);
    if log.contains("Address already in use") { Failure::PortTaken } else { Failure::Ended(log) }
}

/// Whether the process `id`, and not some other server on its port, has finished loading and executes commands.
fn answers(settings: &RedisServerBuilder, port: u16, id: u32) -> bool {
    let Ok(mut connection) = connect(settings, port, PROBE_TIMEOUT) else { return false };
    let ready = connection.command(&["PING"]).is_ok_and(|reply| reply == Reply::Status("PONG".to_owned()));
    let own_line = format!("process_id:{id}");
    ready
        && connection
            .command(&["INFO", "server"])
            .is_ok_and(|reply| reply.to_text().lines().any(|line| line == own_line))
}
