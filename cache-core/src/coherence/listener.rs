//! Follows the journal over the bus: in order, without a gap, and knowing when it cannot.
//!
//! The bus delivers records as they are appended; the journal is the truth. A record whose `previous` is not the last one
//! applied shows a gap, which is read from the journal. When the journal no longer reaches back, or went backwards, the
//! near tier is emptied. A heartbeat asks for the journal's last position over the same connection, so silence is told
//! apart from peace.

use std::sync::Arc;
use std::time::Duration;

use backon::BackoffBuilder;

use crate::coherence::state::Coherence;
use crate::coherence::{Bus, BusConnection, BusMessage, Position};
use crate::error::TierError;

/// Records read from the journal at a time.
pub(crate) const PAGE: usize = 500;

/// The shortest and the longest wait between two attempts to connect.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

pub(crate) struct Listener {
    pub(crate) coherence: Arc<Coherence>,
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
        let asked = self.coherence.clock.now();
        let last = self.bounded(connection.last_position()).await?;
        match self.coherence.applied() {
            None => self.begin(&mut *connection, last).await?,
            Some(applied) => self.catch_up(&mut *connection, applied, last).await?,
        }
        self.coherence.confirm(asked);
        Ok(connection)
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
                    let asked = clock.now();
                    beat = clock.sleep(interval);
                    self.compare(connection).await.map(|()| self.coherence.confirm(asked))
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
        let before = self.coherence.applied().unwrap_or(Position::START);
        let last = self.bounded(connection.last_position()).await?;
        if last < before {
            return self.catch_up(connection, before, last).await;
        }
        while let Some(message) = connection.try_next() {
            self.receive(connection, message).await?;
        }
        let applied = self.coherence.applied().unwrap_or(Position::START);
        // Records that came after the answer may have been applied already.
        self.catch_up(connection, applied, last.max(applied)).await
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
mod tests {
    use std::collections::VecDeque;

    use async_trait::async_trait;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::coherence::{Change, JournalPage, NodeId, Record, RuleSet, Timings};
    use crate::stats::Counters;

    /// A connection whose answers are written down beforehand, so that a message can come between any two of them.
    #[derive(Default)]
    struct Script {
        messages: VecDeque<BusMessage>,
        last: VecDeque<Position>,
        pages: VecDeque<JournalPage>,
    }

    #[async_trait]
    impl BusConnection for Script {
        async fn next(&mut self) -> Option<BusMessage> {
            self.messages.pop_front()
        }

        fn try_next(&mut self) -> Option<BusMessage> {
            self.messages.pop_front()
        }

        async fn rules(&mut self) -> Result<RuleSet, TierError> {
            Ok(RuleSet::default())
        }

        async fn last_position(&mut self) -> Result<Position, TierError> {
            Ok(self.last.pop_front().unwrap())
        }

        async fn read_after(&mut self, _: Position, _: usize) -> Result<JournalPage, TierError> {
            Ok(self.pages.pop_front().unwrap())
        }
    }

    fn at(n: u64) -> Position {
        Position::new(n, 0)
    }

    fn record() -> Record {
        Record { node: NodeId::new(9), change: Change::Keys([crate::key::Key::new("k").unwrap()].into()) }
    }

    fn appended(previous: u64, position: u64) -> BusMessage {
        BusMessage::Appended { previous: at(previous), position: at(position), record: record() }
    }

    /// A listener that has applied everything up to position 5.
    fn listener() -> Listener {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        let counters = Arc::new(Counters::default());
        let coherence = Coherence::new(None, clock, counters, Timings::TEST, true);
        coherence.begin(at(5), RuleSet::default());
        Listener { coherence: Arc::new(coherence) }
    }

    fn resets(listener: &Listener) -> u64 {
        listener.coherence.counters.resets.get()
    }

    #[tokio::test]
    async fn a_record_that_comes_after_the_heartbeats_answer_is_no_step_back() {
        let listener = listener();
        let mut connection =
            Script { messages: [appended(5, 6), appended(6, 7)].into(), last: [at(6)].into(), ..Script::default() };
        listener.compare(&mut connection).await.unwrap();
        assert_eq!((listener.coherence.applied(), resets(&listener)), (Some(at(7)), 0));
    }

    #[tokio::test]
    async fn a_journal_that_ends_before_what_was_applied_is_another_one() {
        let listener = listener();
        let mut connection = Script { last: [at(3)].into(), ..Script::default() };
        listener.compare(&mut connection).await.unwrap();
        assert_eq!((listener.coherence.applied(), resets(&listener)), (Some(at(3)), 1));
    }

    #[tokio::test]
    async fn a_gap_is_read_from_the_journal() {
        let listener = listener();
        let records = vec![(at(6), Some(record())), (at(7), Some(record())), (at(8), Some(record()))];
        let page = JournalPage { oldest: Some(at(2)), records };
        let mut connection = Script { pages: [page].into(), ..Script::default() };
        listener.receive(&mut connection, appended(7, 8)).await.unwrap();
        assert_eq!((listener.coherence.applied(), resets(&listener)), (Some(at(8)), 0));
        listener.receive(&mut connection, appended(6, 7)).await.unwrap();
        assert_eq!(listener.coherence.applied(), Some(at(8)), "it was read from the journal already");
    }

    #[tokio::test]
    async fn a_gap_that_the_journal_does_not_tell_empties_the_near_tier() {
        let listener = listener();
        let page = JournalPage { oldest: Some(at(7)), records: vec![(at(7), Some(record())), (at(8), Some(record()))] };
        let mut connection = Script { pages: [page].into(), ..Script::default() };
        listener.receive(&mut connection, appended(7, 8)).await.unwrap();
        assert_eq!((listener.coherence.applied(), resets(&listener)), (Some(at(8)), 1));
    }

    #[tokio::test]
    async fn silence_is_not_peace() {
        let listener = listener();
        let page = JournalPage { oldest: Some(at(5)), records: vec![(at(6), Some(record()))] };
        let mut connection = Script { last: [at(6)].into(), pages: [page].into(), ..Script::default() };
        listener.compare(&mut connection).await.unwrap();
        assert_eq!((listener.coherence.applied(), resets(&listener)), (Some(at(6)), 0));
    }
}
