//! What servers send unasked on the connections of the bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cache_core::coherence::BusMessage;
use redis::aio::SendError;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc;

use crate::counters::Counts;
use crate::message;
use crate::names::Names;

/// How many messages wait for the node to take them. What does not fit is dropped: a record is found again in the journal,
/// since the message after it names a predecessor that the node has not seen, and instead of keys that were touched the
/// node is told of all.
const MESSAGES_WAITING: usize = 8_192;

enum Push {
    /// Published on the channel.
    Published(Vec<u8>),
    /// Keys that were written.
    Touched(Vec<Value>),
    /// A connection is lost.
    Lost,
}

/// Takes pushes from a connection, whose own task drops it when the connection is lost. Its calls run in that task, so they
/// must not wait.
#[derive(Clone)]
pub(crate) struct Intake {
    sender: mpsc::Sender<Push>,
    /// Whether touches were lost, or everything was touched.
    all_touched: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

/// Gives those of one connection or several to the node, in order.
pub(crate) struct Pushes {
    receiver: mpsc::Receiver<Push>,
    all_touched: Arc<AtomicBool>,
    /// Whether any of the connections is.
    lost: bool,
}

/// Both ends. The intake is cloned for each connection but one. Where foreign writes are tracked, the node is told first of all
/// that everything may have been touched: what was, while there was no connection, nobody has heard.
pub(crate) fn queue(counts: Arc<Counts>, tracking: bool) -> (Intake, Pushes) {
    let (sender, receiver) = mpsc::channel(MESSAGES_WAITING);
    let all_touched = Arc::new(AtomicBool::new(tracking));
    (Intake { sender, all_touched: Arc::clone(&all_touched), counts }, Pushes { receiver, all_touched, lost: false })
}

impl Intake {
    pub(crate) fn take(&self, mut push: PushInfo) -> Result<(), SendError> {
        let push = match (&push.kind, push.data.as_mut_slice()) {
            // Channel and payload. Of channels there is only the one subscribed to.
            (PushKind::Message, [_, Value::BulkString(payload)]) => Push::Published(std::mem::take(payload)),
            (PushKind::Invalidate, [Value::Array(names)]) => Push::Touched(std::mem::take(names)),
            // A server that was flushed names no keys.
            (PushKind::Invalidate, _) => {
                self.all_touched.store(true, Ordering::Release);
                Push::Touched(Vec::new())
            }
            _ => return Ok(()),
        };
        self.sender.try_send(push).map_err(|error| {
            if let mpsc::error::TrySendError::Full(lost) = error {
                self.counts.dropped_message();
                if matches!(lost, Push::Touched(_)) {
                    self.all_touched.store(true, Ordering::Release);
                }
            }
            SendError
        })
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        // Where this does not fit, a heartbeat finds the connection lost.
        let _ = self.sender.try_send(Push::Lost);
    }
}

impl Pushes {
    /// The next message; `None` when a connection is lost.
    pub(crate) async fn next(&mut self, names: &Names) -> Option<BusMessage> {
        if let Some(message) = self.take_all_touched() {
            return Some(message);
        }
        let push = if self.lost { None } else { self.receiver.recv().await };
        self.read(push?, names)
    }

    pub(crate) fn try_next(&mut self, names: &Names) -> Option<BusMessage> {
        if let Some(message) = self.take_all_touched() {
            return Some(message);
        }
        let push = if self.lost { None } else { self.receiver.try_recv().ok() };
        self.read(push?, names)
    }

    fn take_all_touched(&self) -> Option<BusMessage> {
        // Nearly always false, and then nothing is written.
        let touched = self.all_touched.load(Ordering::Acquire) && self.all_touched.swap(false, Ordering::AcqRel);
        touched.then_some(BusMessage::TouchedAll)
    }

    fn read(&mut self, push: Push, names: &Names) -> Option<BusMessage> {
        match push {
            Push::Published(payload) => Some(message::parse(&payload)),
            Push::Touched(_) if self.all_touched.swap(false, Ordering::AcqRel) => Some(BusMessage::TouchedAll),
            Push::Touched(touched) => {
                let key = |name| if let Value::BulkString(name) = name { names.key_of(&name) } else { None };
                Some(BusMessage::Touched(touched.into_iter().filter_map(key).collect()))
            }
            Push::Lost => {
                self.lost = true;
                None
            }
        }
    }
}
