//! The user of docs/redis.md, who may do what the tier needs and nothing else.

use cache_testing::RedisServer;

/// Its rules with the namespace of the suite, and what is to be added for each of `purposes`.
pub(crate) fn rules(purposes: &[&str]) -> String {
    let text = include_str!("../../docs/redis.md");
    let blocks = text.split("ACL SETUSER cache-aside").skip(1).filter_map(|rest| rest.split("```").next());
    let rules: Vec<&str> = blocks.flat_map(str::split_whitespace).collect();
    let rules = rules.join(" ").replace("app:", "cache:").replace("{app}", "{cache}");
    purposes.iter().fold(rules, |rules, purpose| format!("{rules} {}", added(purpose)))
}

/// What the table says to add for `purpose`.
fn added(purpose: &str) -> String {
    let beginning = format!("| {purpose} | `");
    let row = include_str!("../../docs/redis.md").lines().find_map(|line| line.strip_prefix(&beginning));
    let commands = row.and_then(|row| row.split('`').next()).unwrap_or_else(|| panic!("no row for {purpose}"));
    commands.replace('\\', "")
}

/// Lets it use each of `servers`.
#[cfg(any(feature = "cluster", feature = "sentinel"))]
pub(crate) fn admit(servers: &[RedisServer], rules: &str) {
    for server in servers {
        let command: Vec<&str> = ["ACL", "SETUSER", "cache-aside"].into_iter().chain(rules.split(' ')).collect();
        server.cli(&command);
    }
}

/// Lets it ask `sentinels`.
#[cfg(feature = "sentinel")]
pub(crate) fn admit_at_sentinels(sentinels: &[RedisServer]) {
    admit(sentinels, &format!("on >password resetchannels -@all {}", added("sentinels, at the sentinels")));
}

/// The URL of `server` for it.
pub(crate) fn url(server: &RedisServer) -> String {
    format!("redis://cache-aside:password@127.0.0.1:{}", server.port())
}

/// It stores and reads plain values.
#[tokio::test]
async fn plain_values_need_what_their_row_says() {
    use cache_aside::{CachingService, RedisTier, Wire};

    let server = RedisServer::builder().user("cache-aside", &rules(&["`Wire::Plain`"])).start();
    let remote = RedisTier::builder(url(&server)).wire(Wire::Plain).build().unwrap();
    let node = CachingService::builder().remote(remote).build().await.unwrap();
    node.set("set", 1_u32).await;
    node.get_or_load("loaded", || async { Ok::<_, std::convert::Infallible>(2_u32) }).await.unwrap();
    assert_eq!(node.get_many::<u32>(&["set", "loaded"]).await, [Some(1.into()), Some(2.into())]);
}

/// It hears of what other programs write, on every kind of server.
mod hearing {
    use cache_aside::RedisTier;
    #[cfg(feature = "cluster")]
    use cache_testing::RedisCluster;
    #[cfg(feature = "sentinel")]
    use cache_testing::RedisSentinels;

    use super::*;
    use crate::support::tracked::{is_dropped, tracking};

    const TRACKING: &str = "`track_foreign_writes`";

    #[tokio::test(flavor = "multi_thread")]
    async fn on_one_server() {
        let server = RedisServer::builder().user("cache-aside", &rules(&[TRACKING])).start();
        let node = tracking(RedisTier::builder(url(&server))).await;
        is_dropped(&node, &server, "k", |name| drop(server.cli(&["DEL", name]))).await;
    }

    #[cfg(feature = "sentinel")]
    #[tokio::test(flavor = "multi_thread")]
    async fn on_a_primary_with_sentinels() {
        let sentinels = RedisSentinels::start();
        admit_at_sentinels(sentinels.sentinels());
        for server in [sentinels.primary(), sentinels.replica()] {
            admit(std::slice::from_ref(server), &rules(&[TRACKING]));
        }
        let urls: Vec<String> = sentinels.sentinels().iter().map(url).collect();
        let builder = RedisTier::sentinel(sentinels.service(), urls).servers("redis://cache-aside:password@any");
        let node = tracking(builder).await;
        is_dropped(&node, sentinels.primary(), "k", |name| drop(sentinels.primary().cli(&["DEL", name]))).await;
        sentinels.primary().kill();
        sentinels.wait_for_failover();
        is_dropped(&node, sentinels.replica(), "k", |name| drop(sentinels.replica().cli(&["DEL", name]))).await;
    }

    #[cfg(feature = "cluster")]
    #[tokio::test(flavor = "multi_thread")]
    async fn in_a_cluster() {
        let cluster = RedisCluster::start();
        admit(cluster.primaries(), &rules(&[TRACKING, "a cluster"]));
        let node = tracking(RedisTier::cluster(cluster.primaries().iter().map(url))).await;
        for tag in ["k1", "k2", "k3", "k4"] {
            let server = &cluster.primaries()[cluster.primary_of(tag)];
            is_dropped(&node, server, tag, |name| drop(server.cli(&["DEL", name]))).await;
        }
    }
}
