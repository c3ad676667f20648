//! A far tier as the service sees it: asked only while it is well, bounded in time, and owed the invalidations that it
//! missed.

mod owed;
mod queue;
mod recovery;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::Notify;

use crate::breaker::Breaker;
use crate::clock::{Clock, Timestamp};
use crate::coherence::{Change, Coherence, Debts, Position, RECORD_MAX_KEYS, Record};
use crate::entry::Token;
use crate::error::TierError;
use crate::event::{Event, Events};
use crate::key::Key;
use crate::pattern::Pattern;
use crate::stats::TierCounters;
use crate::status::{TierState, TierStatus};
use crate::tier::{Appended, CacheTier, SharedTier};

pub(crate) use owed::Owed;
use queue::Queue;

/// The waits before a read is made again, each with up to as much again as jitter. A connection that broke is replaced within
/// milliseconds, if the server is there.
const READ_AGAIN: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(5))
    .with_max_delay(Duration::from_millis(50))
    .with_jitter();

pub(crate) struct Far {
    pub(crate) tier: Arc<dyn CacheTier>,
    pub(crate) counters: TierCounters,
    clock: Arc<dyn Clock>,
    events: Arc<Events>,
    timeout: Duration,
    read_retries: usize,
    breaker: Breaker,
    queue: Mutex<Queue>,
    /// Whether `queue` holds anything that the tier has yet to hear of: read on every call.
    backlog: AtomicBool,
    /// Whether any of it was told of as waiting.
    announced: AtomicBool,
    /// Whether it was told of as down, and not as up since.
    told_down: AtomicBool,
    /// Whether the service has ended, so that nothing is delivered any more.
    settled: AtomicBool,
    /// Changes on their way to the tier.
    under_way: AtomicUsize,
    work: Notify,
    /// Nothing owed is delivered before this: until then a write that was given up may still run.
    hold_until: Mutex<Option<tokio::time::Instant>>,
    health: Mutex<Health>,
}

struct Health {
    state: TierState,
    since: Timestamp,
    last_error: Option<TierError>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct FarLimits {
    /// The bound on one call.
    pub(crate) timeout: Duration,
    /// Outages in a row that open the breaker.
    pub(crate) breaker_threshold: u32,
    /// Invalidations that wait at the most.
    pub(crate) queue_capacity: usize,
    /// How often a read that fails is made again.
    pub(crate) read_retries: usize,
}

impl Far {
    pub(crate) fn new(tier: Arc<dyn CacheTier>, clock: Arc<dyn Clock>, limits: FarLimits) -> Self {
        let health = Health { state: TierState::Up, since: clock.now(), last_error: None };
        Self {
            tier,
            counters: TierCounters::default(),
            clock,
            events: Arc::default(),
            timeout: limits.timeout,
            read_retries: limits.read_retries,
            breaker: Breaker::new(limits.breaker_threshold),
            queue: Mutex::new(Queue::new(limits.queue_capacity)),
            backlog: AtomicBool::new(false),
            announced: AtomicBool::new(false),
            told_down: AtomicBool::new(false),
            settled: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            work: Notify::new(),
            hold_until: Mutex::new(None),
            health: Mutex::new(health),
        }
    }

    pub(crate) fn with_events(self, events: Arc<Events>) -> Self {
        Self { events, ..self }
    }

    pub(crate) fn shared(&self) -> Option<&dyn SharedTier> {
        self.tier.shared()
    }

    /// The bound on one call.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether the tier may be read and filled: it answers, and knows of every invalidation of this node.
    pub(crate) fn is_ready(&self) -> bool {
        !self.breaker.is_open() && !self.backlog.load(Ordering::Acquire)
    }

    /// Makes a call if the tier is ready: `None` when it is not, or when the call failed.
    pub(crate) async fn ask<R>(&self, call: impl Future<Output = Result<R, TierError>>) -> Option<R> {
        if !self.is_ready() {
            self.counters.skipped.increment();
            return None;
        }
        self.attempt(call).await.ok()
    }

    /// As [`Far::ask`], and tells why there is no answer.
    pub(crate) async fn try_ask<R>(&self, call: impl Future<Output = Result<R, TierError>>) -> Result<R, TierError> {
        if self.is_ready() {
            return self.attempt(call).await;
        }
        self.counters.skipped.increment();
        Err(TierError::unavailable(format!("{} is away", self.tier.name())))
    }

    /// Reads, if the tier is ready, and reads again what failed without taking its time: such as when the connection has
    /// broken and another is there in a moment. Not after a timeout, of which a call bears one at the most, nor after a
    /// refusal, which would come again.
    pub(crate) async fn read<R, Fut>(&self, call: impl Fn() -> Fut) -> Option<R>
    where
        Fut: Future<Output = Result<R, TierError>>,
    {
        let mut waits = READ_AGAIN.with_max_times(self.read_retries).build();
        loop {
            if !self.is_ready() {
                self.counters.skipped.increment();
                return None;
            }
            match self.attempt(call()).await {
                Ok(found) => return Some(found),
                Err(error) if error.is_timeout() || !error.is_outage() => return None,
                Err(_) => tokio::time::sleep(waits.next().filter(|_| self.is_ready())?).await,
            }
            self.counters.retries.increment();
        }
    }

    /// Makes a call whatever the breaker says, within the bound, and takes note of how it went.
    async fn attempt<R>(&self, call: impl Future<Output = Result<R, TierError>>) -> Result<R, TierError> {
        let timeout = self.timeout;
        let result = tokio::time::timeout(timeout, call).await.unwrap_or_else(|_| {
            Err(TierError::timed_out(format!("{} did not answer within {timeout:?}", self.tier.name())))
        });
        self.note(result)
    }

    fn note<R>(&self, result: Result<R, TierError>) -> Result<R, TierError> {
        match &result {
            Ok(_) => {
                self.breaker.succeeded();
            }
            Err(error) => {
                self.counters.errors.increment();
                if error.is_outage() && self.breaker.failed() {
                    self.tell_down(error);
                    self.work.notify_one();
                }
                self.lock_health().last_error = Some(error.clone());
            }
        }
        self.update_state();
        result
    }

    /// Tells that the tier is down, unless that was the last that was told.
    fn tell_down(&self, error: &TierError) {
        if !self.told_down.swap(true, Ordering::AcqRel) {
            self.events.emit(Event::TierDown { tier: self.tier.name(), error: error.clone() });
        }
    }

    /// Tells that the tier is up, if it was told of as down.
    fn tell_up(&self) {
        if !self.told_down.swap(false, Ordering::AcqRel) {
            return;
        }
        self.events.emit(Event::TierUp { tier: self.tier.name() });
        // Whoever opened the breaker before took it for told of.
        if self.breaker.is_open() {
            let error = self.lock_health().last_error.clone();
            self.tell_down(&error.unwrap_or_else(|| TierError::unavailable("it has failed again")));
        }
    }

    fn update_state(&self) {
        let state = match (self.breaker.is_open(), self.breaker.is_strained(), self.announced.load(Ordering::Acquire)) {
            (true, ..) => TierState::Down,
            (false, false, false) => TierState::Up,
            _ => TierState::Degraded,
        };
        let mut health = self.lock_health();
        if health.state != state {
            health.state = state;
            health.since = self.clock.now();
        }
    }

    /// Carries a change to the tier, as a record where the tier keeps a journal, and tells how many entries and leases are
    /// gone. `Err` when the tier could not be told: the change then waits in the queue, as it does when this future is
    /// dropped half-way.
    pub(crate) async fn invalidate(
        &self,
        change: &Change,
        manner: Manner,
        coherence: &Coherence,
    ) -> Result<Carried, Queued> {
        Owed::new(self, coherence, change).deliver(manner).await
    }

    /// Fences `keys` for `hold`. False when the tier is away, or could not say.
    pub(crate) async fn fence(&self, keys: &[Key], token: Token, hold: Duration, coherence: &Coherence) -> bool {
        let Some(shared) = self.shared() else { return true };
        for keys in keys.chunks(RECORD_MAX_KEYS) {
            let record = Record::new(coherence.node, Change::Fence(keys.into(), hold));
            let Some(appended) = self.ask(shared.fence(keys, &record, token, hold)).await else { return false };
            if !coherence.acknowledged(&Change::Keys(keys.into()), &appended) {
                return false;
            }
        }
        true
    }

    /// Whether the tier can be told of a change. Also while what it is owed is being delivered, or steady changes would never let
    /// that end: they commute. Not while a write may still run that was given up, which the change must not come before.
    fn hears(&self) -> bool {
        let is_held = self.backlog.load(Ordering::Acquire) && self.held_until().is_some();
        !self.breaker.is_open() && !is_held
    }

    /// Remembers a change that the tier has yet to hear of. From now on the tier is not read until it has.
    pub(crate) fn enqueue(&self, change: &Change, coherence: &Coherence) {
        self.queue(change, coherence, true);
        self.announce_queued();
    }

    /// Remembers that what `change` voids has yet to be freed, whose record stands at `position`. The tier is read meanwhile: like
    /// every node, this one knows what is void.
    fn enqueue_scan(&self, change: &Change, position: Position, coherence: &Coherence) {
        self.push_scan(change, position, coherence);
        self.announced.store(true, Ordering::Release);
        self.announce_queued();
    }

    fn announce_queued(&self) {
        let queued = self.lock_queue().len();
        self.update_state();
        self.events.emit(Event::InvalidationQueued { tier: self.tier.name(), queued });
        self.work.notify_one();
        if self.settled.load(Ordering::Acquire) {
            self.tell_lost();
        }
    }

    fn queue(&self, change: &Change, coherence: &Coherence, announced: bool) {
        let mut queue = self.lock_queue();
        let overflowed = queue.push(change);
        self.backlog.store(true, Ordering::Release);
        self.announced.fetch_or(announced, Ordering::AcqRel);
        drop(queue);
        self.tell_overflow(overflowed, coherence);
    }

    fn push_scan(&self, change: &Change, position: Position, coherence: &Coherence) {
        let mut queue = self.lock_queue();
        let overflowed = queue.push_scan(change, position);
        // It stays what it is otherwise: something else may be on its way.
        self.backlog.fetch_or(overflowed, Ordering::AcqRel);
        drop(queue);
        self.tell_overflow(overflowed, coherence);
    }

    fn tell_overflow(&self, overflowed: bool, coherence: &Coherence) {
        if overflowed {
            coherence.counters.queue_overflows.increment();
            self.events.emit(Event::QueueOverflowed { tier: self.tier.name() });
        }
    }

    /// Delivers nothing owed until a write that was given up now cannot run any more: a write carries its own bound, which
    /// is not beyond the timeout of a call.
    fn hold_off(&self) {
        let until = tokio::time::Instant::now() + self.timeout;
        *self.hold_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    async fn held_off(&self) {
        while let Some(until) = self.held_until() {
            tokio::time::sleep_until(until).await;
        }
    }

    fn held_until(&self) -> Option<tokio::time::Instant> {
        let until = *self.hold_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > tokio::time::Instant::now())
    }

    /// Tells the tier of a change: what it covers is void from then on. What is to be scanned for has yet to be freed.
    async fn tell(&self, change: &Change, manner: Manner, coherence: &Coherence) -> Result<Carried, TierError> {
        let Some(shared) = self.shared() else {
            let removed = match change {
                Change::Keys(keys) => self.attempt(self.tier.delete(keys)).await?,
                // Without a journal nobody could tell which entries of the tier are older than the tags' invalidation.
                Change::Tags(_) => self.sweep(&Change::Clear).await?,
                _ => self.sweep(change).await?,
            };
            return Ok(Carried { removed, position: None });
        };
        let Manner { lift, acknowledge } = manner;
        let mut carried = Carried { removed: 0, position: None };
        let mut tell = async |change: Change, keys: &[Key], lift| {
            let record = Record { node: coherence.node, change, acknowledge };
            let appended = self.attempt(shared.invalidate(keys, &record, lift)).await?;
            acknowledge_in(coherence, &record.change, &appended)?;
            carried.removed += appended.removed.iter().filter(|removed| **removed).count() as u64;
            carried.position = Some(appended.position);
            Ok::<(), TierError>(())
        };
        if let Change::Keys(keys) = change {
            for keys in keys.chunks(RECORD_MAX_KEYS) {
                tell(Change::Keys(keys.into()), keys, lift).await?;
            }
        } else {
            tell(dated(shared, change).into_owned(), &[], None).await?;
        }
        Ok(carried)
    }

    /// Whether what a change voids is to be scanned for once the tier knows of it.
    fn scans_for(&self, change: &Change) -> bool {
        self.shared().is_some_and(|shared| matches!(*dated(shared, change), Change::Pattern(_) | Change::Clear))
    }

    /// Frees what a change voids whose record stands at `position`, and tells how many entries and leases are gone.
    async fn free(&self, change: &Change, position: Position, coherence: &Coherence) -> Result<u64, TierError> {
        let Some(shared) = self.shared() else { return Ok(0) };
        let change = dated(shared, change);
        let removed = self.sweep(&change).await?;
        if let Change::Pattern(pattern) = &*change
            && self.attempt(shared.swept(pattern, position)).await?
        {
            coherence.rules.swept(position, pattern);
        }
        Ok(removed)
    }

    /// Frees what a pattern or a clear covers. It takes as long as the tier is large, so the tier bounds its own steps.
    async fn sweep(&self, change: &Change) -> Result<u64, TierError> {
        let swept = match change {
            Change::Pattern(pattern) => self.tier.invalidate_pattern(pattern).await,
            Change::Clear => self.tier.clear().await,
            // A tag has no index: what has it is void, and runs out by itself.
            Change::Tags(_) | Change::Keys(_) | Change::Fence(..) | Change::Begin => Ok(0),
        };
        self.note(swept)
    }

    /// Pings the tier for the first time: one that does not answer is down at once.
    pub(crate) async fn greet(&self) {
        if let Err(error) = self.attempt(self.tier.ping()).await {
            if self.breaker.open() {
                self.tell_down(&error);
            }
            self.update_state();
            self.work.notify_one();
        }
    }

    /// Pings the tier and tells how it is.
    pub(crate) async fn status(&self) -> TierStatus {
        let asked = tokio::time::Instant::now();
        let answered = self.attempt(self.tier.ping()).await.is_ok();
        let latency = answered.then(|| asked.elapsed());
        let health = self.lock_health();
        TierStatus {
            name: self.tier.name(),
            state: health.state,
            since: health.since,
            last_error: health.last_error.as_ref().map(ToString::to_string),
            latency,
        }
    }

    /// Whether its breaker is open.
    #[cfg(feature = "metrics")]
    pub(crate) fn is_down(&self) -> bool {
        self.breaker.is_open()
    }

    pub(crate) fn queued(&self) -> u64 {
        self.lock_queue().len() as u64
    }

    fn lock_queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The change as it is carried to the tier. Where the tier does not say when its entries were made, nobody could tell those that a
/// clear or a tag covers from those that came after it: then all that is there is scanned for.
fn dated<'a>(shared: &dyn SharedTier, change: &'a Change) -> Cow<'a, Change> {
    if !shared.keeps_births() && matches!(change, Change::Clear | Change::Tags(_)) {
        return Cow::Owned(Change::Pattern(Pattern::all()));
    }
    Cow::Borrowed(change)
}

/// # Errors
/// The journal that the record went to is gone, and the change may be gone with it: it is to be carried again.
pub(crate) fn acknowledge_in(coherence: &Coherence, change: &Change, appended: &Appended) -> Result<(), TierError> {
    let stands = coherence.acknowledged(change, appended);
    stands.then_some(()).ok_or_else(|| TierError::unavailable("the journal began anew after the record was appended"))
}

/// How a change is carried to the shared tier.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// Fences with this token are lifted.
    pub(crate) lift: Option<Token>,
    /// Every node is asked to acknowledge it.
    pub(crate) acknowledge: bool,
}

/// A change that the tier has been told of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    /// How many entries and leases are gone.
    pub(crate) removed: u64,
    /// Where it stands in the journal, if the tier keeps one: its last record, where it needed several.
    pub(crate) position: Option<Position>,
}

impl Debts for Far {
    fn owe(&self, change: &Change, coherence: &Coherence) {
        coherence.void(change);
        self.enqueue(change, coherence);
    }

    fn pass_on(&self, change: &Change, coherence: &Coherence) {
        self.queue(change, coherence, false);
        self.work.notify_one();
    }

    fn any(&self) -> bool {
        self.under_way.load(Ordering::Acquire) > 0 || self.backlog.load(Ordering::Acquire)
    }
}

/// The tier could not be told now.
#[derive(Debug)]
pub(crate) struct Queued;
