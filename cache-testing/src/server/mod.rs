//! A real `redis-server` for one test.

mod builder;
mod cluster;
mod launch;
mod monitor;
mod sentinel;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use builder::RedisServerBuilder;
pub use cluster::RedisCluster;
pub use monitor::{Monitor, MonitoredCommand};
pub use sentinel::RedisSentinels;

use crate::port::Port;
use crate::resp::{Connection, REPLY_TIMEOUT, Reply};
use crate::supervised::Supervised;

/// A `redis-server` on a port of its own of 127.0.0.1, in a directory of its own, without persistence unless asked for.
///
/// It dies with its owner: on drop (also while stopped, also in a panic), and with the test's process in whatever way that
/// ends. Its port stays reserved while it is down, so that clients never reach another test's server there.
///
/// All methods block for some milliseconds, and may be called from async tests.
#[derive(Debug)]
pub struct RedisServer {
    /// Declared before the directory, so that the server has ended when its directory is removed.
    process: Mutex<Supervised>,
    settings: RedisServerBuilder,
    directory: tempfile::TempDir,
    port: Port,
}

impl RedisServer {
    /// Starts a server with the defaults and waits until it answers.
    ///
    /// # Panics
    ///
    /// When `redis-server` is not installed or does not come up, with its log.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Starts a server otherwise than with the defaults.
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    /// The port it listens on, the same for the server's whole life.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// The `redis://` URL, with the password of the default user where there is one.
    pub fn url(&self) -> String {
        self.url_at(self.port())
    }

    /// The URL of this server as seen through another port, such as a fault proxy's.
    pub fn url_at(&self, port: u16) -> String {
        match &self.settings.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{port}"),
            None => format!("redis://127.0.0.1:{port}"),
        }
    }

    /// Kills the server with `SIGKILL`. Its connections are closed when this returns.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Stops the server with `SIGSTOP`: it accepts connections and answers nothing. It stands still when this returns.
    ///
    /// # Panics
    ///
    /// When the server was killed.
    pub fn stop(&self) {
        self.process().stop();
    }

    /// Lets a stopped server go on.
    ///
    /// # Panics
    ///
    /// When the server was killed.
    pub fn resume(&self) {
        self.process().resume();
    }

    /// Kills the server if it runs, starts it again on the same port and waits until it answers. It is empty unless it
    /// was built with [`append_only`](RedisServerBuilder::append_only).
    pub fn restart(&self) {
        self.relaunch(|directory| {
            // A replica leaves what it was sent of its primary there, and would rise again from it.
            let _ = std::fs::remove_file(directory.join(launch::SNAPSHOT));
        });
    }

    /// Kills the server if it runs, starts it again on the same port with what it held at the last `SAVE`, and waits until
    /// it answers. An [append-only](RedisServerBuilder::append_only) one comes back with what it held last.
    pub fn restart_from_snapshot(&self) {
        self.relaunch(|_| ());
    }

    fn relaunch(&self, prepare: impl FnOnce(&Path)) {
        let mut process = self.process();
        process.kill();
        prepare(self.directory.path());
        *process = launch::launch(&self.settings, self.directory.path(), self.port())
            .unwrap_or_else(|failure| panic!("redis-server did not restart: {failure}"));
    }

    /// Whether the server's process runs; a stopped one does.
    pub fn is_running(&self) -> bool {
        self.process().exit_status().is_none()
    }

    /// Runs a command and returns its reply as `redis-cli` prints it.
    ///
    /// # Panics
    ///
    /// When the server answers with an error or not within ten seconds.
    pub fn cli(&self, arguments: &[&str]) -> String {
        match self.command(arguments) {
            Ok(Reply::Error(error)) => panic!("{arguments:?} failed: {error}"),
            Ok(reply) => reply.to_text(),
            Err(error) => panic!("{arguments:?} got no reply: {error}"),
        }
    }

    /// Runs a command on a connection of its own and returns its reply as it is.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or does not answer within ten seconds.
    pub fn command<A: AsRef<[u8]>>(&self, arguments: &[A]) -> io::Result<Reply> {
        self.connect()?.command(arguments)
    }

    /// Opens a connection, authenticated as the default user.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached.
    pub fn connect(&self) -> io::Result<Connection> {
        launch::connect(&self.settings, self.port(), REPLY_TIMEOUT)
    }

    /// Watches the commands that the server executes from now on.
    pub fn monitor(&self) -> Monitor {
        Monitor::start(self)
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        launch::log(self.directory.path())
    }

    fn process(&self) -> MutexGuard<'_, Supervised> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
