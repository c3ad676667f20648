//! What each call costs in commands, as the server sees it.

mod support;

use cache_core::{CacheTier, SharedTier};
use cache_testing::server::Monitor;
use support::{TTL, entry, key, keys, put, record, start, token};

fn commands(monitor: &mut Monitor) -> Vec<String> {
    let commands = monitor.commands();
    commands.iter().filter(|command| !command.is_from_script()).map(|command| command.name()).collect()
}

#[tokio::test]
async fn each_call_is_one_command() {
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
        tier.put(&k, put(entry("v"), TTL), &rec).await.unwrap();
        check(&["EVALSHA"]);
        tier.invalidate(&keys(["k", "l"]), &rec, None).await.unwrap();
        check(&["EVALSHA"]);
    }
}
