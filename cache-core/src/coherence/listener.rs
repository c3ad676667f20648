//! Follows the journal over the bus: in order, without a gap, and knowing when it cannot.
//!
//! The bus delivers records as they are appended; the journal is the truth. A record whose `previous` is not the last one
//! applied shows a gap, which is read from the journal. When the journal no longer reaches back, or went backwards, the
//! near tier is emptied. A heartbeat asks for the journal's last position over the same connection, so silence is told
//! apart from peace.
//!
//! When records are missing from the journal that this node knows to have been there, a server without them has taken
//! over. What they removed may be back, so they are delivered again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use backon::BackoffBuilder;

use crate::coherence::state::Coherence;
use crate::coherence::{Bus, BusConnection, BusMessage, Change, Position, Record, Replica};
use crate::error::TierError;

/// Records read from the journal at a time.
pub(crate) const PAGE: usize = 500;

/// The shortest and the longest wait between two attempts to connect.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The changes that the shared tier has yet to be told of.
pub(crate) trait Debts: Send + Sync {
    /// Has `change` delivered before this node reads the tier again.
    fn owe(&self, change: &Change, coherence: &Coherence);

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
            None => self.begin(&mut *connection, last).await?,
            Some(applied) if self.is_there(&mut *connection, known).await? => {
                self.catch_up(&mut *connection, applied, last).await?;
            }
            Some(_) => self.reset(&mut *connection).await?,
        }
        // Only a node that is registered, with what it has applied, is waited for by those who ask for acknowledgements.
        self.compare(&mut *connection).await?;
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
                    beat = clock.sleep(interval);
                    self.compare(connection).await
                }
            };
            let step = match step {
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
                if previous == applied {
                    self.coherence.apply(position, Some(&record));
                    self.take(&record, position, replica);
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

    /// Takes a value that came with its record, unless this node has a change of its own under way, of which nobody knows
    /// whether it comes before or after.
    fn take(&self, record: &Record, position: Position, replica: Option<Replica>) {
        let own = record.node == self.coherence.node;
        if let (Some(replica), Change::Keys(keys)) = (replica, &record.change)
            && let [key] = &keys[..]
            && !own
            && !self.debts.any()
        {
            self.coherence.insert_replica(key, &replica.entry, position, replica.ttl);
        }
    }

    /// Says that this node lives, and compares the journal's end with what was applied.
    async fn compare(&self, connection: &mut dyn BusConnection) -> Result<(), TierError> {
        // Noted before the question: what this node knows of by then, the answer must know as well.
        let known = self.coherence.known();
        let asked = self.coherence.clock.now();
        let last = self.bounded(connection.beat(self.coherence.beat())).await?;
        if last < known {
            self.reset(connection).await?;
        } else {
            self.apply_until(connection, last).await?;
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
        self.catch_up(connection, applied, last.max(applied)).await
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
        }
        while applied < last {
            let page = self.bounded(connection.read_after(applied, PAGE)).await?;
            let newest = page.records.last().map(|(newest, _)| *newest);
            match newest.filter(|_| self.coherence.replay(applied, &page)) {
                Some(newest) => applied = newest,
                None => return self.reset(connection).await,
            }
        }
        Ok(())
    }

    /// Whether the journal still has the record at `position`.
    async fn is_there(&self, connection: &mut dyn BusConnection, position: Position) -> Result<bool, TierError> {
        let found = self.bounded(connection.last_until(position)).await?;
        Ok(position == Position::START || found == Some(position))
    }

    /// Goes on from the journal's end without knowing all that it said before, or after it has lost what it said.
    async fn reset(&self, connection: &mut dyn BusConnection) -> Result<(), TierError> {
        self.coherence.counters.resets.increment();
        tracing::warn!(target: "cache_aside", node = %self.coherence.node, "the journal does not reach back: near tier emptied");
        let known = self.coherence.known();
        self.bounded(connection.begin(known)).await?;
        let lost = self.lost(connection, known).await?;
        let last = self.bounded(connection.last_position()).await?;
        self.begin(connection, last).await?;
        if !lost.is_empty() {
            let records = lost.len();
            tracing::warn!(target: "cache_aside", node = %self.coherence.node, records, "the journal has lost records: delivering them again");
        }
        // After the beginning, so that what they void here is not forgotten.
        lost.iter().for_each(|change| self.debts.owe(change, &self.coherence));
        Ok(())
    }

    /// The changes up to `known` that the journal has lost. A journal that reaches back to none of them was lost as a whole,
    /// and the values with it; or it has moved on so far that they are old.
    async fn lost(&self, connection: &mut dyn BusConnection, known: Position) -> Result<Vec<Change>, TierError> {
        let Some(last) = self.bounded(connection.last_until(known)).await? else { return Ok(Vec::new()) };
        let mut present = HashSet::new();
        let mut from = last;
        loop {
            let page = self.bounded(connection.read_after(from, PAGE)).await?;
            let Some((newest, _)) = page.records.last() else { break };
            // Another node may have noticed first.
            if page.records.iter().any(|(_, record)| record.as_ref().is_some_and(Record::is_clear)) {
                return Ok(Vec::new());
            }
            present.extend(page.records.iter().map(|(position, _)| *position));
            from = *newest;
        }
        Ok(self.coherence.lost_after(last, &present))
    }

    /// Takes up the journal at `last`. The rules are read after it, so none of those that hold there is missing.
    async fn begin(&self, connection: &mut dyn BusConnection, last: Position) -> Result<(), TierError> {
        let mut rules = self.bounded(connection.rules()).await?;
        let outlived = rules.take_outlived(last, self.coherence.rules.lifetime());
        self.coherence.begin(last, rules);
        if !outlived.is_empty() {
            self.bounded(connection.forget(&outlived)).await?;
        }
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
    use crate::coherence::{Beat, JournalPage, NodeId, RuleSet, Timings};
    use crate::stats::Counters;
    use crate::tags::TagSlot;

    /// A connection whose answers are written down beforehand, so that a message can come between any two of them.
    #[derive(Default)]
    struct Script {
        messages: VecDeque<BusMessage>,
        last: VecDeque<Position>,
        last_until: VecDeque<Option<Position>>,
        pages: VecDeque<JournalPage>,
        begun: Vec<Position>,
        beats: Vec<Beat>,
    }

    #[async_trait]
    impl BusConnection for Script {
        async fn next(&mut self) -> Option<BusMessage> {
            self.messages.pop_front()
        }

        fn try_next(&mut self) -> Option<BusMessage> {
            self.messages.pop_front()
        }

        async fn beat(&mut self, beat: Beat) -> Result<Position, TierError> {
            self.beats.push(beat);
            self.last_position().await
        }

        async fn begin(&mut self, known: Position) -> Result<(), TierError> {
            self.begun.push(known);
            Ok(())
        }

        async fn last_until(&mut self, _: Position) -> Result<Option<Position>, TierError> {
            Ok(self.last_until.pop_front().unwrap())
        }

        async fn rules(&mut self) -> Result<RuleSet, TierError> {
            Ok(RuleSet::default())
        }

        async fn forget(&mut self, _: &[(TagSlot, Position)]) -> Result<(), TierError> {
            Ok(())
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
        Record::new(NodeId::new(9), Change::Keys([crate::key::Key::new("k").unwrap()].into()))
    }

    fn appended(previous: u64, position: u64) -> BusMessage {
        BusMessage::Appended { previous: at(previous), position: at(position), record: record(), replica: None }
    }

    #[derive(Default)]
    struct Owed(std::sync::Mutex<Vec<Change>>);

    impl Debts for Owed {
        fn owe(&self, change: &Change, _: &Coherence) {
            self.0.lock().unwrap().push(change.clone());
        }

        fn any(&self) -> bool {
            false
        }
    }

    /// A listener that has applied everything up to position 5.
    fn listener() -> Listener {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        let counters = Arc::new(Counters::default());
        let coherence = Coherence::new(None, clock, counters, Timings::TEST, true);
        coherence.begin(at(5), RuleSet::default());
        Listener { coherence: Arc::new(coherence), debts: Arc::new(Owed::default()) }
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
        let mut connection = Script { last: [at(3), at(6)].into(), last_until: [None].into(), ..Script::default() };
        listener.compare(&mut connection).await.unwrap();
        assert_eq!((listener.coherence.applied(), resets(&listener)), (Some(at(6)), 1));
        assert_eq!(connection.begun, [at(5)], "it goes on behind what this node knows of");
    }

    #[tokio::test]
    async fn records_that_the_journal_has_lost_are_delivered_again() {
        let owed = Arc::new(Owed::default());
        let listener = Listener { debts: Arc::clone(&owed) as Arc<dyn Debts>, ..listener() };
        for position in [6, 7, 8] {
            listener.coherence.apply(at(position), Some(&record()));
        }
        // The server that took over has the record at 6; another node has noticed that already.
        let page = JournalPage { oldest: Some(at(2)), records: vec![(at(9), None)] };
        let mut connection = Script {
            last: [at(6), at(9)].into(),
            last_until: [Some(at(6))].into(),
            pages: [page, JournalPage::default()].into(),
            ..Script::default()
        };
        listener.compare(&mut connection).await.unwrap();
        assert_eq!((listener.coherence.applied(), resets(&listener)), (Some(at(9)), 1));
        assert_eq!(*owed.0.lock().unwrap(), [record().change, record().change]);
    }

    #[tokio::test]
    async fn a_clear_that_another_node_has_delivered_is_not_delivered_again() {
        let owed = Arc::new(Owed::default());
        let listener = Listener { debts: Arc::clone(&owed) as Arc<dyn Debts>, ..listener() };
        let cleared = Record::new(NodeId::new(8), Change::Clear);
        let page = JournalPage { oldest: Some(at(2)), records: vec![(at(6), Some(cleared))] };
        let mut connection = Script {
            last: [at(3), at(6)].into(),
            last_until: [Some(at(3))].into(),
            pages: [page].into(),
            ..Script::default()
        };
        listener.compare(&mut connection).await.unwrap();
        assert!(owed.0.lock().unwrap().is_empty());
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
        let mut connection =
            Script { pages: [page].into(), last: [at(8)].into(), last_until: [None].into(), ..Script::default() };
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
