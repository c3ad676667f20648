//! What calls cost and say while Redis is away, and that the tier recovers by itself.

mod support;

use std::time::Duration;

use cache_core::{CacheTier, Pattern, SharedTier};
use cache_redis::RedisTier;
use cache_testing::{FaultProxy, RedisServer};
use support::{TTL, entry, eventually, key, keys, put, record, start, tier};
use tokio::time::Instant;

/// Less than any timeout, and far more than calls need that do not wait, even on a machine that is busy with other tests.
const AT_ONCE: Duration = Duration::from_millis(400);

async fn timed<T>(call: impl Future<Output = T>) -> (Duration, T) {
    let start = Instant::now();
    let result = call.await;
    (start.elapsed(), result)
}

#[tokio::test]
async fn a_server_that_is_not_there_costs_one_attempt_and_then_nothing() {
    let server = RedisServer::start();
    server.kill();
    let tier = tier(&server);
    let (first, error) = timed(tier.get(&key("k"))).await;
    assert!(first < Duration::from_secs(1), "{first:?}");
    assert!(error.unwrap_err().is_outage());

    let (all, ()) = timed(async {
        for _ in 0..200 {
            let error = tier.get(&key("k")).await.unwrap_err();
            assert!(error.is_outage() && !error.is_timeout());
            assert!(error.to_string().contains("reconnecting; last error: "), "{error}");
        }
        tier.invalidate_pattern(&Pattern::all()).await.unwrap_err();
        tier.ping().await.unwrap_err();
        tier.invalidate(&[], &record(&keys(["k"])), None).await.unwrap_err();
    })
    .await;
    assert!(all < AT_ONCE, "{all:?}");

    server.restart();
    eventually(async || tier.ping().await.ok()).await;
}

#[tokio::test]
async fn an_address_that_answers_nothing_costs_one_connect_timeout() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    proxy.pause();
    let limit = Duration::from_millis(500);
    let tier = RedisTier::builder(server.url_at(proxy.port())).connect_timeout(limit).build().unwrap();
    let k = key("k");
    let (both, (one, other)) = timed(async { tokio::join!(tier.get(&k), tier.get(&k)) }).await;
    assert!((limit..limit * 2).contains(&both), "{both:?}");
    assert!(one.unwrap_err().is_outage() && other.unwrap_err().is_outage());
    let (next, _) = timed(tier.get(&key("k"))).await;
    assert!(next < AT_ONCE, "{next:?}");
    proxy.pass().await;
    eventually(async || tier.ping().await.ok()).await;
}

#[tokio::test]
async fn a_killed_server_is_an_outage_at_once_and_a_restarted_one_is_found() {
    let (server, tier) = start();
    for _ in 0..3 {
        tier.set(&key("k"), entry("v"), TTL).await.unwrap();
        server.kill();
        let (all, ()) = timed(async {
            for _ in 0..200 {
                assert!(tier.get(&key("k")).await.unwrap_err().is_outage());
            }
        })
        .await;
        assert!(all < AT_ONCE, "{all:?}");
        server.restart();
        let recovered = eventually(async || tier.get(&key("k")).await.ok()).await;
        assert!(recovered.is_none(), "the server is empty");
    }
    assert_eq!(tier.counters().connections, 4);
}

#[tokio::test]
async fn a_hung_server_costs_three_timeouts_and_a_resumed_one_is_found() {
    let (server, tier) = start();
    tier.set(&key("k"), entry("v"), TTL).await.unwrap();
    server.stop();
    let (all, ()) = timed(async {
        for number in 0..200 {
            let error = tier.get(&key("k")).await.unwrap_err();
            assert!(error.is_outage());
            assert_eq!(error.is_timeout(), number < 3, "{error}");
        }
    })
    .await;
    assert!((Duration::from_millis(1_500)..Duration::from_millis(2_000)).contains(&all), "{all:?}");
    server.resume();
    let found = eventually(async || tier.get(&key("k")).await.ok()).await;
    assert!(found.is_some());
}

#[tokio::test]
async fn a_silent_connection_is_replaced_though_every_caller_gives_up_early() {
    let (hung, well) = (RedisServer::start(), RedisServer::start());
    let proxy = FaultProxy::start(hung.address());
    let tier = RedisTier::new(hung.url_at(proxy.port())).unwrap();
    tier.ping().await.unwrap();
    hung.stop();
    // Where new connections lead to.
    proxy.lead_to(well.address());
    let impatient = async || tokio::time::timeout(Duration::from_millis(100), tier.ping()).await.ok()?.ok();
    eventually(impatient).await;
    assert_eq!(tier.counters().connections, 2);
}

#[tokio::test]
async fn commands_go_where_the_bus_goes_when_it_is_connected_again() {
    let (before, after) = (RedisServer::start(), RedisServer::start());
    let proxy = FaultProxy::start(before.address());
    let (patience, url) = (Duration::from_secs(10), before.url_at(proxy.port()));
    let tier = RedisTier::builder(url).connect_timeout(patience).response_timeout(patience).build().unwrap();
    tier.set(&key("k"), entry("before"), TTL).await.unwrap();
    let bus = support::subscribe(&tier).await;
    assert_eq!(tier.counters().connections, 1, "the first costs no other");
    // What a name leads to that is given to another server. The one before goes on.
    proxy.lead_to(after.address());
    assert!(tier.get(&key("k")).await.unwrap().is_some());
    drop(bus);
    let _bus = support::subscribe(&tier).await;
    assert!(tier.get(&key("k")).await.unwrap().is_none(), "this server has nothing");
    assert_eq!(tier.counters().connections, 2);
}

#[tokio::test]
async fn a_scan_holds_no_connection_between_its_steps() {
    let server = RedisServer::start();
    let patience = Duration::from_secs(10);
    let builder = RedisTier::builder(server.url()).connect_timeout(patience).response_timeout(patience);
    let tier = builder.pool_size(1).scan_batch(1).build().unwrap();
    for number in 0..20 {
        tier.set(&key(&format!("k{number}")), entry("v"), TTL).await.unwrap();
    }
    let mut scan = tier.shared().unwrap().scan(&Pattern::all()).await.unwrap();
    let mut found = scan.next().await.unwrap().unwrap();
    tier.invalidate_pattern(&Pattern::new("other*").unwrap()).await.unwrap();
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    eventually(async || tier.ping().await.ok()).await;
    while let Some(keys) = scan.next().await.unwrap() {
        found.extend(keys);
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 20);
}

#[tokio::test]
async fn one_slow_answer_does_not_cost_the_connection() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let url = server.url_at(proxy.port());
    let tier = RedisTier::builder(url).response_timeout(Duration::from_millis(300)).build().unwrap();
    tier.set(&key("k"), entry("v"), TTL).await.unwrap();
    for _ in 0..3 {
        for _ in 0..2 {
            let gate = proxy.hold_replies();
            assert!(tier.get(&key("k")).await.unwrap_err().is_timeout());
            gate.release();
        }
        eventually(async || tier.get(&key("k")).await.ok()).await.unwrap();
    }
    assert_eq!(tier.counters().connections, 1);
}

#[tokio::test]
async fn a_cut_connection_is_replaced() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let tier = RedisTier::new(server.url_at(proxy.port())).unwrap();
    tier.set(&key("k"), entry("v"), TTL).await.unwrap();
    proxy.sever().await;
    assert!(tier.get(&key("k")).await.unwrap_err().is_outage());
    let found = eventually(async || tier.get(&key("k")).await.ok()).await;
    assert!(found.is_some());
}

#[tokio::test]
async fn dropping_a_call_at_any_point_leaves_the_tier_usable() {
    let (_server, tier) = start();
    let k = key("k");
    tier.set(&k, entry("v"), TTL).await.unwrap();
    for round in 0..300 {
        let limit = Duration::from_micros(round);
        let _ = tokio::time::timeout(limit, tier.get(&k)).await;
        let _ = tokio::time::timeout(limit, tier.put(&k, put(entry("w"), TTL), &record(&keys(["k"])))).await;
        let _ = tokio::time::timeout(limit, tier.get_many(&keys(["k", "l"]))).await;
        let _ = tokio::time::timeout(limit, tier.invalidate_pattern(&Pattern::new("x*").unwrap())).await;
        let read = tier.get_many(&keys(["absent", "k"])).await.unwrap();
        assert!(read[0].is_none() && read[1].is_some(), "round {round}");
    }
    assert_eq!(tier.counters().connections, 1);
}

#[test]
fn the_tier_outlives_the_runtime_that_connected_it() {
    let (server, tier) = start();
    for round in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tier.set(&key("k"), entry("v"), TTL).await.unwrap();
            assert!(tier.get(&key("k")).await.unwrap().is_some());
            tier.invalidate_pattern(&Pattern::new("other").unwrap()).await.unwrap();
        });
        assert_eq!(tier.counters().connections, round + 1);
    }
    drop(server);
}

#[tokio::test]
async fn many_callers_share_the_first_connection() {
    let (server, tier) = start();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let tier = tier.clone();
            tokio::spawn(async move { tier.get(&key("k")).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(tier.counters().connections, 1);
    // The list holds this very connection as well.
    assert_eq!(server.cli(&["CLIENT", "LIST"]).trim().lines().count(), 2);
}

#[tokio::test]
async fn closing_and_dropping_end_every_connection() {
    let (server, tier) = start();
    tier.ping().await.unwrap();
    tier.invalidate_pattern(&Pattern::all()).await.unwrap();
    tier.close().await;
    let error = tier.ping().await.unwrap_err();
    assert_eq!(error.to_string(), "the tier is closed");
    eventually(async || (server.cli(&["CLIENT", "LIST"]).trim().lines().count() == 1).then_some(())).await;

    let dropped = support::tier(&server);
    dropped.ping().await.unwrap();
    let bus = support::subscribe(&dropped).await;
    drop((dropped, bus));
    eventually(async || (server.cli(&["CLIENT", "LIST"]).trim().lines().count() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_tier_closed_while_it_reconnects_stops_trying() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    proxy.refuse().await;
    let tier = RedisTier::new(server.url_at(proxy.port())).unwrap();
    tier.ping().await.unwrap_err();
    tier.close().await;
    proxy.pass().await;
    assert_eq!(tier.ping().await.unwrap_err().to_string(), "the tier is closed");
    assert_eq!(tier.counters().connections, 0);
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_shown() {
    let server = RedisServer::builder().password("right-secret").start();
    let tier = RedisTier::new(format!("redis://:wrong-secret@127.0.0.1:{}", server.port())).unwrap();
    for _ in 0..2 {
        let error = tier.ping().await.unwrap_err();
        assert!(error.is_outage(), "{error}");
        assert!(error.to_string().contains("authentication failed"), "{error}");
        assert!(!format!("{error} {error:?} {tier:?}").contains("secret"), "{error}");
    }
    let error = tier.shared().unwrap().bus().connect().await.err().unwrap();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    RedisTier::new(server.url()).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_user_without_permission_is_refused_by_name_of_the_command() {
    let server = RedisServer::builder().user("reader", "on >pass ~* &* +get +ping +client").start();
    let tier = RedisTier::new(format!("redis://reader:pass@127.0.0.1:{}", server.port())).unwrap();
    tier.get(&key("k")).await.unwrap();
    let error = tier.set(&key("k"), entry("confidential"), TTL).await.unwrap_err();
    assert!(!error.is_outage(), "{error}");
    assert!(error.to_string().contains("NOPERM") && error.to_string().contains("set"), "{error}");
}

#[tokio::test]
async fn a_server_that_quotes_arguments_does_not_get_them_into_errors() {
    let server = RedisServer::builder()
        .directive("rename-command", "SET \"\"")
        .directive("rename-command", "UNLINK \"\"")
        .directive("rename-command", "MGET \"\"")
        .start();
    let tier = tier(&server);
    let errors = [
        tier.delete(&keys(["confidential"])).await.unwrap_err(),
        tier.get_many(&keys(["confidential"])).await.unwrap_err(),
        tier.set(&key("confidential"), entry("confidential"), TTL).await.unwrap_err(),
    ];
    for error in &errors {
        assert!(!format!("{error} {error:?}").contains("confidential"), "{error}");
    }
    assert!(errors[0].to_string().ends_with("ERR unknown command 'UNLINK'"), "{}", errors[0]);
    assert!(!errors[0].is_outage());
}

#[tokio::test]
async fn a_full_server_refuses_writes_and_still_answers_reads() {
    let (server, tier) = start();
    tier.ping().await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = tier.set(&key("k"), entry("v"), TTL).await.unwrap_err();
    assert!(!error.is_outage() && error.to_string().contains("OOM"), "{error}");
    tier.get(&key("k")).await.unwrap();
}

#[tokio::test]
async fn a_replica_that_takes_no_writes_is_an_outage_for_them() {
    let (server, tier) = start();
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let error = tier.set(&key("k"), entry("v"), TTL).await.unwrap_err();
    assert!(error.is_outage() && error.to_string().contains("READONLY"), "{error}");
}

#[test]
fn without_a_runtime_a_call_says_so() {
    let (_server, tier) = start();
    let mut call = std::pin::pin!(tier.ping());
    let waker = std::task::Waker::noop();
    let std::task::Poll::Ready(result) = call.as_mut().poll(&mut std::task::Context::from_waker(waker)) else {
        panic!("it waits")
    };
    assert!(result.unwrap_err().to_string().contains("call from within a Tokio runtime"));
}
