//! The journal and the bus, on a real server.

mod support;

use std::time::Duration;

use cache_core::coherence::{Beat, BusMessage, Change, NodeId, Position, Record};
use cache_core::frame::Frame;
use cache_core::{CacheTier, Key, Namespace, Pattern, Put, SharedTier, Tags};
use cache_redis::RedisTier;
use cache_testing::proxy::{Direction, Flow};
use cache_testing::{FaultProxy, RedisServer};
use support::{
    TTL, announced, entry, key, keys, payload, put, raw, record, start, stored, stored_frame, subscribe, time_to_live,
};

const JOURNAL: &str = "{test}!journal";
const LAST: &str = "{test}!last";
const RULES: &str = "{test}!rules";
const NODES: &str = "{test}!nodes";

fn beat(node: u64) -> Beat {
    let minute = Duration::from_secs(60);
    Beat { node: NodeId::new(node), applied: Position::START, trusted: minute, alone: minute }
}

#[tokio::test]
async fn an_invalidation_removes_records_and_announces_as_one() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    tier.set(&key("a"), entry("v"), TTL).await.unwrap();
    tier.set(&key("c"), entry("v"), TTL).await.unwrap();
    let all = keys(["a", "b", "c"]);

    let first = tier.invalidate(&all, &record(&all), None).await.unwrap();
    let second = tier.invalidate(&[], &record(&keys(["z"])), None).await.unwrap();

    assert_eq!(first.removed, [true, false, true]);
    assert_eq!(first.previous, Position::START);
    assert_eq!(second.previous, first.position);
    assert!(second.position > first.position);
    assert_eq!(raw(&server, "test:a"), None);
    let heard = announced(&mut *bus).await;
    let [BusMessage::Appended { previous, position, record: heard_first, .. }, BusMessage::Appended { .. }] =
        &heard[..]
    else {
        panic!("{heard:?}")
    };
    assert_eq!((*previous, *position, heard_first), (first.previous, first.position, &record(&all)));
    assert_eq!(bus.last_position().await.unwrap(), second.position);
}

/// What keeps it may be lost alone, and so may the journal.
#[tokio::test]
async fn the_record_before_is_told_of_whatever_is_lost() {
    let (server, tier) = start();
    let append = || async { tier.invalidate(&[], &record(&keys(["k"])), None).await.unwrap() };
    let first = append().await;
    assert_eq!(append().await.previous, first.position);
    for round in 0..2 {
        server.cli(&["DEL", LAST]);
        let third = append().await;
        assert_eq!(
            third.previous.to_string(),
            server.cli(&["XREVRANGE", JOURNAL, "+", "-", "COUNT", "2"]).lines().nth(3).unwrap(),
            "{round}"
        );
        assert_eq!(append().await.previous, third.position);
    }
    server.cli(&["DEL", JOURNAL]);
    let anew = append().await;
    assert_eq!(anew.previous, Position::START, "nobody goes on from what is gone");
    assert_eq!(append().await.previous, anew.position);
    server.cli(&["DEL", JOURNAL, LAST]);
    assert_eq!(append().await.previous, Position::START);
}

#[tokio::test]
async fn a_put_stores_an_entry_born_at_its_record() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    let before = tier.invalidate(&[], &record(&keys(["z"])), None).await.unwrap();

    let appended = stored(tier.put(&key("k"), put(entry("value"), TTL), &record(&keys(["k"]))).await.unwrap());

    assert_eq!(appended.previous, before.position);
    assert!(appended.removed.is_empty());
    let Frame::Entry(stored) = stored_frame(&server, "test:k") else { panic!("an entry") };
    let mut expected = entry("value");
    expected.birth = appended.position;
    assert_eq!(format!("{stored:?}"), format!("{expected:?}"));
    assert_eq!(payload(Some(&stored)), Some("value"));
    assert!((50_000..=60_000).contains(&time_to_live(&server, "test:k")));
    let heard = announced(&mut *bus).await;
    assert!(matches!(&heard[..], [_, BusMessage::Appended { position, .. }] if *position == appended.position));
}

#[tokio::test]
async fn a_put_that_runs_after_it_was_given_up_stores_nothing() {
    let (server, tier) = start();
    tier.put(&key("k"), put(entry("first"), TTL), &record(&keys(["k"]))).await.unwrap();
    let records = server.cli(&["XLEN", JOURNAL]);
    server.stop();
    // For as long as the tier waits for an answer.
    let late = Put::new(entry("late"), TTL, Duration::from_millis(500));
    let given_up = tier.put(&key("k"), late, &record(&keys(["k"]))).await.unwrap_err();
    assert!(given_up.is_timeout());
    server.resume();
    // Answered on the same connection after the put.
    tier.ping().await.unwrap();
    assert_eq!(payload(tier.get(&key("k")).await.unwrap().as_ref()), Some("first"));
    assert_eq!(server.cli(&["XLEN", JOURNAL]), records);
}

#[tokio::test]
async fn a_put_does_not_run_late_because_the_server_told_its_time_slowly() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let tier = RedisTier::builder(server.url_at(proxy.port())).response_timeout(TTL).build().unwrap();
    let slow = Duration::from_millis(300);
    proxy.set(Direction::ToServer, Flow::Delay(slow));
    proxy.set(Direction::ToClient, Flow::Delay(slow));
    // Two round trips, or more: the server's time is asked for, and the value is put.
    stored(tier.put(&key("k"), put(entry("first"), TTL), &record(&keys(["k"]))).await.unwrap());
    proxy.pass().await;
    let gate = proxy.hold(Direction::ToServer);
    let (key, record) = (key("k"), record(&keys(["k"])));
    let late = Put::new(entry("late"), TTL, Duration::ZERO);
    let (outcome, ()) = tokio::join!(tier.put(&key, late, &record), async {
        gate.wait_until_holding("late").await;
        gate.release();
    });
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains("LATE"), "{error}");
    assert_eq!(payload(tier.get(&key).await.unwrap().as_ref()), Some("first"));
}

#[tokio::test]
async fn the_time_that_the_server_takes_to_tell_its_own_counts() {
    let (server, first) = start();
    stored(first.put(&key("k"), put(entry("first"), TTL), &record(&keys(["k"]))).await.unwrap());
    let proxy = FaultProxy::start(server.address());
    let tier = RedisTier::builder(server.url_at(proxy.port())).response_timeout(TTL).build().unwrap();
    tier.ping().await.unwrap();
    // The question arrives within the time, and the value does not.
    proxy.set(Direction::ToServer, Flow::Delay(Duration::from_millis(100)));
    let late = Put::new(entry("late"), TTL, Duration::from_millis(150));
    let error = tier.put(&key("k"), late, &record(&keys(["k"]))).await.unwrap_err();
    assert!(error.to_string().contains("LATE"), "{error}");
    assert_eq!(payload(first.get(&key("k")).await.unwrap().as_ref()), Some("first"));
}

#[tokio::test]
async fn after_a_put_that_came_late_the_server_is_asked_for_its_time() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let tier = RedisTier::builder(server.url_at(proxy.port())).response_timeout(TTL).connect_timeout(TTL);
    let tier = tier.build().unwrap();
    let put = async |within| {
        let put = Put::new(entry("v"), TTL, within);
        tier.put(&key("k"), put, &record(&keys(["k"]))).await
    };
    let mut monitor = server.monitor();
    let mut asked = || {
        let commands = monitor.commands();
        commands.iter().filter(|command| command.name() == "TIME" && !command.is_from_script()).count()
    };
    stored(put(TTL).await.unwrap());
    assert_eq!(asked(), 1);
    // As when the server's clock is set forward.
    proxy.set(Direction::ToServer, Flow::Delay(Duration::from_millis(20)));
    let late = put(Duration::ZERO).await.unwrap_err();
    assert!(!late.is_outage() && late.to_string().contains("LATE"), "{late}");
    proxy.pass().await;
    assert_eq!(asked(), 0);
    stored(put(TTL).await.unwrap());
    assert_eq!(asked(), 1);
    stored(put(TTL).await.unwrap());
    assert_eq!(asked(), 0);
}

#[tokio::test]
async fn the_birth_is_exact_up_to_the_largest_exact_double() {
    let (server, tier) = start();
    for (id, next) in [
        ("9007199254740990-9007199254740989", Position::new(9_007_199_254_740_990, 9_007_199_254_740_990)),
        ("9007199254740990-9007199254740991", Position::new(9_007_199_254_740_990, 9_007_199_254_740_992)),
        ("9007199254740991-254", Position::new(9_007_199_254_740_991, 255)),
        ("9007199254740991-4294967295", Position::new(9_007_199_254_740_991, 4_294_967_296)),
    ] {
        server.cli(&["XADD", JOURNAL, id, "record", "x"]);
        let appended = stored(tier.put(&key("k"), put(entry("v"), TTL), &record(&keys(["k"]))).await.unwrap());
        assert_eq!(appended.position, next);
        assert_eq!(tier.get(&key("k")).await.unwrap().unwrap().birth, next);
    }
}

#[tokio::test]
async fn a_broken_journal_does_not_keep_keys_from_being_removed() {
    let (server, tier) = start();
    tier.set(&key("k"), entry("v"), TTL).await.unwrap();
    server.cli(&["SET", JOURNAL, "no stream"]);
    let error = tier.invalidate(&keys(["k"]), &record(&keys(["k"])), None).await.unwrap_err();
    assert!(!error.is_outage() && error.to_string().contains("WRONGTYPE"), "{error}");
    assert_eq!(raw(&server, "test:k"), None);
    tier.put(&key("k"), put(entry("v"), TTL), &record(&keys(["k"]))).await.unwrap_err();
    assert_eq!(raw(&server, "test:k"), None, "no value without its record");
}

#[tokio::test]
async fn a_full_server_still_invalidates() {
    let (server, tier) = start();
    tier.set(&key("k"), entry("v"), TTL).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let first = tier.invalidate(&keys(["k"]), &record(&keys(["k"])), None).await.unwrap();
    assert_eq!(first.removed, [true]);
    let second = tier.invalidate(&[], &record(&keys(["k"])), None).await.unwrap();
    assert_eq!(second.previous, first.position);
    let error = tier.put(&key("k"), put(entry("v"), TTL), &record(&keys(["k"]))).await.unwrap_err();
    assert!(!error.is_outage() && error.to_string().contains("OOM"), "{error}");
    assert_eq!(server.cli(&["XLEN", JOURNAL]), "2", "no record without its value");
}

#[tokio::test]
async fn a_full_server_is_listened_to() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    server.cli(&["DEL", RULES]);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    bus.beat(beat(1)).await.unwrap();
    bus.begin(Position::START).await.unwrap();
    assert_eq!(server.cli(&["HLEN", RULES]), "1", "the journal has begun");
    bus.beat(beat(1)).await.unwrap();
}

#[tokio::test]
async fn nodes_that_are_gone_are_forgotten() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    bus.beat(beat(1)).await.unwrap();
    for node in 1_000..1_100 {
        server.cli(&["HSET", NODES, &node.to_string(), "1000 0 0-0 1000"]);
    }
    let now = Duration::from_millis(server.cli(&["TIME"]).lines().next().unwrap().parse::<u64>().unwrap() * 1_000);
    server.cli(&["HSET", NODES, "lately", &format!("{} 0 0-0 1000", now.as_millis() - 30_000)]);
    for _ in 0..1_000 {
        bus.beat(beat(1)).await.unwrap();
    }
    assert_eq!(server.cli(&["HLEN", NODES]), "4", "itself, one that was there lately, since when, and on which server");
}

/// As after the clock was set back, or on a server in the place of another.
#[tokio::test]
async fn no_node_is_waited_for_longer_than_it_may_serve() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    bus.beat(beat(1)).await.unwrap();
    server.cli(&["HSET", NODES, "since", "0"]);
    let ahead = 10_000_000_000_000_u64;
    server.cli(&["HSET", NODES, "dead", &format!("{ahead} 2000 0-0 3000")]);
    let position = Position::new(ahead, 0);
    server.cli(&["HDEL", NODES, &NodeId::new(1).to_string()]);
    let unheard = tier.unheard(position, Duration::from_secs(1)).await.unwrap();
    assert_eq!(unheard, Duration::from_secs(3));
    server.cli(&["HSET", NODES, "since", &ahead.to_string()]);
    assert_eq!(tier.unheard(position, Duration::from_secs(5)).await.unwrap(), Duration::from_secs(5));
}

#[tokio::test]
async fn a_scan_for_everything_does_for_every_pattern_before_it() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    let record = |text: &str| Record::new(NodeId::new(1), Change::Pattern(Pattern::new(text).unwrap()));
    tier.invalidate(&[], &record("earlier*"), None).await.unwrap();
    let all = tier.invalidate(&[], &record("*"), None).await.unwrap();
    let later = tier.invalidate(&[], &record("later*"), None).await.unwrap();
    tier.invalidate(&[], &Record::new(NodeId::new(1), Change::Tags(Tags::new(["t"]))), None).await.unwrap();
    assert!(tier.swept(&Pattern::all(), all.position).await.unwrap());
    let rules = bus.rules().await.unwrap();
    assert_eq!(rules.patterns, [(Pattern::new("later*").unwrap(), later.position)]);
    assert_eq!(rules.tags.len(), 1);
    assert_eq!(server.cli(&["HEXISTS", RULES, "cleared"]), "1");
}

#[tokio::test]
async fn the_journal_is_bounded() {
    let (server, _) = start();
    let tier = RedisTier::builder(server.url()).journal_max_records(100).build().unwrap();
    tier.bind(&Namespace::new("test").unwrap()).unwrap();
    for _ in 0..1_000 {
        tier.invalidate(&[], &record(&keys(["k"])), None).await.unwrap();
    }
    let length: u64 = server.cli(&["XLEN", JOURNAL]).parse().unwrap();
    // Redis trims whole nodes of the stream, of 100 entries each.
    assert!((100..=200).contains(&length), "{length}");
}

#[tokio::test]
async fn every_kind_of_record_comes_back() {
    let (_server, tier) = start();
    let mut bus = subscribe(&tier).await;
    let node = NodeId::new(u64::MAX);
    let written = [
        Change::Keys(keys(["a b", "é", "3:x"]).as_slice().into()),
        Change::Pattern(Pattern::new("user:*:[a-z]").unwrap()),
        Change::Tags(Tags::new(["a", "b"])),
        Change::Clear,
    ]
    .map(|change| Record::new(node, change));
    for record in &written {
        tier.invalidate(&[], record, None).await.unwrap();
    }
    let page = bus.read_after(Position::START, 10).await.unwrap();
    let read: Vec<_> = page.records.iter().map(|(_, record)| record.clone().unwrap()).collect();
    assert_eq!(read, written);
    let heard: Vec<_> = announced(&mut *bus)
        .await
        .into_iter()
        .map(|message| match message {
            BusMessage::Appended { record, .. } => record,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(heard, written);
}

#[tokio::test]
async fn the_journal_is_read_in_pages_after_a_position() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    let empty = bus.read_after(Position::START, 10).await.unwrap();
    assert!(empty.oldest.is_none() && empty.records.is_empty());
    assert_eq!(bus.last_position().await.unwrap(), Position::START);

    let mut positions = Vec::new();
    for _ in 0..5 {
        positions.push(tier.invalidate(&[], &record(&keys(["k"])), None).await.unwrap().position);
    }
    server.cli(&["XADD", JOURNAL, "*", "record", "not a record"]);
    server.cli(&["XADD", JOURNAL, "*", "other", "1 ab clear"]);
    server.cli(&["XADD", JOURNAL, "*", "record", "1 ab clear", "more", "x"]);

    let page = bus.read_after(positions[0], 3).await.unwrap();
    assert_eq!(page.oldest, Some(positions[0]));
    assert_eq!(page.records.iter().map(|(position, _)| *position).collect::<Vec<_>>(), positions[1..4]);
    let rest = bus.read_after(positions[4], 10).await.unwrap();
    assert_eq!(rest.records.iter().map(|(_, record)| record.is_some()).collect::<Vec<_>>(), [false; 3]);
    server.cli(&["XTRIM", JOURNAL, "MAXLEN", "1"]);
    let page = bus.read_after(positions[0], 10).await.unwrap();
    assert!(page.oldest.unwrap() > positions[4]);
    assert_eq!(page.records.len(), 1);
}

#[tokio::test]
async fn a_journal_of_another_type_is_an_error_for_its_reader() {
    let (server, tier) = start();
    server.cli(&["SET", JOURNAL, "no stream"]);
    let mut bus = tier.bus().connect().await.unwrap();
    assert!(!bus.begin(Position::START).await.unwrap_err().is_outage());
    assert!(!bus.last_position().await.unwrap_err().is_outage());
    assert!(!bus.read_after(Position::START, 1).await.unwrap_err().is_outage());
}

#[tokio::test]
async fn the_first_connection_begins_the_journal_and_later_ones_do_not() {
    let server = RedisServer::start();
    let tier = support::tier(&server);
    let mut first = subscribe(&tier).await;
    let mut second = subscribe(&tier).await;
    let begun = first.last_position().await.unwrap();
    assert!(begun > Position::START);
    assert!(matches!(first.try_next(), Some(BusMessage::Appended { record, .. }) if record.change == Change::Begin));
    assert_eq!(second.last_position().await.unwrap(), begun);
    assert_eq!(second.rules().await.unwrap().cleared, begun);
    server.cli(&["DEL", RULES]);
    let lost = second.rules().await.unwrap_err();
    assert_eq!(lost.to_string(), "the rules are lost; beginning anew");
    let mut third = subscribe(&tier).await;
    assert!(third.rules().await.unwrap().cleared > begun);
}

#[tokio::test]
async fn rules_are_kept_with_their_positions_until_they_are_swept() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    let give = async |change: Change| {
        let record = Record::new(NodeId::new(1), change);
        tier.invalidate(&[], &record, None).await.unwrap().position
    };
    let pattern = Pattern::new("user:*").unwrap();
    give(Change::Pattern(pattern.clone())).await;
    let second = give(Change::Pattern(pattern.clone())).await;
    let tagged = give(Change::Tags(Tags::new(["a"]))).await;
    let rules = bus.rules().await.unwrap();
    assert_eq!(rules.cleared, Position::START);
    assert_eq!(rules.patterns, [(pattern.clone(), second)]);
    assert_eq!(rules.tags, [(Tags::new(["a"]).slots()[0], tagged)]);

    announced(&mut *bus).await;
    tier.swept(&pattern, Position::new(1, 1)).await.unwrap();
    assert_eq!(bus.rules().await.unwrap().patterns.len(), 1, "another rule of the same pattern");
    tier.swept(&pattern, second).await.unwrap();
    assert!(bus.rules().await.unwrap().patterns.is_empty());
    let heard = announced(&mut *bus).await;
    assert!(matches!(&heard[..], [BusMessage::Swept(read, position)] if *read == pattern && *position == second));

    let cleared = give(Change::Clear).await;
    assert_eq!(bus.rules().await.unwrap().cleared, cleared);
    assert_eq!(server.cli(&["HLEN", RULES]), "1", "a clear takes the place of all others");
    server.cli(&["DEL", RULES]);
    let after = give(Change::Tags(Tags::new(["a"]))).await;
    assert_eq!(bus.rules().await.unwrap().cleared, after, "what was lost may have voided anything");
}

#[tokio::test]
async fn what_anyone_else_publishes_is_unreadable() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    for message in ["", "hello", "1-1 2-2 9 ab clear", "2-2 1-1 1 ab clear"] {
        server.cli(&["PUBLISH", "{test}!bus", message]);
        assert!(matches!(bus.next().await, Some(BusMessage::Unreadable)), "{message:?}");
    }
    assert!(bus.try_next().is_none());
}

#[tokio::test]
async fn a_message_is_ready_before_the_reply_that_follows_it() {
    let (_server, tier) = start();
    let mut bus = subscribe(&tier).await;
    for round in 0..500 {
        let appended = tier.invalidate(&[], &record(&keys(["k"])), None).await.unwrap();
        assert_eq!(bus.last_position().await.unwrap(), appended.position);
        let ready = bus.try_next();
        assert!(
            matches!(ready, Some(BusMessage::Appended { position, .. }) if position == appended.position),
            "round {round}: {ready:?}"
        );
    }
}

#[tokio::test]
async fn a_lost_connection_ends_the_messages_after_those_that_arrived() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    tier.invalidate(&[], &record(&keys(["k"])), None).await.unwrap();
    bus.last_position().await.unwrap();
    server.kill();
    assert!(matches!(bus.next().await, Some(BusMessage::Appended { .. })));
    assert!(bus.next().await.is_none());
    assert!(bus.next().await.is_none());
    assert!(bus.last_position().await.unwrap_err().is_outage());
    assert!(bus.read_after(Position::START, 1).await.unwrap_err().is_outage());
    assert!(tier.shared().unwrap().bus().connect().await.is_err());
    server.restart();
    subscribe(&tier).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_noticed_by_the_reply_that_does_not_come() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    server.stop();
    assert!(bus.last_position().await.unwrap_err().is_timeout());
    assert!(tier.shared().unwrap().bus().connect().await.err().unwrap().is_timeout());
    server.resume();
    // The late reply is not taken for the next one's.
    let appended = tier.invalidate(&[], &record(&keys(["k"])), None).await.unwrap();
    assert_eq!(bus.last_position().await.unwrap(), appended.position);
}

#[tokio::test]
async fn messages_beyond_the_bound_are_dropped_and_counted_and_the_journal_has_them() {
    let (server, _) = start();
    let patient = RedisTier::builder(server.url()).response_timeout(Duration::from_secs(20));
    let tier = patient.connect_timeout(Duration::from_secs(20)).build().unwrap();
    tier.bind(&Namespace::new("test").unwrap()).unwrap();
    let mut bus = subscribe(&tier).await;
    let publish = "for i = 1, 10000 do redis.call('PUBLISH', '{test}!bus', 'lease k') end";
    server.cli(&["EVAL", publish, "0"]);
    let appended = tier.invalidate(&[], &record(&keys(["k"])), None).await.unwrap();
    assert_eq!(bus.last_position().await.unwrap(), appended.position);
    let taken = std::iter::from_fn(|| bus.try_next()).count() as u64;
    assert_eq!(taken + tier.counters().dropped_messages, 10_001);
    assert!(tier.counters().dropped_messages > 0);
    assert_eq!(bus.read_after(Position::START, 10).await.unwrap().records.len(), 1);
}

#[tokio::test]
async fn dropping_the_wait_for_a_message_loses_none() {
    let (server, tier) = start();
    let mut bus = subscribe(&tier).await;
    for round in 0..200 {
        let cancelled = tokio::time::timeout(Duration::from_micros(round), bus.next()).await;
        assert!(cancelled.is_err());
    }
    server.cli(&["PUBLISH", "{test}!bus", "lease k"]);
    assert!(matches!(bus.next().await, Some(BusMessage::LeaseEnded(_))));
}

#[tokio::test]
async fn a_thousand_keys_are_one_record() {
    let (_server, tier) = start();
    let all: Vec<Key> = (0..1_000).map(|number| key(&format!("{number:0>100}"))).collect();
    tier.set_many(all.iter().map(|key| (key.clone(), entry("v"), TTL)).collect()).await.unwrap();
    let appended = tier.invalidate(&all, &record(&all), None).await.unwrap();
    assert!(appended.removed.iter().all(|removed| *removed));
}

#[tokio::test]
async fn nodes_whose_registration_was_lost_are_waited_for_as_long_as_they_would_be_remembered() {
    let (server, tier) = start();
    let position = tier.invalidate(&[], &record(&keys(["k"])), None).await.unwrap().position;
    let bound = Duration::from_secs(10);
    // The first question notes on which server it was asked.
    tier.unheard(position, bound).await.unwrap();
    let after = async |ago: u64| {
        server.cli(&["HSET", "{test}!nodes", "since", &(position.millis() - ago).to_string()]);
        tier.unheard(position, bound).await.unwrap()
    };
    // They are isolated by now, and may serve what they have loaded themselves.
    for ago in [15_000, 60_000] {
        assert!(after(ago).await > bound / 2, "{ago}");
    }
    assert!(after(100_000).await.is_zero());
}
