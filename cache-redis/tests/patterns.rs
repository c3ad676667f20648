//! Patterns mean on the tier, in `cache_core::Pattern` and on the server the same.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use cache_core::{CacheTier, Key, Namespace, Pattern, SharedTier};
use cache_redis::RedisTier;
use cache_testing::RedisServer;
use cache_testing::resp::{Connection, Reply};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use support::{TTL, entry, key, keys, record, start};

/// Few characters, so that patterns and keys meet; all that have a meaning, and some of more than one byte.
const ALPHABET: &str = r"[ab:\-\*\?\[\]\^\\!{}é€]{1,10}";

fn set_of(reply: Reply) -> BTreeSet<Vec<u8>> {
    let Reply::Array(elements) = reply else { panic!("{reply:?}") };
    let bytes = |element| if let Reply::Bytes(bytes) = element { bytes } else { panic!("{element:?}") };
    elements.into_iter().map(bytes).collect()
}

fn fill(server: &mut Connection, keys: &BTreeSet<String>) {
    server.command(&["FLUSHDB"]).unwrap();
    let pairs = keys.iter().flat_map(|key| [key.as_str(), "x"]);
    server.command(&std::iter::once("MSET").chain(pairs).collect::<Vec<_>>()).unwrap();
}

fn cases(count: u32) -> TestRunner {
    TestRunner::new(ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() })
}

#[test]
fn the_matcher_agrees_with_the_server() {
    let server = RedisServer::start();
    let connection = std::cell::RefCell::new(server.connect().unwrap());
    let keys = prop::collection::btree_set(ALPHABET, 1..60);
    // Each set of keys is tried with many patterns, of which some are made from a key by wildcards.
    let patterns = prop::collection::vec((ALPHABET, any::<prop::sample::Index>(), 0usize..10, "[*?]{0,2}"), 60);
    cases(150)
        .run(&(keys, patterns), |(keys, patterns)| {
            let mut server = connection.borrow_mut();
            fill(&mut server, &keys);
            for (random, index, at, wildcard) in patterns {
                let near: String = {
                    let key = keys.iter().nth(index.index(keys.len())).unwrap();
                    key.chars().enumerate().map(|(i, c)| if i == at { wildcard.clone() } else { c.into() }).collect()
                };
                for text in [random, near] {
                    let Ok(pattern) = Pattern::new(&text) else { continue };
                    let ours: BTreeSet<_> =
                        keys.iter().filter(|key| pattern.matches(key)).map(|key| key.clone().into_bytes()).collect();
                    let theirs = set_of(server.command(&["KEYS", &text]).unwrap());
                    prop_assert_eq!(&ours, &theirs, "pattern {:?} over {:?}", text, &keys);
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_tier_removes_exactly_what_matches_in_its_namespace() {
    let (server, tier) = start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connection = std::cell::RefCell::new(server.connect().unwrap());
    let own = ["{test}!journal", "{test}!bus", "test", "test!x", "testx:a", "Test:a", "{test}:a", "other:a", "a", "*"];
    let all = (prop::collection::btree_set(ALPHABET, 1..40), ALPHABET);
    cases(300)
        .run(&all, |(keys, text)| {
            let Ok(pattern) = Pattern::new(&text) else { return Ok(()) };
            let mut server = connection.borrow_mut();
            let ours: BTreeSet<String> = keys.iter().map(|key| format!("test:{key}")).collect();
            let foreign = own.iter().map(ToString::to_string).chain(keys.iter().map(|key| format!("other:{key}")));
            fill(&mut server, &ours.iter().cloned().chain(foreign.clone()).collect());
            let removed = runtime.block_on(tier.invalidate_pattern(&pattern)).unwrap();

            let kept = keys.iter().filter(|key| !pattern.matches(key)).map(|key| format!("test:{key}"));
            let expected: BTreeSet<_> = kept.chain(foreign).map(String::into_bytes).collect();
            prop_assert_eq!(set_of(server.command(&["KEYS", "*"]).unwrap()), expected);
            prop_assert_eq!(removed, keys.iter().filter(|key| pattern.matches(key)).count() as u64);
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn clear_leaves_the_journal_and_other_namespaces() {
    let (server, tier) = start();
    let other = RedisTier::new(server.url()).unwrap();
    other.bind(&Namespace::new("test2").unwrap()).unwrap();
    let all: Vec<Key> = (0..3_000).map(|number| key(&format!("k{number}"))).collect();
    tier.set_many(all.iter().map(|key| (key.clone(), entry("v"), TTL)).collect()).await.unwrap();
    other.set(&key("k"), entry("v"), TTL).await.unwrap();
    tier.invalidate(&[], &record(&keys(["k"])), None).await.unwrap();

    assert_eq!(tier.clear().await.unwrap(), 3_000);

    assert!(other.get(&key("k")).await.unwrap().is_some());
    assert_eq!(server.cli(&["XLEN", "{test}!journal"]), "1");
    assert_eq!(tier.clear().await.unwrap(), 0);
}

#[tokio::test]
async fn a_large_scan_holds_the_server_up_for_less_than_a_millisecond_at_a_time() {
    let server = RedisServer::builder().directive("enable-debug-command", "local").start();
    // Tests that run at the same time take the processor away for longer than the usual bound.
    let tier = RedisTier::builder(server.url()).response_timeout(Duration::from_secs(20)).build().unwrap();
    tier.bind(&Namespace::new("large").unwrap()).unwrap();
    let mut admin = server.connect().unwrap();
    // In parts, so that each is answered in time on a busy machine too.
    let parts = (0..4).map(|part| ("50000", format!("large:{part}")));
    for (count, prefix) in parts.chain([("1000", "other".to_owned())]) {
        let reply = admin.command(&["DEBUG", "POPULATE", count, &prefix, "100"]).unwrap();
        assert_eq!(reply, Reply::Status("OK".to_owned()));
    }
    admin.command(&["CONFIG", "RESETSTAT"]).unwrap();
    let before = processor_seconds(&server);

    assert_eq!(tier.clear().await.unwrap(), 200_000);
    assert_eq!(tier.counters().swept, 200_000, "its progress");

    let busy = processor_seconds(&server) - before;
    assert_eq!(admin.command(&["DBSIZE"]).unwrap(), Reply::Integer(1_000));
    let calls = server.cli(&["INFO", "commandstats"]);
    let latencies = server.cli(&["INFO", "latencystats"]);
    let calls: f64 = ["scan", "unlink"].map(|name| number(&calls, &format!("cmdstat_{name}:"), "calls=")).iter().sum();
    // Every batch is alike, so what one takes on average is what each takes. Processor time, because tests that run at the
    // same time take the processor away from the server in the middle of a command, and its own clock runs on.
    assert!(busy / calls < 0.000_5, "{busy} s for {calls} commands: {latencies}");
    for name in ["scan", "unlink"] {
        let median = number(&latencies, &format!("latency_percentiles_usec_{name}:"), "p50=");
        assert!(median < 1_000.0, "{latencies}");
    }
}

/// What the server's main thread has had of the processor.
fn processor_seconds(server: &RedisServer) -> f64 {
    let report = server.cli(&["INFO", "cpu"]);
    ["user", "sys"].map(|kind| number(&report, &format!("used_cpu_{kind}_main_thread:"), "")).iter().sum()
}

/// The number after `name` in the line of a report that starts with `line`.
fn number(report: &str, line: &str, name: &str) -> f64 {
    let values =
        report.lines().find_map(|text| text.strip_prefix(line)).unwrap_or_else(|| panic!("{line} in {report}"));
    values.trim().split(',').find_map(|value| value.strip_prefix(name)).unwrap().parse().unwrap()
}
