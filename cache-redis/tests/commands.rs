//! What each call costs in commands, as the server sees it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::{Duration, Instant};

use cache_core::{CacheTier, Entry, Namespace, SharedTier, TierError};
use cache_redis::RedisTier;
use cache_testing::RedisServer;
use cache_testing::server::Monitor;
use support::{TTL, entry, key, keys, put, record, start, token};

fn commands(monitor: &mut Monitor) -> Vec<String> {
    let commands = monitor.commands();
    commands.iter().filter(|command| !command.is_from_script()).map(|command| command.name()).collect()
}

#[tokio::test]
async fn each_call_is_one_round_trip() {
    let (server, tier) = start();
    let k = key("k");
    let rec = record(&keys(["k"]));
    // The first round connects and sends the scripts.
    for first in [true, false] {
        let mut monitor = server.monitor();
        let mut check = |expected: &[&str]| {
            let seen = commands(&mut monitor);
            assert!(first || seen == expected, "{seen:?} instead of {expected:?}");
        };
        tier.get(&k).await.unwrap();
        check(&["GET"]);
        tier.set(&k, entry("v"), TTL).await.unwrap();
        check(&["SET"]);
        tier.get_many(&keys(["a", "b", "c"])).await.unwrap();
        check(&["MGET"]);
        tier.set_many(keys(["a", "b"]).map(|key| (key, entry("v"), TTL)).to_vec()).await.unwrap();
        check(&["SET", "SET"]);
        tier.delete(&keys(["a", "b", "k"])).await.unwrap();
        check(&["UNLINK"]);
        tier.ping().await.unwrap();
        check(&["PING"]);
        tier.acquire(&k, token(1), None, TTL).await.unwrap();
        check(&["EVALSHA"]);
        tier.extend(&k, token(1), TTL).await.unwrap();
        check(&["EVALSHA"]);
        tier.fill(&k, token(1), entry("v"), TTL).await.unwrap();
        check(&["EVALSHA"]);
        tier.release(&k, token(1)).await.unwrap();
        check(&["EVALSHA"]);
        // Sent as one: the PING has the server write to the nodes before it answers.
        tier.put(&k, put(entry("v"), TTL), &rec).await.unwrap();
        check(&["PING", "EVALSHA"]);
        tier.invalidate(&keys(["k", "l"]), &rec, None).await.unwrap();
        check(&["PING", "EVALSHA"]);
    }
}

/// Reads that begin at once, of keys with the numbers up to `count`.
fn reads(tier: &RedisTier, count: usize) -> Vec<tokio::task::JoinHandle<Result<Option<Entry>, TierError>>> {
    let read = |n| {
        let tier = tier.clone();
        tokio::spawn(async move { tier.get(&key(&format!("k{n}"))).await })
    };
    (0..count).map(read).collect()
}

/// A tier on a server where every second of `count` keys is there.
async fn filled(count: usize) -> (RedisServer, RedisTier) {
    let server = RedisServer::start();
    let limit = Duration::from_secs(10);
    let builder = RedisTier::builder(server.url()).response_timeout(limit).connect_timeout(limit);
    let tier = builder.build().unwrap();
    tier.bind(&Namespace::new("test").unwrap()).unwrap();
    let there = (0..count).step_by(2).map(|n| {
        let mut entry = entry("v");
        entry.token = token((n % 251) as u8);
        (key(&format!("k{n}")), entry, TTL)
    });
    tier.set_many(there.collect()).await.unwrap();
    (server, tier)
}

#[track_caller]
fn assert_is(n: usize, found: Option<Entry>) {
    assert_eq!(found.map(|entry| entry.token), (n.is_multiple_of(2)).then(|| token((n % 251) as u8)), "{n}");
}

#[tokio::test]
async fn many_gets_at_once_are_gathered() {
    let (server, tier) = filled(1_000).await;
    let mut monitor = server.monitor();
    for (n, read) in reads(&tier, 1_000).into_iter().enumerate() {
        assert_is(n, read.await.unwrap().unwrap());
    }
    let seen = commands(&mut monitor);
    let gathered = seen.iter().filter(|name| *name == "MGET").count();
    assert!(gathered >= 8, "no more than 128 keys at once: {seen:?}");
    assert!(seen.len() < 100, "{} commands for 1,000 reads", seen.len());
}

#[tokio::test]
async fn callers_that_go_away_harm_no_other() {
    let (_server, tier) = filled(600).await;
    for round in 0..20 {
        let reads = reads(&tier, 600);
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        reads.iter().step_by(3).for_each(|read| read.abort());
        for (n, read) in reads.into_iter().enumerate() {
            match read.await {
                Ok(found) => assert_is(n, found.unwrap()),
                Err(gone) => assert!(gone.is_cancelled() && n % 3 == 0),
            }
        }
    }
    assert!(tier.get(&key("k0")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_lost_connection_is_an_outage_for_every_gathered_get() {
    let (server, tier) = filled(10).await;
    server.stop();
    let reads = reads(&tier, 300);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    server.kill();
    for read in reads {
        assert!(read.await.unwrap().unwrap_err().is_outage());
    }
    server.restart();
    support::eventually(async || tier.get(&key("k1")).await.ok()).await;
    for read in self::reads(&tier, 300) {
        assert!(read.await.unwrap().unwrap().is_none(), "the server is empty");
    }
}

#[tokio::test]
async fn gathered_gets_wait_no_longer_than_others_for_a_server_that_hangs() {
    let server = RedisServer::start();
    let tier = support::tier(&server);
    tier.ping().await.unwrap();
    server.stop();
    let asked = Instant::now();
    for read in reads(&tier, 300) {
        assert!(read.await.unwrap().unwrap_err().is_outage());
    }
    assert!(asked.elapsed() < Duration::from_millis(1_500), "{:?}", asked.elapsed());
    server.resume();
    support::eventually(async || tier.get(&key("k1")).await.ok()).await;
}
