//! Carrying writes out.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::Notify;

use super::builder::Settings;
use super::{Counters, WriteBehind, decode_both, log_of, void_in};
use crate::clock::Clock;
use crate::codec::{Codec, Place};
use crate::coherence::{Change, Coherence, Position};
use crate::entry::Token;
use crate::error::Error;
use crate::event::Event;
use crate::far::{Far, Manner};
use crate::service::Cacheable;
use crate::service::keyspace::KeyspaceKey;
use crate::tier::{KeptWrite, Partition, Settle, Taken};

/// A write on its way to the source.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PendingWrite<K, V> {
    /// Marks this very write, and grows with each write of the key: the same however often it is carried out. A source that
    /// keeps the highest id that it has seen of each key, and ignores writes that are not higher, has each write exactly once
    /// and in order, also if a worker that stood still goes on after another has taken over.
    pub id: Position,
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
    /// How often it was taken up, this time included.
    pub attempt: u64,
}

impl<K: KeyspaceKey + Cacheable, V: Cacheable> WriteBehind<K, V> {
    /// Starts workers on this node, which carry writes out by `writer`. They run until the service is shut down or
    /// dropped, or the runtime ends that this was called on.
    /// Nodes without workers can write all the same; all nodes that have some must do the same with a write.
    ///
    /// `writer` is given writes of one partition, oldest first, several of one key among them; it must carry them out in this
    /// order and may leave out those that a later one of the same key replaces. If it fails, panics or takes longer than
    /// [`apply_timeout`](super::WriteBehindBuilder::apply_timeout), each of them is tried again alone, with growing pauses,
    /// and later writes of the partition wait. After [`max_attempts`](super::WriteBehindBuilder::max_attempts) it is put
    /// aside: it becomes a [dead letter](WriteBehind::dead_letters), is counted and told of
    /// ([`Event::WriteDead`](crate::Event::WriteDead)), the key is invalidated, and later writes go on. So does a write that
    /// cannot be decoded, at once. What somebody else has put among the writes, and says no key, is removed and told of
    /// ([`Event::WriteUnreadable`](crate::Event::WriteUnreadable)).
    ///
    /// # Errors
    /// The call is made outside of a Tokio runtime, or the service was shut down.
    pub fn apply_with<E, F, Fut>(&self, writer: F) -> Result<(), Error>
    where
        E: Send + 'static,
        F: Fn(Vec<PendingWrite<K, V>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
    {
        let inner = self.log.inner();
        let far = self.log.far()?;
        log_of(far)?;
        let codec = inner.codec.clone().ok_or_else(|| Error::configuration("no codec"))?;
        let refused = |reason: &str| Error::configuration(format!("write-behind of \"{}\": {reason}", self.log.name));
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(refused("workers are tasks; call apply_with within a Tokio runtime"));
        }
        if inner.tasks.is_closed() {
            return Err(refused("the service was shut down, so no workers can be started; build another"));
        }
        inner.start(None);
        let writer = Arc::new(writer);
        for number in 0..self.log.settings.workers {
            // Not the service itself: it ends its tasks when it is dropped.
            let worker = Worker {
                far: Arc::clone(far),
                unshared: inner.far.iter().filter(|far| far.shared().is_none()).map(Arc::clone).collect(),
                coherence: Arc::clone(&inner.coherence),
                clock: Arc::clone(&inner.clock),
                codec: Arc::clone(&codec),
                name: self.log.name.clone(),
                settings: self.log.settings,
                counters: Arc::clone(&self.log.counters),
                work: Arc::clone(&self.log.work),
                namespace: inner.namespace.as_str().to_owned(),
                fills_shared: inner.shared_to_fill(&self.log.space.plan()).is_some(),
                first: number % self.log.settings.partitions,
            };
            let writer = Arc::clone(&writer);
            inner.tasks.spawn("write behind", async move { worker.run(&*writer).await });
        }
        Ok(())
    }
}

struct Worker {
    far: Arc<Far>,
    unshared: Vec<Arc<Far>>,
    coherence: Arc<Coherence>,
    clock: Arc<dyn Clock>,
    codec: Arc<dyn Codec>,
    name: String,
    settings: Settings,
    counters: Arc<Counters>,
    work: Arc<Notify>,
    namespace: String,
    /// Whether what is loaded of the keyspace goes into the shared tier, and so only where no write waits.
    fills_shared: bool,
    /// The partition that is looked at first.
    first: u16,
}

/// How a call of the writer ended.
enum Applied {
    Yes,
    No,
    /// Another worker has the partition by now.
    Lost,
}

impl Worker {
    async fn run<K, V, E, F, Fut>(mut self, writer: &F)
    where
        K: KeyspaceKey + Cacheable,
        V: Cacheable,
        F: Fn(Vec<PendingWrite<K, V>>) -> Fut + Send + Sync,
        Fut: Future<Output = Result<(), E>> + Send,
    {
        loop {
            // Each time another, so that what was taken and never heard of is not taken for this worker's own.
            let token = Token::random();
            match self.take(token).await {
                Some(taken) => {
                    self.first = (taken.partition + 1) % self.settings.partitions;
                    self.carry_out(&taken, token, writer).await;
                }
                None => {
                    let pause = self.settings.poll_interval.mul_f64(fastrand::f64().mul_add(0.5, 0.75));
                    tokio::select! {
                        () = self.work.notified() => {}
                        () = self.clock.sleep(pause) => {}
                    }
                }
            }
        }
    }

    async fn take(&self, token: Token) -> Option<Taken> {
        let Settings { partitions, worker_lease, batch, .. } = self.settings;
        let log = log_of(&self.far).ok()?;
        self.far.ask(log.take(&self.name, partitions, self.first, token, worker_lease, batch)).await.flatten()
    }

    async fn carry_out<K, V, E, F, Fut>(&self, taken: &Taken, token: Token, writer: &F)
    where
        K: KeyspaceKey + Cacheable,
        V: Cacheable,
        F: Fn(Vec<PendingWrite<K, V>>) -> Fut + Send + Sync,
        Fut: Future<Output = Result<(), E>> + Send,
    {
        let partition = Partition { log: &self.name, number: taken.partition };
        for entry in &taken.unreadable {
            self.counters.unreadable.increment();
            let (log, entry) = (self.name.as_str().into(), *entry);
            self.coherence.events.emit(Event::WriteUnreadable { log, partition: partition.number, entry });
        }
        if taken.writes.is_empty() {
            self.settle(partition, token, Settle::Applied(&[])).await;
            return;
        }
        let attempt = taken.writes.first().map_or(1, |write| write.taken);
        if attempt > 1 {
            self.counters.repeated.increment();
        }
        // Nobody said how it ended so often: it is what kills workers. One that was taken with others may not be, and is tried
        // alone.
        if let Some(first) = taken.writes.first().filter(|write| write.taken > self.settings.max_attempts.max(2)) {
            return self.bury(partition, token, first).await;
        }
        let mut writes = Vec::with_capacity(taken.writes.len());
        for (at, write) in taken.writes.iter().enumerate() {
            match self.decode(write) {
                Some(decoded) => writes.push(decoded),
                None if at == 0 => return self.bury(partition, token, write).await,
                // Those before it come first; then it is alone.
                None => break,
            }
        }
        let carried = &taken.writes[..writes.len()];
        match self.apply(partition, token, writes, writer).await {
            Applied::Yes => {
                self.counters.applied.add(carried.len() as u64);
                if !self.fills_shared {
                    // Nothing in the shared tier closes the keys to what is kept near alone, and that was loaded before.
                    self.void(&Change::Keys(carried.iter().map(|write| write.key.clone()).collect())).await;
                }
                self.settle(partition, token, Settle::Applied(carried)).await;
                // What they have loaded meanwhile may be older, where the keys' closure was lost.
                self.void_unshared(&Change::Keys(carried.iter().map(|write| write.key.clone()).collect())).await;
            }
            Applied::No => match carried {
                [write] if attempt >= self.settings.max_attempts => self.bury(partition, token, write).await,
                _ => {
                    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(6);
                    self.settle(partition, token, Settle::Rest(self.settings.retry_delay * (1 << doublings))).await;
                }
            },
            Applied::Lost => {}
        }
    }

    /// Runs the writer to its end, its panic or its timeout, and keeps the partition meanwhile.
    async fn apply<K, V, E, F, Fut>(
        &self,
        partition: Partition<'_>,
        token: Token,
        writes: Vec<PendingWrite<K, V>>,
        writer: &F,
    ) -> Applied
    where
        F: Fn(Vec<PendingWrite<K, V>>) -> Fut + Send + Sync,
        Fut: Future<Output = Result<(), E>> + Send,
    {
        // What the writer holds is gone after a panic, so nobody can see it broken.
        let mut applying = pin!(AssertUnwindSafe(async move { writer(writes).await }).catch_unwind());
        let applied = tokio::select! {
            biased;
            result = &mut applying => if matches!(result, Ok(Ok(()))) { Applied::Yes } else { Applied::No },
            () = self.clock.sleep(self.settings.apply_timeout) => Applied::No,
            lost = self.keep(partition, token) => match lost {
                Ok(()) => Applied::Lost,
                Err(never) => match never {},
            },
        };
        match applied {
            Applied::Yes => {}
            Applied::No => {
                self.counters.failed.increment();
                tracing::warn!(target: "cache_aside", log = self.name, partition = partition.number, "the writer failed");
            }
            Applied::Lost => self.lost(partition),
        }
        applied
    }

    /// Keeps the partition, and returns when another worker has it.
    async fn keep(&self, partition: Partition<'_>, token: Token) -> Result<(), Infallible> {
        let lease = self.settings.worker_lease;
        loop {
            self.clock.sleep(lease / 3).await;
            let Ok(log) = log_of(&self.far) else { continue };
            if self.far.ask(log.settle(partition, token, Settle::Keep(lease), self.coherence.node)).await == Some(false)
            {
                return Ok(());
            }
        }
    }

    /// Tells the tier what became of the partition. False when another worker has it; `None` without an answer: then the writes
    /// may be carried out again.
    async fn settle(&self, partition: Partition<'_>, token: Token, settle: Settle<'_>) -> Option<bool> {
        let log = log_of(&self.far).ok()?;
        let settled = self.far.ask(log.settle(partition, token, settle, self.coherence.node)).await;
        if settled == Some(false) {
            self.lost(partition);
        }
        settled
    }

    /// Puts a write aside. What is cached of it is not in the source, and never will be: the shared tier voids it in the same
    /// step.
    async fn bury(&self, partition: Partition<'_>, token: Token, write: &KeptWrite) {
        let KeptWrite { id, key, .. } = write;
        match self.settle(partition, token, Settle::Dead(write)).await {
            Some(true) => {
                self.counters.dead.increment();
                self.coherence.events.emit(Event::WriteDead { key: key.clone(), write: *id });
            }
            Some(false) => return,
            None => {
                tracing::warn!(target: "cache_aside", log = self.name, %id, %key, "a write may have been put aside: the tier did not say");
            }
        }
        let change = Change::Keys([key.clone()].into());
        self.void_unshared(&change).await;
        self.coherence.void(&change);
    }

    /// Voids what is cached on every node.
    async fn void(&self, change: &Change) {
        self.coherence.void(change);
        // Where it cannot be told now it is queued.
        let _ = self.far.invalidate(change, Manner::default(), &self.coherence).await;
    }

    async fn void_unshared(&self, change: &Change) {
        let unshared: Vec<&Far> = self.unshared.iter().map(|far| &**far).collect();
        void_in(&unshared, change, &self.coherence).await;
    }

    fn decode<K: KeyspaceKey + Cacheable, V: Cacheable>(&self, write: &KeptWrite) -> Option<PendingWrite<K, V>> {
        let place = Place::new(&self.namespace, write.key.as_str());
        let (key, value) = decode_both(&*self.codec, place, &write.payload)?;
        Some(PendingWrite { id: write.id, key, value, attempt: write.taken })
    }

    fn lost(&self, partition: Partition<'_>) {
        self.counters.lost_leases.increment();
        tracing::warn!(target: "cache_aside", log = self.name, partition = partition.number, "another worker has taken over");
    }
}
