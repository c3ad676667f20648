//! The checker's ends of the connections to the nodes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use super::NodeView;
use crate::checker::history::{Audit, Place};
use crate::checker::ledger::Ledger;
use crate::checker::message::{ToChecker, ToNode};
use crate::checker::moment::Moment;
use crate::checker::source::Source;
use crate::checker::stalls::NOTED_STALL;

/// More than the checker says to a node before it waits for answers.
const BACKLOG: usize = 1_024;

/// What the connections to the nodes have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) source: Arc<Source>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) links: Mutex<HashMap<u32, mpsc::Sender<ToNode>>>,
    pub(super) views: watch::Sender<BTreeMap<u32, NodeView>>,
}

pub(super) async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    // What fails is the one connection, not the listener.
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&shared)));
        }
    }
}

/// Listens to a node until it is gone.
async fn serve(stream: UnixStream, shared: Arc<Shared>) {
    let (reader, writer) = stream.into_split();
    let (outgoing, queue) = mpsc::channel(BACKLOG);
    let writer = tokio::spawn(write(queue, writer));
    let mut lines = BufReader::new(reader).lines();
    let mut node = None;
    // A node that is killed may leave half a line. Of any other that is a fault of its own: see `NodeView::died`.
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(message) = serde_json::from_str(&line) else { break };
        if let ToChecker::Hello { node: number, .. } = message {
            node = Some(number);
            shared.lock_links().insert(number, outgoing.clone());
        }
        if let Some(node) = node {
            shared.hear(node, message, &outgoing).await;
        }
    }
    // First the way to the node, so that no write is sent that nobody calls lost.
    writer.abort();
    let _ = writer.await;
    if let Some(node) = node {
        shared.lock_links().remove(&node);
        shared.lock_ledger().lost(node);
        shared.change(node, |view| view.gone = true);
    }
}

async fn write(mut queue: mpsc::Receiver<ToNode>, mut writer: OwnedWriteHalf) -> std::io::Result<()> {
    while let Some(message) = queue.recv().await {
        let mut line = serde_json::to_vec(&message)?;
        line.push(b'\n');
        writer.write_all(&line).await?;
    }
    Ok(())
}

impl Shared {
    async fn hear(&self, node: u32, message: ToChecker, outgoing: &mpsc::Sender<ToNode>) {
        match message {
            ToChecker::Hello { bound, .. } => {
                self.lock_ledger().history().started(node);
                self.change(node, |view| {
                    view.connected = true;
                    view.bound = Some(bound);
                });
            }
            ToChecker::Load { request, key } => {
                if let Some(version) = self.source.read(key) {
                    // A node that is gone needs no answer.
                    let _ = outgoing.send(ToNode::Loaded { request, version }).await;
                }
            }
            ToChecker::Commit { request, write, fenced } => {
                let version = self.lock_ledger().commit(write, fenced);
                if let Some(version) = version {
                    let _ = outgoing.send(ToNode::Loaded { request, version }).await;
                }
            }
            ToChecker::Wrote { write, returned, done } => self.lock_ledger().returned(write, returned, done),
            ToChecker::Delivered { writes, at } => self.lock_ledger().delivered(&writes, at),
            ToChecker::Reads { seen, without_value, stall } => {
                let mut ledger = self.lock_ledger();
                seen.into_iter().for_each(|(key, version, seen)| ledger.seen(Place::Node(node), key, version, seen));
                drop(ledger);
                self.change(node, |view| {
                    view.without_value += without_value;
                    view.stalls.extend(Some(stall).filter(|stall| stall.duration >= NOTED_STALL));
                });
            }
            ToChecker::Health(health) => {
                let now = Moment::now();
                if health.hears {
                    self.lock_ledger().history().reached(node, now);
                }
                self.change(node, |view| view.health = Some((now, health)));
            }
            ToChecker::Audited(read) => {
                let audits = read.into_iter().map(|(key, version)| Audit { node, key, version });
                self.lock_ledger().history().audits.extend(audits);
                self.change(node, |view| view.audited = true);
            }
            ToChecker::Finished => self.change(node, |view| view.finished = true),
        }
    }

    pub(super) fn change(&self, node: u32, change: impl FnOnce(&mut NodeView)) {
        self.views.send_modify(|views| change(views.entry(node).or_default()));
    }

    pub(super) fn lock_links(&self) -> MutexGuard<'_, HashMap<u32, mpsc::Sender<ToNode>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
