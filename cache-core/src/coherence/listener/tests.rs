use std::collections::VecDeque;

use async_trait::async_trait;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::coherence::{Beat, JournalPage, NodeId, RuleSet, Timings};
use crate::stats::Counters;
use crate::tags::TagSlot;
use crate::tier::Appended;

/// A connection whose answers are written down beforehand, so that a message can come between any two of them.
#[derive(Default)]
struct Script {
    messages: VecDeque<BusMessage>,
    last: VecDeque<Position>,
    pages: VecDeque<JournalPage>,
    begun: Vec<Position>,
    beats: Vec<Beat>,
    /// What happens in this node while it is told the rules.
    meanwhile: Option<Box<dyn FnOnce() + Send>>,
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

    async fn rules(&mut self) -> Result<RuleSet, TierError> {
        if let Some(meanwhile) = self.meanwhile.take() {
            meanwhile();
        }
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

    fn pass_on(&self, change: &Change, coherence: &Coherence) {
        self.owe(change, coherence);
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
    assert_eq!(coherence.begin(at(5), RuleSet::default()), []);
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
    let mut connection =
        Script { last: [at(3), at(6)].into(), pages: [JournalPage::default()].into(), ..Script::default() };
    listener.compare(&mut connection).await.unwrap();
    assert_eq!((listener.coherence.applied(), resets(&listener)), (Some(at(6)), 1));
    assert_eq!(connection.begun, [at(5)], "it goes on behind what this node knows of");
}

fn other() -> Record {
    Record::new(NodeId::new(9), Change::Keys([crate::key::Key::new("other").unwrap()].into()))
}

fn page(oldest: u64, records: &[(u64, &Record)]) -> JournalPage {
    let records = records.iter().map(|(n, record)| (at(*n), Some((*record).clone()))).collect();
    JournalPage { oldest: Some(at(oldest)), records }
}

/// A listener that has applied 6 and 7 as well, and what it owes.
fn ahead() -> (Listener, Arc<Owed>) {
    let owed = Arc::new(Owed::default());
    let listener = Listener { debts: Arc::clone(&owed) as Arc<dyn Debts>, ..listener() };
    for position in [6, 7] {
        listener.coherence.apply(at(position), Some(&record()));
    }
    (listener, owed)
}

fn owed(owed: &Owed) -> Vec<Change> {
    owed.0.lock().unwrap().clone()
}

#[tokio::test]
async fn records_that_the_journal_has_lost_are_delivered_again() {
    let (listener, debts) = ahead();
    // The server that took over has the record at 6.
    let mut connection = Script {
        last: [at(6), at(9)].into(),
        pages: [page(2, &[(5, &other()), (6, &record()), (9, &other())])].into(),
        ..Script::default()
    };
    listener.compare(&mut connection).await.unwrap();
    assert_eq!((listener.coherence.applied(), resets(&listener)), (Some(at(9)), 1));
    assert_eq!(owed(&debts), [record().change]);
}

#[tokio::test]
async fn what_is_acknowledged_while_the_journal_is_taken_up_anew_is_delivered_again() {
    let (listener, debts) = ahead();
    // It may have gone to the server whose end the journal is not.
    let coherence = Arc::clone(&listener.coherence);
    let own = Appended { previous: at(7), position: at(8), removed: Vec::new() };
    let acknowledged = move || assert!(coherence.acknowledged(&other().change, &own));
    let mut connection = Script {
        last: [at(3), at(6)].into(),
        pages: [JournalPage::default()].into(),
        meanwhile: Some(Box::new(acknowledged)),
        ..Script::default()
    };
    listener.compare(&mut connection).await.unwrap();
    assert_eq!((resets(&listener), owed(&debts)), (1, vec![other().change]));
}

#[tokio::test]
async fn a_loss_is_noticed_although_this_node_has_written_since() {
    let (listener, debts) = ahead();
    // The server that took over ends at 5. Before the bus is back, it has acknowledged a record of this node at 8.
    let appended = Appended { previous: at(5), position: at(8), removed: Vec::new() };
    assert!(listener.coherence.acknowledged(&other().change, &appended));
    assert!(listener.coherence.has_lost() && listener.coherence.trust.is_isolated(listener.coherence.clock.now()));
    let mut connection = Script {
        last: [at(8), at(8)].into(),
        pages: [page(2, &[(5, &other()), (8, &other())])].into(),
        ..Script::default()
    };
    listener.compare(&mut connection).await.unwrap();
    assert_eq!((resets(&listener), listener.coherence.has_lost()), (1, false));
    assert_eq!(owed(&debts), [record().change, record().change]);
    assert!(!listener.coherence.acknowledged(&other().change, &appended), "it was appended before the reset");
}

#[tokio::test]
async fn a_record_that_is_acknowledged_after_others_were_applied_in_its_place_was_lost() {
    let (listener, _) = ahead();
    let late = |previous, position| Appended { previous: at(previous), position: at(position), removed: Vec::new() };
    listener.coherence.apply(at(9), Some(&record()));
    assert!(listener.coherence.acknowledged(&other().change, &late(7, 8)));
    assert!(listener.coherence.has_lost(), "9 was applied after 7");
    let (listener, _) = ahead();
    assert!(
        !listener.coherence.acknowledged(&other().change, &late(6, 7)),
        "another stands there: it is to be sent again"
    );
    assert!(listener.coherence.has_lost());
}

#[tokio::test]
async fn another_record_in_the_place_of_an_own_one_is_noticed() {
    let (listener, debts) = ahead();
    let own = Appended { previous: at(7), position: at(8), removed: Vec::new() };
    assert!(listener.coherence.acknowledged(&other().change, &own));
    let journal = page(2, &[(5, &other()), (6, &record()), (7, &record()), (8, &record()), (9, &record())]);
    let mut connection = Script {
        last: [at(9)].into(),
        pages: [page(2, &[(7, &record()), (8, &record()), (9, &record())]), journal].into(),
        ..Script::default()
    };
    listener.receive(&mut connection, appended(8, 9)).await.unwrap();
    assert_eq!((resets(&listener), owed(&debts)), (1, vec![other().change]));
}

#[tokio::test]
async fn an_own_record_that_was_lost_is_noticed_by_the_next_one() {
    let (listener, debts) = ahead();
    let own = Appended { previous: at(7), position: at(8), removed: Vec::new() };
    assert!(listener.coherence.acknowledged(&other().change, &own));
    let mut connection = Script {
        last: [at(9)].into(),
        pages: [page(2, &[(5, &other()), (6, &record()), (7, &record()), (9, &record())])].into(),
        ..Script::default()
    };
    listener.receive(&mut connection, appended(7, 9)).await.unwrap();
    assert_eq!((resets(&listener), owed(&debts)), (1, vec![other().change]));
}

#[tokio::test]
async fn another_record_in_the_place_of_one_that_was_applied_is_noticed() {
    let (listener, debts) = ahead();
    let journal = page(2, &[(5, &other()), (6, &record()), (7, &other()), (8, &record())]);
    let mut connection = Script {
        last: [at(8)].into(),
        pages: [page(2, &[(7, &other()), (8, &record())]), journal].into(),
        ..Script::default()
    };
    listener.receive(&mut connection, appended(7, 9)).await.unwrap();
    assert_eq!(resets(&listener), 0, "nothing speaks against it");
    listener.receive(&mut connection, appended(11, 12)).await.unwrap();
    assert_eq!((resets(&listener), owed(&debts).len()), (1, 2), "the records at 7 and 9");
}

#[tokio::test]
async fn a_gap_is_read_from_the_journal() {
    let listener = listener();
    let page = page(2, &[(5, &other()), (6, &record()), (7, &record()), (8, &record())]);
    let mut connection = Script { pages: [page].into(), ..Script::default() };
    listener.receive(&mut connection, appended(7, 8)).await.unwrap();
    assert_eq!((listener.coherence.applied(), resets(&listener)), (Some(at(8)), 0));
    listener.receive(&mut connection, appended(6, 7)).await.unwrap();
    assert_eq!(listener.coherence.applied(), Some(at(8)), "it was read from the journal already");
}

#[tokio::test]
async fn a_gap_that_the_journal_does_not_tell_empties_the_near_tier() {
    let listener = listener();
    let page = page(7, &[(7, &record()), (8, &record())]);
    let mut connection = Script { pages: [page.clone(), page].into(), last: [at(8)].into(), ..Script::default() };
    listener.receive(&mut connection, appended(7, 8)).await.unwrap();
    assert_eq!((listener.coherence.applied(), resets(&listener)), (Some(at(8)), 1));
}

#[tokio::test]
async fn silence_is_not_peace() {
    let listener = listener();
    let page = page(5, &[(5, &other()), (6, &record())]);
    let mut connection = Script { last: [at(6)].into(), pages: [page].into(), ..Script::default() };
    listener.compare(&mut connection).await.unwrap();
    assert_eq!((listener.coherence.applied(), resets(&listener)), (Some(at(6)), 0));
}
