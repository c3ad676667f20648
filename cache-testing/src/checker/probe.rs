//! Looks into Redis itself, past every node.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use cache_core::{Value, frame};

use super::history::{KeyNumber, Place, Seen, Version};
use super::keys::Keys;
use super::ledger::Ledger;
use super::moment::Moment;
use super::server::Server;
use crate::resp::{Connection, Reply};

const INTERVAL: Duration = Duration::from_millis(1);

/// How many keys it reads at once.
const BATCH: usize = 8;

/// A thread that reads what Redis holds.
#[derive(Debug)]
pub struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

struct Prober {
    server: Arc<Server>,
    ledger: Arc<Mutex<Ledger>>,
    keys: Keys,
    random: fastrand::Rng,
    values: u64,
}

impl Probe {
    /// Reads all the time, mostly what was written just now.
    pub fn start(server: Arc<Server>, ledger: Arc<Mutex<Ledger>>, keys: Keys, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let random = fastrand::Rng::with_seed(seed);
        let thread = thread::spawn(move || Prober { server, ledger, keys, random, values: 0 }.run(&stopped));
        Self { stop, thread }
    }

    /// Reads every key once more, and tells how many values there were in all.
    ///
    /// # Panics
    ///
    /// When Redis holds something under a key that no node can have written.
    pub fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("what Redis holds can be read")
    }
}

impl Prober {
    fn run(mut self, stop: &AtomicBool) -> u64 {
        while !stop.load(Ordering::Acquire) {
            // A server that is down or stands still is asked again when it answers.
            if let Ok(mut connection) = self.server.connect() {
                let _ = self.read_until(stop, &mut connection);
            }
            thread::sleep(INTERVAL);
        }
        let all: Vec<KeyNumber> = (0..self.keys.count).collect();
        let read = self.server.connect().and_then(|mut connection| self.read(&mut connection, &all));
        read.expect("the server answers when all faults are healed");
        self.values
    }

    fn read_until(&mut self, stop: &AtomicBool, connection: &mut Connection) -> io::Result<()> {
        while !stop.load(Ordering::Acquire) {
            let keys = self.draw();
            self.read(connection, &keys)?;
            thread::sleep(INTERVAL);
        }
        Ok(())
    }

    fn draw(&mut self) -> Vec<KeyNumber> {
        let recent = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).recent().to_vec();
        let any = |random: &mut fastrand::Rng, keys: Keys| random.u32(..keys.count);
        (0..BATCH)
            .map(|n| match self.random.choice(&recent) {
                Some(key) if n % 2 == 0 => *key,
                _ => any(&mut self.random, self.keys),
            })
            .collect()
    }

    fn read(&mut self, connection: &mut Connection, keys: &[KeyNumber]) -> io::Result<()> {
        let names = keys.iter().map(|key| Keys::in_redis(*key));
        let command: Vec<String> = std::iter::once("MGET".to_owned()).chain(names).collect();
        let start = Moment::now();
        let Reply::Array(values) = connection.command(&command)? else {
            return Err(io::Error::other("the server is not ready"));
        };
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in keys.iter().zip(values) {
            if let Reply::Bytes(bytes) = value
                && let Some(version) = version(bytes)
            {
                self.values += 1;
                ledger.seen(Place::Redis, *key, version, Seen::once(start));
            }
        }
        Ok(())
    }
}

/// The version in a frame, unless it is a lease.
fn version(bytes: Vec<u8>) -> Option<Version> {
    match frame::decode(Bytes::from(bytes)).expect("nodes write frames of this version") {
        frame::Frame::Entry(entry) => match entry.value {
            Value::Encoded { bytes, .. } => Some(serde_json::from_slice(&bytes).expect("nodes write numbers")),
            _ => None,
        },
        _ => None,
    }
}
