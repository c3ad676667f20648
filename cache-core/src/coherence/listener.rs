//! Follows the journal over the bus: in order, without a gap, and knowing when it cannot.
//!
//! The bus delivers records as they are appended; the journal is the truth. A record whose `previous` is not the last one
//! applied shows a gap, which is read from the journal. When the journal no longer reaches back, or went backwards, the
//! near tier is emptied. A heartbeat asks for the journal's last position over the same connection, so silence is told
//! apart from peace.
//!
//! When records are missing from the journal that this node knows to have been there, a server without them has taken
//! over. What they removed may be back, so they are delivered again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backon::BackoffBuilder;

use crate::coherence::recent::remembered;
use crate::coherence::state::Coherence;
use crate::coherence::{Bus, BusConnection, BusMessage, Change, Position, Record, Replica};
use crate::error::TierError;
use crate::event::Event;

/// Records read from the journal at a time.
pub(crate) const PAGE: usize = 500;

/// The shortest and the longest wait between two attempts to connect.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));

/// The changes that the shared tier has yet to be told of.
pub(crate) trait Debts: Send + Sync {
    /// Has `change` delivered before this node reads the tier again.
    fn owe(&self, change: &Change, coherence: &Coherence);

    /// As [`Debts::owe`], of a change that another node has made and this one is applying: that is in the order of things.
    fn pass_on(&self, change: &Change, coherence: &Coherence);

    /// Whether a change of this node is on its way to the tier, or waits.
    fn any(&self) -> bool;
}

pub(crate) struct Listener {
    pub(crate) coherence: Arc<Coherence>,
    pub(crate) debts: Arc<dyn Debts>,
}

impl Listener {
    /// Listens until dropped. `first_attempt` is told when the first attempt to connect has ended, however it did.
    pub(crate) async fn run(self, bus: &dyn Bus, mut first_attempt: Option<tokio::sync::oneshot::Sender<()>>) {
        let clock = Arc::clone(&self.coherence.clock);
        let mut waits = reconnect_waits();
        loop {
            match self.connect(bus).await {
                Ok(mut connection) => {
                    waits = reconnect_waits();
                    drop(first_attempt.take());
                    let lost = self.follow(&mut *connection).await;
                    self.coherence.isolate(&lost.to_string());
                }
                Err(error) => {
                    drop(first_attempt.take());
                    self.coherence.isolate(&error.to_string());
                }
            }
            clock.sleep(waits.next().unwrap_or(RECONNECT.1)).await;
        }
    }

    /// Opens a connection and brings this node up to the journal's end.
    async fn connect(&self, bus: &dyn Bus) -> Result<Box<dyn BusConnection>, TierError> {
        let mut connection = self.bounded(bus.connect()).await?;
        let known = self.coherence.known();
        self.bounded(connection.begin(known)).await?;
        let last = self.bounded(connection.last_position()).await?;
        match self.coherence.applied() {
            None => {
                self.coherence.recent.look_through();
                let since = self.begin(&mut *connection, last).await?;
                self.owe(&since);
            }
            // Also where it ends as it did: another may stand in its place.
            Some(applied) => {
                self.catch_up(&mut *connection, applied, last).await?;
                self.compare_patterns(&mut *connection).await?;
            }
        }
        // Only a node that is registered, with what it has applied, is waited for by those who ask for acknowledgements.
        self.compare(&mut *connection).await?;
        Ok(connection)
    }

    /// Forgets the patterns whose scans have ended while nothing was heard: that is told once, and is in no journal. So is the
    /// end of a scan that this node knows of and the server does not: then it has what it had before, and is scanned again.
    async fn compare_patterns(&self, connection: &mut dyn BusConnection) -> Result<(), TierError> {
        // Before the rules are read, which know of everything up to this.
        let applied = self.coherence.applied().unwrap_or(Position::START);
        let kept = self.bounded(connection.rules()).await?;
        let returned = self.coherence.rules.returned(&kept, applied);
        self.coherence.rules.swept_but(&kept, applied);
        self.owe(&returned.into_iter().map(Change::Pattern).collect::<Vec<_>>());
        Ok(())
    }

    /// Applies what comes until the connection is lost, and says why it was.
    async fn follow(&self, connection: &mut dyn BusConnection) -> TierError {
        let clock = Arc::clone(&self.coherence.clock);
        let interval = self.coherence.trust.timings().heartbeat_interval;
        let mut beat = clock.sleep(interval);
        loop {
            let step = tokio::select! {
                message = connection.next() => match message {
                    Some(message) => self.receive(connection, message).await,
                    None => Err(TierError::unavailable("the bus connection was closed")),
                },
                () = &mut beat => {
                    beat = clock.sleep(interval);
                    self.compare(connection).await
                }
            };
            let step = match step {
                Ok(()) if self.coherence.has_lost() => self.reset(connection).await,
                Ok(()) if self.coherence.take_asked() => self.compare(connection).await,
                step => step,
            };
            if let Err(error) = step {
                return error;
            }
        }
    }

    async fn receive(&self, connection: &mut dyn BusConnection, message: BusMessage) -> Result<(), TierError> {
        match message {
            BusMessage::Appended { previous, position, record, replica } => {
                let applied = self.coherence.applied().unwrap_or(Position::START);
                let recent = &self.coherence.recent;
                if !recent.allows(previous, position) || !recent.agrees(position, Some(&record)) {
                    self.reset(connection).await?;
                } else if previous == applied {
                    self.coherence.apply(position, Some(&record));
                    self.take(&record, position, replica);
                } else if position > applied {
                    self.catch_up(connection, applied, position).await?;
                }
                // Else it was read from the journal already.
            }
            BusMessage::LeaseEnded(key) => self.coherence.waiters.wake(key.as_str()),
            BusMessage::Swept(pattern, position) => self.coherence.rules.swept(position, &pattern),
            BusMessage::Touched(keys) => self.coherence.void_touched(keys),
            BusMessage::TouchedAll => self.coherence.void_all_touched(),
            // The next record, or the heartbeat, shows the gap.
            BusMessage::Unreadable => {}
        }
        Ok(())
    }

    /// Takes a value that came with its record.
    fn take(&self, record: &Record, position: Position, replica: Option<Box<Replica>>) {
        let own = record.node == self.coherence.node;
        if let (Some(replica), Change::Keys(keys)) = (replica, &record.change)
            && let [key] = &keys[..]
            && !own
        {
            self.coherence.insert_replica(key, &replica.entry, position, replica.ttl, || self.debts.any());
        }
    }

    /// Says that this node lives, and compares the journal's end with what was applied.
    async fn compare(&self, connection: &mut dyn BusConnection) -> Result<(), TierError> {
        // Noted before the question: what this node knows of by then, the answer must know as well.
        let known = self.coherence.known();
        let asked = self.coherence.clock.now();
        let last = self.bounded(connection.beat(self.coherence.beat())).await?;
        if last < known || self.coherence.has_lost() {
            self.reset(connection).await?;
        } else {
            self.apply_until(connection, last).await?;
        }
        if self.coherence.is_news(connection.comebacks()) {
            let changes = self.coherence.recent.all();
            let records = changes.len();
            tracing::warn!(target: "cache_aside", node = %self.coherence.node, records, "a server was replaced: delivering the latest records again");
            self.owe(&changes);
        }
        self.coherence.confirm(asked);
        Ok(())
    }

    /// Applies what has arrived, and what has not, up to `last`.
    async fn apply_until(&self, connection: &mut dyn BusConnection, last: Position) -> Result<(), TierError> {
        while let Some(message) = connection.try_next() {
            self.receive(connection, message).await?;
        }
        let applied = self.coherence.applied().unwrap_or(Position::START);
        // Records that came after the answer may have been applied already.
        if last > applied { self.catch_up(connection, applied, last).await } else { Ok(()) }
    }

    /// Applies the records after `applied` up to at least `last`, or starts anew where the journal does not tell them.
    async fn catch_up(
        &self,
        connection: &mut dyn BusConnection,
        mut applied: Position,
        last: Position,
    ) -> Result<(), TierError> {
        if last > applied {
            self.coherence.counters.replays.increment();
            self.coherence.events.emit(Event::BusReplayed);
        }
        loop {
            let page = self.bounded(connection.read_after(applied.previous(), PAGE)).await?;
            let newest = page.records.last().map_or(applied, |(newest, _)| *newest);
            if !self.coherence.replay(applied, &page) || newest < last && newest <= applied {
                return self.reset(connection).await;
            }
            applied = newest;
            if applied >= last {
                return Ok(());
            }
        }
    }

    /// Goes on from the journal's end without knowing all that it said before, or after it has lost what it said.
    async fn reset(&self, connection: &mut dyn BusConnection) -> Result<(), TierError> {
        let known = self.coherence.known();
        self.bounded(connection.begin(known)).await?;
        self.coherence.recent.look_through();
        let mut lost = self.lost(connection).await?;
        let last = self.bounded(connection.last_position()).await?;
        lost.extend(self.begin(connection, last).await?);
        self.coherence.counters.resets.increment();
        self.coherence.events.emit(Event::BusReset { redelivered: lost.len() });
        // After the beginning, so that what they void here is not forgotten.
        self.owe(&lost);
        Ok(())
    }

    /// Has the changes carried again.
    fn owe(&self, changes: &[Change]) {
        changes.iter().for_each(|change| self.debts.owe(change, &self.coherence));
    }

    /// The changes that the journal has lost. A journal that reaches back to none of them was lost as a whole, and the
    /// values with it; or it has moved on so far that they are old.
    async fn lost(&self, connection: &mut dyn BusConnection) -> Result<Vec<Change>, TierError> {
        let recent = &self.coherence.recent;
        let mut journal = BTreeMap::new();
        let mut after = recent.from().previous();
        loop {
            let page = self.bounded(connection.read_after(after, PAGE)).await?;
            let Some(oldest) = page.oldest else { return Ok(Vec::new()) };
            for (position, record) in &page.records {
                let change = record.as_ref().map_or(Change::Clear, |record| remembered(&record.change));
                journal.insert(*position, change);
            }
            match page.records.last() {
                Some((newest, _)) if page.records.len() >= PAGE => after = *newest,
                _ => return Ok(recent.missing_from(oldest, &journal)),
            }
        }
    }

    /// Takes up the journal at `last`, and gives what is to be carried again. The rules are read after it, so none of those
    /// that hold there is missing.
    async fn begin(&self, connection: &mut dyn BusConnection, last: Position) -> Result<Vec<Change>, TierError> {
        let mut rules = self.bounded(connection.rules()).await?;
        let outlived = rules.take_outlived(last, self.coherence.rules.lifetime());
        if !outlived.is_empty() {
            self.bounded(connection.forget(&outlived)).await?;
        }
        Ok(self.coherence.begin(last, rules))
    }

    async fn bounded<R>(&self, call: impl Future<Output = Result<R, TierError>>) -> Result<R, TierError> {
        let timeout = self.coherence.trust.timings().heartbeat_timeout;
        tokio::time::timeout(timeout, call)
            .await
            .unwrap_or_else(|_| Err(TierError::timed_out(format!("the bus did not answer within {timeout:?}"))))
    }
}

fn reconnect_waits() -> backon::ExponentialBackoff {
    let (shortest, longest) = RECONNECT;
    backon::ExponentialBuilder::default()
        .with_min_delay(shortest)
        .with_max_delay(longest)
        .without_max_times()
        .with_jitter()
        .build()
}

#[cfg(test)]
mod tests;
