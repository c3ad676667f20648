//! The log of writes that have yet to reach the source.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::coherence::{BusConnection, BusMessage, Change, NodeId, Position, Record};
use cache_core::{
    Acquire, CacheTier, Claim, DeadLetter, Kept, KeptWrite, Key, NewWrite, Partition, PutOutcome, Settle, Taken,
    WriteLog,
};

use super::support::{
    HOUR, PATIENCE, SHORT, acquire, assert_absent, assert_acquired, assert_holds, connect, entry, entry_with_token,
    eventually, fence, get, key, keys, next, put, record_of_keys, set, shared, token,
};

const LOG: &str = "log";
const PARTITIONS: u16 = 4;

/// In whose name workers settle.
const NODE: NodeId = NodeId::new(7);

fn log(tier: &dyn CacheTier) -> &dyn WriteLog {
    shared(tier).write_log().expect("the tier is declared to keep writes, so write_log() gives its operations")
}

const fn partition(number: u16) -> Partition<'static> {
    Partition { log: LOG, number }
}

fn write(key: &Key, payload: &'static str) -> NewWrite {
    NewWrite::new(key.clone(), Bytes::from_static(payload.as_bytes()), PATIENCE, HOUR, 1_000)
}

/// Keeps a write in a partition, without an entry.
async fn append(tier: &dyn CacheTier, number: u16, key: &Key, payload: &'static str) -> Position {
    kept(append_as(tier, number, write(key, payload)).await).0
}

async fn append_as(tier: &dyn CacheTier, number: u16, write: NewWrite) -> Kept {
    let record = record_of_keys(std::slice::from_ref(&write.key));
    log(tier).append(partition(number), write, &record).await.expect("append")
}

/// The id of a write that is kept, and whether its entry was stored.
#[track_caller]
fn kept(outcome: Kept) -> (Position, bool) {
    match outcome {
        Kept::Kept { id, stored, .. } => (id, stored),
        other => panic!("the write was to be kept, and {other:?}"),
    }
}

async fn take(tier: &dyn CacheTier, worker: u8, limit: usize) -> Option<Taken> {
    take_for(tier, worker, limit, HOUR).await
}

async fn take_for(tier: &dyn CacheTier, worker: u8, limit: usize, lease: Duration) -> Option<Taken> {
    log(tier).take(LOG, PARTITIONS, 0, token(worker), lease, limit).await.expect("take")
}

async fn settle(tier: &dyn CacheTier, number: u16, worker: u8, settle: Settle<'_>) -> bool {
    log(tier).settle(partition(number), token(worker), settle, NODE).await.expect("settle")
}

async fn counts(tier: &dyn CacheTier) -> (u64, u64) {
    let backlog = log(tier).backlog(LOG, PARTITIONS).await.expect("backlog");
    (backlog.pending, backlog.dead)
}

fn payloads(writes: &[KeptWrite]) -> Vec<&str> {
    writes.iter().map(|write| std::str::from_utf8(&write.payload).expect("it is text")).collect()
}

/// Puts the oldest write of the log aside.
async fn bury(tier: &dyn CacheTier) -> KeptWrite {
    let taken = take(tier, 90, 1).await.expect("there is a write");
    let write = taken.writes.into_iter().next().expect("there is one");
    assert!(settle(tier, taken.partition, 90, Settle::Dead(&write)).await);
    write
}

async fn dead(tier: &dyn CacheTier) -> Vec<DeadLetter> {
    log(tier).dead_letters(LOG, Position::START, 100).await.expect("dead_letters")
}

/// Whether a load of the key could be stored.
async fn is_open(tier: &dyn CacheTier, key: &Key) -> bool {
    match acquire(tier, key, token(99), HOUR).await {
        Acquire::Acquired => shared(tier).release(key, token(99)).await.is_ok(),
        _ => false,
    }
}

/// All in one step: the value is read from then on, and no node serves the old one.
pub async fn a_write_is_kept_with_its_entry_and_its_record(tier: Arc<dyn CacheTier>) {
    let mut connection = connect(&*tier).await;
    let k = key("k");
    set(&*tier, &k, "old").await;
    let mut new = write(&k, "payload");
    new.put = Some(put(entry("new"), HOUR));
    let Kept::Kept { id, appended, stored } = append_as(&*tier, 1, new).await else { panic!("it was to be kept") };
    assert!(stored);
    assert_holds(&*tier, &k, "new").await;
    assert_eq!(get(&*tier, &k).await.expect("it is there").birth, appended.position, "it is born at its record");
    let BusMessage::Appended { position, .. } = next(&mut *connection).await else { panic!("a record") };
    assert_eq!(position, appended.position);
    let Taken { partition, writes, .. } = take(&*tier, 1, 10).await.expect("there is work");
    assert_eq!((partition, writes.len()), (1, 1));
    assert_eq!((writes[0].id, &writes[0].key, &writes[0].payload[..], writes[0].taken), (id, &k, &b"payload"[..], 1));
}

/// What the source has is no more what was on its way there.
pub async fn a_set_during_a_write_removes_its_entry(tier: Arc<dyn CacheTier>) {
    let k = key("k");
    let mut new = write(&k, "payload");
    new.put = Some(put(entry("behind"), HOUR));
    assert!(kept(append_as(&*tier, 0, new).await).1);
    let record = record_of_keys(std::slice::from_ref(&k));
    let set = shared(&*tier).put(&k, put(entry("set"), HOUR), &record).await.expect("put");
    assert!(matches!(set, PutOutcome::Fenced(_)), "{set:?}");
    assert_absent(&*tier, &k).await;
}

/// It is older than the write.
pub async fn a_write_without_an_entry_removes_what_is_there(tier: Arc<dyn CacheTier>) {
    let k = key("k");
    set(&*tier, &k, "old").await;
    assert!(!kept(append_as(&*tier, 0, write(&k, "new")).await).1);
    assert_absent(&*tier, &k).await;
}

/// Somebody is writing around the cache, and nobody knows which of the two comes last.
pub async fn the_entry_of_a_write_is_not_stored_under_a_fence_and_the_write_is_kept(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    fence(&*tier, &keys, 1, HOUR).await;
    let mut new = write(&keys[0], "new");
    new.put = Some(put(entry("new"), HOUR));
    assert!(!kept(append_as(&*tier, 0, new).await).1);
    assert_absent(&*tier, &keys[0]).await;
    assert_eq!(counts(&*tier).await, (1, 0));
}

/// Neither under its lease nor over its claim.
pub async fn a_load_that_began_before_a_write_is_not_stored(tier: Arc<dyn CacheTier>) {
    let (leased, claimed) = (key("leased"), key("claimed"));
    assert_acquired(&*tier, &leased, token(1)).await;
    let old = entry_with_token("old", token(2));
    tier.set(&claimed, old, HOUR).await.expect("set");
    assert_eq!(shared(&*tier).claim(&claimed, token(2), HOUR).await.expect("claim"), Claim::Claimed);
    for key in [&leased, &claimed] {
        append(&*tier, 0, key, "new").await;
    }
    assert!(!shared(&*tier).fill(&leased, token(1), entry("old"), HOUR).await.expect("fill"));
    assert!(!shared(&*tier).refill(&claimed, token(2), entry("old"), HOUR).await.expect("refill"));
    assert_absent(&*tier, &leased).await;
    assert_absent(&*tier, &claimed).await;
}

/// What the source has until then is older.
pub async fn a_key_is_closed_to_loads_until_its_last_write_is_settled(tier: Arc<dyn CacheTier>) {
    let (k, other) = (key("k"), key("other"));
    for payload in ["one", "two"] {
        append(&*tier, 0, &k, payload).await;
    }
    for worker in 1..=2 {
        assert!(!is_open(&*tier, &k).await);
        assert!(is_open(&*tier, &other).await);
        let taken = take(&*tier, worker, 1).await.expect("there is work");
        assert!(settle(&*tier, 0, worker, Settle::Applied(&taken.writes)).await);
    }
    assert!(is_open(&*tier, &k).await);
    assert_eq!(counts(&*tier).await, (0, 0));
}

/// A write closes its key for far longer than a fence holds, whose holder may have died.
pub async fn a_fence_lapses_though_a_write_was_pending_beside_it(tier: Arc<dyn CacheTier>) {
    let keys = keys(["k"]);
    append(&*tier, 0, &keys[0], "new").await;
    fence(&*tier, &keys, 1, SHORT).await;
    let taken = take(&*tier, 1, 1).await.expect("there is work");
    assert!(settle(&*tier, 0, 1, Settle::Applied(&taken.writes)).await);
    eventually("it lapses", || is_open(&*tier, &keys[0])).await;
}

/// The value of a write is not loaded anew: the source has an older one.
pub async fn the_entry_of_a_pending_write_is_not_claimed(tier: Arc<dyn CacheTier>) {
    let k = key("k");
    let mut new = write(&k, "new");
    new.put = Some(put(entry_with_token("new", token(1)), HOUR));
    append_as(&*tier, 0, new).await;
    let claim = shared(&*tier).claim(&k, token(1), HOUR).await.expect("claim");
    assert!(!matches!(claim, Claim::Claimed), "{claim:?}");
    let taken = take(&*tier, 1, 1).await.expect("there is work");
    assert!(settle(&*tier, 0, 1, Settle::Applied(&taken.writes)).await);
    assert_eq!(shared(&*tier).claim(&k, token(1), HOUR).await.expect("claim"), Claim::Claimed);
}

/// What was loaded meanwhile is older than the write.
pub async fn a_key_that_was_open_before_its_write_was_settled_is_void(tier: Arc<dyn CacheTier>) {
    let k = key("k");
    let new = NewWrite::new(k.clone(), Bytes::from_static(b"one"), PATIENCE, SHORT, 1_000);
    append_as(&*tier, 0, new).await;
    eventually("it is open again", || is_open(&*tier, &k)).await;
    set(&*tier, &k, "old").await;
    let taken = take(&*tier, 1, 1).await.expect("there is work");
    let mut connection = connect(&*tier).await;
    assert!(settle(&*tier, 0, 1, Settle::Applied(&taken.writes)).await);
    assert_absent(&*tier, &k).await;
    assert_tells_of(&mut *connection, &k).await;
}

/// The source will not have its value.
pub async fn the_key_of_a_write_that_is_put_aside_is_void(tier: Arc<dyn CacheTier>) {
    let k = key("k");
    let mut new = write(&k, "new");
    new.put = Some(put(entry("new"), HOUR));
    append_as(&*tier, 0, new).await;
    let mut connection = connect(&*tier).await;
    bury(&*tier).await;
    assert_absent(&*tier, &k).await;
    assert_tells_of(&mut *connection, &k).await;
}

/// A settled key is void on every node only where it has to be.
pub async fn the_entry_of_a_write_is_kept_when_it_is_settled(tier: Arc<dyn CacheTier>) {
    let k = key("k");
    let mut new = write(&k, "new");
    new.put = Some(put(entry("new"), HOUR));
    append_as(&*tier, 0, new).await;
    let before = connect(&*tier).await.last_position().await.expect("last_position");
    let taken = take(&*tier, 1, 1).await.expect("there is work");
    assert!(settle(&*tier, 0, 1, Settle::Applied(&taken.writes)).await);
    assert_holds(&*tier, &k, "new").await;
    assert_eq!(connect(&*tier).await.last_position().await.expect("last_position"), before);
}

/// The next message says that the key is void.
async fn assert_tells_of(connection: &mut dyn BusConnection, key: &Key) {
    let BusMessage::Appended { record, .. } = next(connection).await else { panic!("a record") };
    assert_eq!(record, Record::new(NODE, Change::Keys([key.clone()].into())));
}

/// The log may be lost, or nobody work on it any more.
pub async fn a_key_is_closed_for_no_longer_than_its_hold(tier: Arc<dyn CacheTier>) {
    let k = key("k");
    let new = NewWrite::new(k.clone(), Bytes::from_static(b"one"), PATIENCE, SHORT, 1_000);
    append_as(&*tier, 0, new).await;
    eventually("it is open again", || is_open(&*tier, &k)).await;
}

/// The order of the writes of a key is that in which they were kept.
pub async fn writes_are_taken_in_order_and_no_more_than_asked_for(tier: Arc<dyn CacheTier>) {
    let (a, b) = (key("a"), key("b"));
    let mut ids = Vec::new();
    for (key, payload) in [(&a, "1"), (&b, "2"), (&a, "3"), (&a, "4")] {
        ids.push(append(&*tier, 2, key, payload).await);
    }
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    let taken = take(&*tier, 1, 3).await.expect("there is work");
    assert_eq!(payloads(&taken.writes), ["1", "2", "3"]);
    assert!(settle(&*tier, 2, 1, Settle::Applied(&taken.writes)).await);
    let taken = take(&*tier, 2, 3).await.expect("there is work");
    assert_eq!(payloads(&taken.writes), ["4"]);
    assert_eq!(counts(&*tier).await, (1, 0));
}

/// Else two could write one key at once.
pub async fn a_partition_has_one_worker_and_each_worker_another(tier: Arc<dyn CacheTier>) {
    for number in 0..PARTITIONS {
        append(&*tier, number, &key(format!("k{number}")), "one").await;
    }
    let mut taken = HashMap::new();
    for worker in 0..PARTITIONS as u8 {
        let first = u16::from(worker % 2);
        let one = log(&*tier).take(LOG, PARTITIONS, first, token(worker), HOUR, 10).await.expect("take");
        let one = one.expect("there is work");
        assert_eq!(one.writes.len(), 1);
        assert!(taken.insert(one.partition, worker).is_none(), "partition {} twice", one.partition);
    }
    assert!(take(&*tier, 50, 10).await.is_none(), "all have a worker");
    assert_eq!(taken.len(), usize::from(PARTITIONS));
}

/// What it took is given to another, one by one: one of them may be what killed it.
pub async fn the_writes_of_a_worker_whose_lease_has_lapsed_are_given_to_another_one_by_one(tier: Arc<dyn CacheTier>) {
    let k = key("k");
    for payload in ["1", "2", "3"] {
        append(&*tier, 0, &k, payload).await;
    }
    let lost = take_for(&*tier, 1, 2, SHORT).await.expect("there is work");
    assert_eq!(payloads(&lost.writes), ["1", "2"]);
    let again = RefCell::new(None);
    eventually("the lease lapses", || async {
        let taken = take(&*tier, 2, 10).await;
        *again.borrow_mut() = taken;
        again.borrow().is_some()
    })
    .await;
    let again = again.take().expect("it was taken");
    assert_eq!((payloads(&again.writes), again.writes[0].taken), (vec!["1"], 2));
    assert!(!settle(&*tier, 0, 1, Settle::Applied(&lost.writes)).await, "it is not the first one's any more");
    assert!(!settle(&*tier, 0, 1, Settle::Keep(HOUR)).await);
    assert_eq!(counts(&*tier).await, (3, 0));
    assert!(settle(&*tier, 0, 2, Settle::Applied(&again.writes)).await);
    let next = take(&*tier, 3, 10).await.expect("there is work");
    assert_eq!((payloads(&next.writes), next.writes[0].taken), (vec!["2"], 2));
    assert!(settle(&*tier, 0, 3, Settle::Applied(&next.writes)).await);
    let last = take(&*tier, 4, 10).await.expect("there is work");
    assert_eq!((payloads(&last.writes), last.writes[0].taken), (vec!["3"], 1));
}

/// A call of the writer may take longer than the lease.
pub async fn a_worker_keeps_its_partition_for_as_long_as_it_says(tier: Arc<dyn CacheTier>) {
    append(&*tier, 0, &key("k"), "one").await;
    take_for(&*tier, 1, 10, SHORT).await.expect("there is work");
    assert!(settle(&*tier, 0, 1, Settle::Keep(HOUR)).await);
    tokio::time::sleep(SHORT * 2).await;
    assert!(take(&*tier, 2, 10).await.is_none());
    assert!(settle(&*tier, 0, 1, Settle::Keep(SHORT)).await);
    eventually("it lapses", || async { take(&*tier, 2, 10).await.is_some() }).await;
}

/// Not even the worker that lets it rest.
pub async fn nobody_takes_a_partition_that_rests(tier: Arc<dyn CacheTier>) {
    append(&*tier, 0, &key("k"), "one").await;
    take(&*tier, 1, 10).await.expect("there is work");
    assert!(settle(&*tier, 0, 1, Settle::Rest(HOUR)).await);
    assert!(take(&*tier, 2, 10).await.is_none());
    assert!(!settle(&*tier, 0, 1, Settle::Keep(SHORT)).await, "it has given it up");
    append(&*tier, 1, &key("other"), "one").await;
    let taken = take(&*tier, 1, 10).await.expect("another partition does not rest");
    assert_eq!(taken.partition, 1);
    assert!(settle(&*tier, 1, 1, Settle::Rest(SHORT)).await);
    eventually("it has rested", || async { take(&*tier, 2, 10).await.is_some() }).await;
}

/// What is refused leaves everything as it was.
pub async fn no_more_writes_are_kept_than_the_bound(tier: Arc<dyn CacheTier>) {
    let (k, other) = (key("k"), key("other"));
    let bounded = |key: &Key| NewWrite::new(key.clone(), Bytes::from_static(b"one"), PATIENCE, HOUR, 2);
    for _ in 0..2 {
        kept(append_as(&*tier, 0, bounded(&k)).await);
    }
    let before = connect(&*tier).await.last_position().await.expect("last_position");
    set(&*tier, &other, "old").await;
    assert_eq!(append_as(&*tier, 0, bounded(&other)).await, Kept::Full);
    assert_holds(&*tier, &other, "old").await;
    assert!(is_open(&*tier, &key("third")).await);
    assert_eq!(connect(&*tier).await.last_position().await.expect("last_position"), before, "nothing was done");
    kept(append_as(&*tier, 1, bounded(&other)).await);
    // Dead letters take room as well: they are as many as were not looked after.
    for _ in 0..2 {
        bury(&*tier).await;
    }
    assert_eq!((counts(&*tier).await, append_as(&*tier, 0, bounded(&k)).await), ((1, 2), Kept::Full));
}

/// Each keyspace has one of its own.
pub async fn logs_do_not_meet(tier: Arc<dyn CacheTier>) {
    append(&*tier, 0, &key("k"), "one").await;
    assert!(log(&*tier).take("other", PARTITIONS, 0, token(1), HOUR, 10).await.expect("take").is_none());
    assert_eq!(log(&*tier).backlog("other", PARTITIONS).await.expect("backlog").pending, 0);
    bury(&*tier).await;
    assert!(log(&*tier).dead_letters("other", Position::START, 10).await.expect("dead_letters").is_empty());
}

/// Later writes of its partition go on.
pub async fn a_dead_write_is_kept_as_it_was_and_its_key_is_open(tier: Arc<dyn CacheTier>) {
    let k = key("k");
    let id = append(&*tier, 0, &k, "payload").await;
    append(&*tier, 0, &key("next"), "next").await;
    let write = bury(&*tier).await;
    assert_eq!((write.id, counts(&*tier).await), (id, (1, 1)));
    assert!(is_open(&*tier, &k).await);
    let letters = dead(&*tier).await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].write, &letters[0].key, &letters[0].payload[..]), (id, &k, &b"payload"[..]));
    assert_eq!(payloads(&take(&*tier, 1, 10).await.expect("there is work").writes), ["next"]);
}

/// Each once, if none is added meanwhile.
pub async fn dead_letters_are_told_in_pages_oldest_first(tier: Arc<dyn CacheTier>) {
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(append(&*tier, 0, &key(format!("k{number}")), "one").await);
        bury(&*tier).await;
    }
    let (mut after, mut told) = (Position::START, Vec::new());
    loop {
        let page = log(&*tier).dead_letters(LOG, after, 2).await.expect("dead_letters");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = last.id;
        told.extend(page.iter().map(|letter| letter.write));
    }
    assert_eq!(told, ids);
}

/// Those that are not there are no error.
pub async fn discarded_letters_are_gone_and_counted(tier: Arc<dyn CacheTier>) {
    for payload in ["one", "two", "three"] {
        append(&*tier, 0, &key("k"), payload).await;
        bury(&*tier).await;
    }
    let ids: Vec<Position> = dead(&*tier).await.iter().map(|letter| letter.id).collect();
    let unknown = Position::new(1, 1);
    assert_eq!(log(&*tier).discard(LOG, &[ids[0], ids[2], unknown]).await.expect("discard"), 2);
    assert_eq!(log(&*tier).discard(LOG, &[ids[0]]).await.expect("discard"), 0);
    assert_eq!(log(&*tier).discard(LOG, &[]).await.expect("discard"), 0);
    assert_eq!(dead(&*tier).await.iter().map(|letter| letter.id).collect::<Vec<_>>(), [ids[1]]);
}

/// Two may do it at once, and the write is made once.
pub async fn a_dead_letter_becomes_a_new_write_once(tier: Arc<dyn CacheTier>) {
    let k = key("k");
    let old = append(&*tier, 0, &k, "payload").await;
    bury(&*tier).await;
    let letter = dead(&*tier).await.remove(0);
    let again = || {
        let mut again = NewWrite::new(k.clone(), letter.payload.clone(), PATIENCE, HOUR, 1);
        again.requeued = Some(letter.id);
        again
    };
    let (id, _) = kept(append_as(&*tier, 0, again()).await);
    assert!(id > old);
    assert_eq!((counts(&*tier).await, append_as(&*tier, 0, again()).await), ((1, 0), Kept::Gone));
    assert_eq!(counts(&*tier).await, (1, 0));
    assert!(!is_open(&*tier, &k).await);
    let taken = take(&*tier, 1, 10).await.expect("there is work");
    assert_eq!((payloads(&taken.writes), taken.writes[0].id, taken.writes[0].taken), (vec!["payload"], id, 1));
}

/// So that a tier that does is tested.
pub async fn a_tier_not_declared_to_keep_writes_does_not(tier: Arc<dyn CacheTier>) {
    assert!(shared(&*tier).write_log().is_none(), "write_log() gives operations: declare that the tier has them");
}
