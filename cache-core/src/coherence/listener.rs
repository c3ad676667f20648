//! Follows the journal over the bus: in order, without a gap, and knowing when it cannot.
//!
//! The bus delivers records as they are appended; the journal is the truth. A record whose `previous` is not the last one
//! applied shows a gap, which is read from the journal. When the journal no longer reaches back, or went backwards, the
//! near tier is emptied. A heartbeat asks for the journal's last position over the same connection, so silence is told
//! apart from peace.

use std::sync::Arc;
use std::time::Duration;

use backon::BackoffBuilder;

use crate::clock::Timestamp;
use crate::coherence::state::Coherence;
use crate::coherence::{Bus, BusConnection, BusMessage, Position};
use crate::error::TierError;

/// Records read from the journal at a time.
pub(crate) const PAGE: usize = 500;

/// The shortest and the longest wait between two attempts to connect.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

pub(crate) struct Listener {
    pub(crate) coherence: Arc<Coherence>,
    pub(crate) heartbeat: Heartbeat,
}

impl Listener {
    /// Listens until dropped. `first_attempt` is told when the first attempt to connect has ended, however it did.
    pub(crate) async fn run(self, bus: &dyn Bus, mut first_attempt: Option<tokio::sync::oneshot::Sender<()>>) {
        let clock = Arc::clone(&self.coherence.clock);
        let mut confirmed = clock.now();
        let mut waits = reconnect_waits();
        loop {
            match self.connect(bus).await {
                Ok(mut connection) => {
                    waits = reconnect_waits();
                    drop(first_attempt.take());
                    let lost = self.follow(&mut *connection, &mut confirmed).await;
                    self.coherence.isolate(confirmed, &lost.to_string());
                }
                Err(error) => {
                    drop(first_attempt.take());
                    self.coherence.isolate(confirmed, &error.to_string());
                }
            }
            clock.sleep(waits.next().unwrap_or(RECONNECT.1)).await;
        }
    }

    /// Opens a connection and brings this node up to the journal's end.
    async fn connect(&self, bus: &dyn Bus) -> Result<Box<dyn BusConnection>, TierError> {
        let mut connection = self.bounded(bus.connect()).await?;
        let last = self.bounded(connection.last_position()).await?;
        match self.coherence.applied() {
            None => self.begin(&mut *connection, last).await?,
            Some(applied) => self.catch_up(&mut *connection, applied, last).await?,
        }
        self.coherence.confirm();
        Ok(connection)
    }

    /// Applies what comes until the connection is lost, and says why it was. `confirmed` is kept at the latest time at
    /// which nothing had been missed.
    async fn follow(&self, connection: &mut dyn BusConnection, confirmed: &mut Timestamp) -> TierError {
        let clock = Arc::clone(&self.coherence.clock);
        *confirmed = clock.now();
        let mut beat = clock.sleep(self.heartbeat.interval);
        loop {
            let step = tokio::select! {
                message = connection.next() => match message {
                    Some(message) => self.receive(connection, message).await,
                    None => Err(TierError::unavailable("the bus connection was closed")),
                },
                () = &mut beat => {
                    let asked = clock.now();
                    beat = clock.sleep(self.heartbeat.interval);
                    self.compare(connection).await.map(|()| *confirmed = asked)
                }
            };
            if let Err(error) = step {
                return error;
            }
        }
    }

    async fn receive(&self, connection: &mut dyn BusConnection, message: BusMessage) -> Result<(), TierError> {
        match message {
            BusMessage::Appended { previous, position, record } => {
                let applied = self.coherence.applied().unwrap_or(Position::START);
                if previous == applied {
                    self.coherence.apply(position, Some(&record));
                } else if position > applied {
                    self.catch_up(connection, applied, position).await?;
                }
                // Else it was read from the journal already.
            }
            BusMessage::LeaseEnded(key) => self.coherence.waiters.wake(key.as_str()),
            BusMessage::Swept(pattern, position) => self.coherence.rules.swept(position, &pattern),
            // The next record, or the heartbeat, shows the gap.
            BusMessage::Unreadable => {}
        }
        Ok(())
    }

    /// Compares the journal's end with what was applied.
    async fn compare(&self, connection: &mut dyn BusConnection) -> Result<(), TierError> {
        let last = self.bounded(connection.last_position()).await?;
        while let Some(message) = connection.try_next() {
            self.receive(connection, message).await?;
        }
        let applied = self.coherence.applied().unwrap_or(Position::START);
        self.catch_up(connection, applied, last).await
    }

    /// Applies the records after `applied` up to at least `last`, or starts anew where the journal does not tell them.
    async fn catch_up(
        &self,
        connection: &mut dyn BusConnection,
        mut applied: Position,
        last: Position,
    ) -> Result<(), TierError> {
        if last < applied {
            return self.reset(connection, last).await;
        }
        if last > applied {
            self.coherence.counters.replays.increment();
        }
        while applied < last {
            let page = self.bounded(connection.read_after(applied, PAGE)).await?;
            let newest = page.records.last().map(|(newest, _)| *newest);
            match newest.filter(|_| self.coherence.replay(applied, &page)) {
                Some(newest) => applied = newest,
                None => return self.reset(connection, newest.unwrap_or(last)).await,
            }
        }
        Ok(())
    }

    /// Goes on from `last` without knowing what the journal said before it.
    async fn reset(&self, connection: &mut dyn BusConnection, last: Position) -> Result<(), TierError> {
        self.coherence.counters.resets.increment();
        tracing::warn!(target: "cache_aside", node = %self.coherence.node, "the journal does not reach back: near tier emptied");
        self.begin(connection, last).await
    }

    /// Takes up the journal at `last`. The rules are read after it, so none of those that hold there is missing.
    async fn begin(&self, connection: &mut dyn BusConnection, last: Position) -> Result<(), TierError> {
        let rules = self.bounded(connection.rules()).await?;
        self.coherence.begin(last, rules);
        Ok(())
    }

    async fn bounded<R>(&self, call: impl Future<Output = Result<R, TierError>>) -> Result<R, TierError> {
        tokio::time::timeout(self.heartbeat.timeout, call).await.unwrap_or_else(|_| {
            let timeout = self.heartbeat.timeout;
            Err(TierError::timed_out(format!("the bus did not answer within {timeout:?}")))
        })
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
