//! Reads, as many as were asked for, in a burst each millisecond.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::Node;
use super::loads::Temper;
use crate::checker::history::{KeyNumber, Seen, Version};
use crate::checker::message::{Stall, ToChecker};
use crate::checker::moment::Moment;

const BURST_INTERVAL: Duration = Duration::from_millis(1);

/// What was read is told this often. What a node has not told when it is killed was never counted.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// Reads that wait for Redis or for a load. A caller over the limit waits like a thread pool that is used up.
const PENDING_LIMIT: usize = 1_000;

/// How many keys a batch reads.
const BATCH: usize = 4;

type Reading = Pin<Box<dyn Future<Output = Vec<(KeyNumber, Version)>> + Send>>;

/// A read that has ended.
struct Read {
    start: Moment,
    /// Empty when the read gave no value.
    versions: Vec<(KeyNumber, Version)>,
}

struct Readers {
    node: Arc<Node>,
    random: fastrand::Rng,
    pending: JoinSet<Read>,
    /// By key, then one for each version that was read.
    seen: Vec<Vec<(Version, Seen)>>,
    without_value: u64,
    stall: Stall,
}

pub(super) async fn read_until_finished(node: Arc<Node>) {
    let seen = vec![Vec::new(); node.keys.len()];
    let random = fastrand::Rng::with_seed(node.settings.seed);
    let pending = JoinSet::new();
    let mut readers =
        Readers { node: Arc::clone(&node), random, pending, seen, without_value: 0, stall: Stall::default() };
    readers.read().await;
    node.link.send(ToChecker::Finished).await;
}

impl Readers {
    async fn read(&mut self) {
        let per_second = u128::from(self.node.settings.reads_per_second);
        let burst = (per_second * BURST_INTERVAL.as_micros()).div_ceil(1_000_000);
        let mut ticks = ticks();
        let mut reported = Instant::now();
        while !self.node.finishing.load(Ordering::Acquire) {
            self.tick(&mut ticks).await;
            for _ in 0..burst {
                if self.pending.len() < PENDING_LIMIT {
                    self.start_read().await;
                }
            }
            while let Some(ended) = self.pending.try_join_next() {
                self.note_if_any(ended.ok());
            }
            if reported.elapsed() >= REPORT_INTERVAL {
                self.report().await;
                reported = Instant::now();
            }
        }
        self.report().await;
    }

    /// Waits for the next burst, and takes note of how late it is.
    async fn tick(&mut self, ticks: &mut Interval) {
        let due = ticks.tick().await;
        let stall = Stall { duration: due.elapsed(), end: Moment::now() };
        self.stall = self.stall.max(stall);
    }

    /// Starts a read, and ends it if it need not wait.
    async fn start_read(&mut self) {
        let mut reading = self.draw();
        let start = Moment::now();
        match poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await {
            Poll::Ready(versions) => self.note(Read { start, versions }),
            Poll::Pending => self.wait_elsewhere(start, reading),
        }
    }

    /// Some callers go away before their read has ended.
    fn wait_elsewhere(&mut self, start: Moment, reading: Reading) {
        let patience = if self.random.u32(..50) == 0 { self.random.u64(..100) } else { 60_000 };
        self.pending.spawn(async move {
            let versions = tokio::time::timeout(Duration::from_millis(patience), reading).await;
            Read { start, versions: versions.unwrap_or_default() }
        });
    }

    fn draw(&mut self) -> Reading {
        let (node, key) = (Arc::clone(&self.node), self.draw_key());
        let kind = self.random.u32(..100);
        let one = move |version: Option<Version>| version.map(|version| (key, version)).into_iter().collect();
        match kind {
            0..5 => Box::pin(async move { one(node.cache.get(&node.keys[key as usize].name).await.map(|v| *v)) }),
            5 => {
                let keys = (0..BATCH).map(|_| self.draw_key()).collect();
                Box::pin(async move { node.get_many(keys).await })
            }
            6 => {
                // Without a tag: a batch cannot give one.
                let keys = (0..BATCH).map(|_| self.draw_key() | 1).filter(|key| *key < node.settings.keys).collect();
                let temper = Temper::draw(&mut self.random);
                Box::pin(async move { node.get_or_load_many(keys, temper).await })
            }
            7..10 => {
                let temper = Temper::draw(&mut self.random);
                Box::pin(async move { one(node.get_or_load_inline(key, temper).await) })
            }
            _ => {
                let temper = Temper::draw(&mut self.random);
                Box::pin(async move { one(node.get_or_load(key, temper).await) })
            }
        }
    }

    /// Low numbers are read more often than high ones.
    fn draw_key(&mut self) -> KeyNumber {
        let keys = self.node.settings.keys;
        self.random.u32(..keys).min(self.random.u32(..keys))
    }

    fn note_if_any(&mut self, read: Option<Read>) {
        match read {
            Some(read) => self.note(read),
            None => self.without_value += 1,
        }
    }

    fn note(&mut self, read: Read) {
        if read.versions.is_empty() {
            self.without_value += 1;
        }
        let once = Seen::once(read.start);
        for (key, version) in read.versions {
            let versions = &mut self.seen[key as usize];
            match versions.iter_mut().find(|(seen, _)| *seen == version) {
                Some((_, seen)) => seen.merge(once),
                None => versions.push((version, once)),
            }
        }
    }

    async fn report(&mut self) {
        let seen = (0..).zip(&mut self.seen);
        let seen = seen.flat_map(|(key, versions)| versions.drain(..).map(move |(version, seen)| (key, version, seen)));
        let seen = seen.collect();
        let (without_value, stall) = (std::mem::take(&mut self.without_value), std::mem::take(&mut self.stall));
        self.node.link.send(ToChecker::Reads { seen, without_value, stall }).await;
    }
}

/// After a stall it goes on as before: what was missed is not made up for.
fn ticks() -> Interval {
    let mut ticks = interval(BURST_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
