//! What goes over the wire.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::convert::Infallible;

use cache_testing::RedisServer;
use support::node;

/// The commands that the nodes send, without those of the scripts' own and those that keep connections alive.
fn sent(monitor: &mut cache_testing::server::Monitor) -> Vec<String> {
    let commands = monitor.commands();
    let own =
        commands.iter().filter(|command| !command.is_from_script()).map(cache_testing::server::MonitoredCommand::name);
    own.filter(|name| !["PING", "XREVRANGE", "TIME", "CLIENT", "HELLO", "SUBSCRIBE"].contains(&name.as_str())).collect()
}

#[tokio::test]
async fn each_call_costs_what_it_must() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    let load = || async { Ok::<_, Infallible>(1_u32) };
    // Once each beforehand, so that the scripts are known to the server.
    a.get_or_load("warm", load).await.unwrap();
    a.set("warm", 1_u32).await;
    a.invalidate("warm").await;

    let mut monitor = redis.monitor();
    a.get_or_load("k", load).await.unwrap();
    assert_eq!(sent(&mut monitor), ["GET", "EVALSHA", "EVALSHA"], "a miss and fill: GET, acquire, fill");

    for _ in 0..100 {
        a.get::<u32>("k").await.unwrap();
        a.get_or_load("k", load).await.unwrap();
    }
    assert_eq!(sent(&mut monitor), [""; 0], "a near hit");

    b.get::<u32>("k").await.unwrap();
    assert_eq!(sent(&mut monitor), ["GET"], "a far hit");

    a.set("k", 2_u32).await;
    assert_eq!(sent(&mut monitor), ["EVALSHA"], "a set");

    a.invalidate_many(&["k", "l", "m"]).await;
    assert_eq!(sent(&mut monitor), ["EVALSHA"], "an invalidation");

    let keys: Vec<String> = (0..100).map(|n| format!("many{n}")).collect();
    a.get_many::<u32>(&keys).await;
    assert_eq!(sent(&mut monitor), ["MGET"], "a batch");

    let load = |missing: Vec<String>| async move {
        assert_eq!(missing.len(), 100);
        Ok::<_, Infallible>(missing.into_iter().map(|key| (key, 1_u32)).collect())
    };
    a.get_or_load_many(&keys, load).await.unwrap();
    let mut expected = vec!["MGET"];
    expected.resize(1 + 100 + 100, "EVALSHA");
    assert_eq!(sent(&mut monitor), expected, "a batch that is loaded: one read, then leases and fills");
}
