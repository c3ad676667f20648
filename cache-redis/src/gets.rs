//! GETs of many callers at once: a few go straight through, and what exceeds that is gathered into MGETs.
//!
//! Nobody waits for a batch to fill. A batch takes what has queued up while the ones before it were under way, so batches
//! grow with the load by themselves.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cache_core::TierError;
use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::lane::Lane;

/// With fewer callers than this, single GETs in one pipeline are faster.
const DIRECT: usize = 28;

/// With so many keys waiting, another batch is sent beside those under way.
const ENOUGH: usize = 24;

/// The most batches under way.
const BATCHES: usize = 4;

/// The most keys of one batch.
const KEYS: usize = 128;

/// The most keys that wait. Callers beyond send GETs of their own.
const QUEUE: usize = 16_384;

/// About how long the answer to one batch may be, in bytes: its callers wait for all of it.
const ANSWER_BYTES: usize = 256 << 10;

/// The GETs of one lane.
pub(crate) struct Gets {
    lane: Arc<Lane>,
    /// Callers that wait for an answer, in one way or the other.
    callers: AtomicUsize,
    shared: Arc<Shared>,
    /// The tasks that send batches, [`BATCHES`] at the most; they end with this.
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// About how long a value is, in bytes.
    usual_bytes: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Tasks that send batches.
    senders: usize,
}

struct Waiting {
    name: String,
    answer: oneshot::Sender<Result<Value, TierError>>,
}

impl Gets {
    pub(crate) fn new(lane: Arc<Lane>) -> Self {
        Self { lane, callers: AtomicUsize::new(0), shared: Arc::default(), tasks: Mutex::default() }
    }

    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// What is under `name`. A caller that goes away harms no other.
    pub(crate) async fn get(&self, name: String) -> Result<Value, TierError> {
        let caller = Caller::of(&self.callers);
        let name = match caller.others {
            0..DIRECT => name,
            _ => match self.queue(name) {
                Ok(answer) => {
                    let gone = |_| Err(TierError::unavailable("the runtime of the connection has ended"));
                    return answer.await.unwrap_or_else(gone);
                }
                Err(name) => name,
            },
        };
        let mut command = redis::cmd("GET");
        command.arg(name);
        self.lane.query("GET", &command).await
    }

    /// Queues a key, or gives its name back where that is not possible.
    fn queue(&self, name: String) -> Result<oneshot::Receiver<Result<Value, TierError>>, String> {
        let Ok(runtime) = Handle::try_current() else { return Err(name) };
        let (answer, receiver) = oneshot::channel();
        let mut queue = self.shared.lock();
        if queue.waiting.len() >= QUEUE {
            return Err(name);
        }
        queue.waiting.push_back(Waiting { name, answer });
        if !queue.needs_sender() {
            return Ok(receiver);
        }
        queue.senders += 1;
        drop(queue);
        let sender = Sender { lane: Arc::clone(&self.lane), shared: Arc::clone(&self.shared), counted: true };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(sender.run(), &runtime);
        Ok(receiver)
    }
}

impl Queue {
    fn needs_sender(&self) -> bool {
        self.senders == 0 || self.waiting.len() >= ENOUGH && self.senders < BATCHES
    }

    /// Whether there is too little for one more of `senders` senders.
    fn is_too_short(&self) -> bool {
        self.waiting.is_empty() || self.waiting.len() < ENOUGH && self.senders > 1
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic under the lock leaves a queue that is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many keys to ask for at once.
    fn batch_size(&self) -> usize {
        (ANSWER_BYTES / self.usual_bytes.load(Ordering::Relaxed).max(1)).clamp(1, KEYS)
    }

    fn note(&self, values: &[Value]) {
        let bytes = |value: &Value| if let Value::BulkString(bytes) = value { bytes.len() } else { 0 };
        let mean = values.iter().map(bytes).sum::<usize>() / values.len().max(1);
        let usual = self.usual_bytes.load(Ordering::Relaxed);
        self.usual_bytes.store((usual * 7 + mean).div_ceil(8), Ordering::Relaxed);
    }
}

/// The task that sends batches as long as keys are waiting.
struct Sender {
    lane: Arc<Lane>,
    shared: Arc<Shared>,
    counted: bool,
}

impl Sender {
    async fn run(mut self) {
        while let Some(batch) = self.next() {
            self.send(batch).await;
        }
    }

    /// The next keys; `None` when there are none, and this task is counted as one no more.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let size = self.shared.batch_size();
        let mut queue = self.shared.lock();
        if queue.is_too_short() {
            queue.senders -= 1;
            self.counted = false;
            return None;
        }
        let size = size.min(queue.waiting.len());
        Some(queue.waiting.drain(..size).collect())
    }

    async fn send(&self, batch: Vec<Waiting>) {
        let mut command = redis::cmd("MGET");
        let mut waiting = Vec::with_capacity(batch.len());
        // Those who have gone away in the meantime need no answer.
        for Waiting { name, answer } in batch.into_iter().filter(|waiting| !waiting.answer.is_closed()) {
            command.arg(name);
            waiting.push(answer);
        }
        if waiting.is_empty() {
            return;
        }
        let answer = self.lane.query::<Vec<Value>>("MGET", &command).await.and_then(|values| {
            let complete = values.len() == waiting.len();
            complete
                .then_some(values)
                .ok_or_else(|| TierError::unavailable("MGET was answered with the wrong number of values"))
        });
        match answer {
            Ok(values) => {
                self.shared.note(&values);
                waiting.into_iter().zip(values).for_each(|(answer, value)| drop(answer.send(Ok(value))));
            }
            Err(error) => {
                // Who has queued up behind a batch that got no answer in time has waited for long enough as well.
                let behind =
                    if error.is_timeout() { std::mem::take(&mut self.shared.lock().waiting) } else { VecDeque::new() };
                let answers = waiting.into_iter().chain(behind.into_iter().map(|waiting| waiting.answer));
                answers.for_each(|answer| drop(answer.send(Err(error.clone()))));
            }
        }
    }
}

impl Drop for Sender {
    /// A task that ends with its runtime leaves nobody waiting: those who queued on another runtime are told to try again.
    fn drop(&mut self) {
        if self.counted {
            let mut queue = self.shared.lock();
            queue.senders -= 1;
            if queue.senders == 0 {
                queue.waiting.clear();
            }
        }
    }
}

/// A caller, for as long as it waits.
struct Caller<'a> {
    callers: &'a AtomicUsize,
    others: usize,
}

impl<'a> Caller<'a> {
    fn of(callers: &'a AtomicUsize) -> Self {
        Self { callers, others: callers.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.callers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_make_short_batches() {
        let shared = Shared::default();
        assert_eq!(shared.batch_size(), KEYS);
        for _ in 0..50 {
            shared.note(&[Value::BulkString(vec![0; 1 << 20])]);
        }
        assert_eq!(shared.batch_size(), 1);
        for _ in 0..100 {
            shared.note(&[Value::BulkString(vec![0; 100]), Value::Nil]);
        }
        assert_eq!(shared.batch_size(), KEYS);
    }
}
