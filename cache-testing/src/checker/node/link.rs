//! The node's end of the connection to the checker.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::checker::history::{KeyNumber, Version};
use crate::checker::message::{ToChecker, ToNode};
use crate::checker::moment::Moment;

/// More than a node says between two turns of its writer.
const BACKLOG: usize = 1_024;

/// What tasks say, and the loads that wait for an answer.
pub(super) struct Link {
    outgoing: mpsc::Sender<ToChecker>,
    requests: AtomicU64,
    /// At most one for each load and each write under way.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Version>>>,
}

/// What the checker says.
pub(super) struct Messages(Lines<BufReader<OwnedReadHalf>>);

impl Messages {
    pub(super) async fn next(&mut self) -> Result<Option<ToNode>, Box<dyn Error + Send + Sync>> {
        let line = self.0.next_line().await?;
        Ok(line.map(|line| serde_json::from_str(&line)).transpose()?)
    }
}

impl Link {
    pub(super) async fn open(socket: &Path) -> std::io::Result<(Self, Messages)> {
        let (reader, writer) = UnixStream::connect(socket).await?.into_split();
        let (outgoing, queue) = mpsc::channel(BACKLOG);
        tokio::spawn(write(queue, writer));
        let link = Self { outgoing, requests: AtomicU64::new(0), waiting: Mutex::default() };
        Ok((link, Messages(BufReader::new(reader).lines())))
    }

    /// Says something. When the checker is gone, nobody needs to hear it: the process is about to end.
    pub(super) async fn send(&self, message: ToChecker) {
        let _ = self.outgoing.send(message).await;
    }

    /// Asks the source for the version of a key. `None` when the checker is gone.
    pub(super) async fn read_source(&self, key: KeyNumber) -> Option<Version> {
        self.ask(|request| ToChecker::Load { request, key }).await
    }

    /// Gives the source what a write is about. `None` when the checker is gone.
    pub(super) async fn commit(&self, write: usize, fenced: Option<Moment>) -> Option<Version> {
        self.ask(|request| ToChecker::Commit { request, write, fenced }).await
    }

    async fn ask(&self, message: impl FnOnce(u64) -> ToChecker) -> Option<Version> {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.lock_waiting().insert(request, answer);
        self.send(message(request)).await;
        answered.await.ok()
    }

    /// Takes the answer to a load or a write.
    pub(super) fn answer(&self, request: u64, version: Version) {
        if let Some(waiting) = self.lock_waiting().remove(&request) {
            // A load that was given up meanwhile needs no answer.
            let _ = waiting.send(version);
        }
    }

    fn lock_waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Version>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(mut queue: mpsc::Receiver<ToChecker>, mut writer: OwnedWriteHalf) -> std::io::Result<()> {
    while let Some(message) = queue.recv().await {
        let mut line = serde_json::to_vec(&message)?;
        line.push(b'\n');
        writer.write_all(&line).await?;
    }
    Ok(())
}
