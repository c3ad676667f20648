//! Other programs write to a cluster, and a node drops what it has near, whichever server they write to.

use cache_aside::{CachingService, RedisTier};
use cache_testing::resp::Reply;
use cache_testing::{RedisCluster, RedisServer};

use crate::support::tracked::{have, is_dropped, tracking};
use crate::support::{eventually, hears_invalidations, near};

async fn tracking_node(cluster: &RedisCluster) -> CachingService {
    tracking(RedisTier::cluster(cluster.urls())).await
}

/// A tag whose keys lie on each primary.
fn tags(cluster: &RedisCluster) -> [String; 3] {
    [0, 1, 2].map(|at| (0..).map(|n| format!("k{n}")).find(|tag| cluster.primary_of(tag) == at).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_primary_tells() {
    let cluster = RedisCluster::start();
    let node = tracking_node(&cluster).await;
    for (server, tag) in cluster.primaries().iter().zip(tags(&cluster)) {
        is_dropped(&node, server, &tag, |name| drop(server.cli(&["SET", name, "x"]))).await;
        is_dropped(&node, server, &tag, |name| drop(server.cli(&["DEL", name]))).await;
        is_dropped(&node, server, &tag, |_| drop(server.cli(&["FLUSHALL"]))).await;
        // A flush of the journal's server is a journal that is lost.
        hears_invalidations(&node).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_a_primary_was_not_heard_is_dropped() {
    let cluster = RedisCluster::start();
    let node = tracking_node(&cluster).await;
    for (server, tag) in cluster.primaries().iter().zip(tags(&cluster)) {
        is_dropped(&node, server, &tag, |name| {
            let mut connection = server.connect().unwrap();
            // In one step, so that nobody is told of the removal.
            for command in [&["MULTI"][..], &["CLIENT", "KILL", "TYPE", "normal"], &["DEL", name], &["EXEC"]] {
                assert!(!matches!(connection.command(command).unwrap(), Reply::Error(_)), "{command:?}");
            }
        })
        .await;
        hears_invalidations(&node).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_takes_over_tells() {
    let cluster = RedisCluster::with_replicas(1);
    let node = tracking_node(&cluster).await;
    let tags = tags(&cluster);
    let journal = cluster.primary_of("{cache}!journal");
    for shard in [(journal + 1) % 3, journal] {
        let replica = &cluster.replicas()[shard];
        have(&node, &cluster.primaries()[shard], &tags[shard]).await;
        cluster.primaries()[shard].kill();
        cluster.wait_for_primary(replica);
        let name = format!("cache:{{{}}}", tags[shard]);
        let written = || async { !matches!(replica.command(&["SET", &name, "x"]).unwrap(), Reply::Error(_)) };
        eventually("the new primary takes writes", written).await;
        eventually("it is dropped", || async { near(&node, &format!("{{{}}}", tags[shard])).await.is_none() }).await;
        hears_invalidations(&node).await;
        is_dropped(&node, replica, &tags[shard], |name| drop(replica.cli(&["SET", name, "x"]))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_to_which_a_slot_moves_tells_from_the_beginning() {
    let cluster = RedisCluster::start();
    let node = tracking_node(&cluster).await;
    let tag = "moving";
    let slot = cluster.slot_of(tag);
    let from = &cluster.primaries()[cluster.primary_of(tag)];
    have(&node, from, tag).await;
    let (to, _port) = RedisCluster::server();
    cluster.introduce(&to, from);
    let known = |server: &RedisServer| server.cli(&["CLUSTER", "NODES"]).matches(" connected").count() == 4;
    let servers = || cluster.primaries().iter().chain([&to]);
    eventually("all know each other", || async { servers().all(known) }).await;
    eventually("it is well", || async { to.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok") }).await;
    // A heartbeat finds it.
    eventually("it is tracked", || async { to.cli(&["CLIENT", "LIST", "TYPE", "normal"]).contains("flags=tB") }).await;
    hears_invalidations(&node).await;
    cluster.begin_move(slot, from, &to);
    cluster.move_keys(slot, from, &to);
    // It is there already, and no map says so.
    let foreign = |command: &[&str]| {
        let mut connection = to.connect().unwrap();
        assert_eq!(connection.command(&["ASKING"]).unwrap(), Reply::Status("OK".to_owned()));
        assert!(!matches!(connection.command(command).unwrap(), Reply::Error(_)), "{command:?}");
    };
    let (key, name) = (format!("{{{tag}}}"), format!("cache:{{{tag}}}"));
    eventually("the value is near", || async {
        if node.get::<String>(&key).await.is_none() {
            node.set(&key, "v".to_owned()).await;
        }
        near(&node, &key).await.is_some()
    })
    .await;
    foreign(&["DEL", &name]);
    eventually("it is dropped", || async { near(&node, &key).await.is_none() }).await;
    cluster.end_move(slot, from, &to);
    hears_invalidations(&node).await;
    is_dropped(&node, &to, tag, |name| drop(to.cli(&["DEL", name]))).await;
}
