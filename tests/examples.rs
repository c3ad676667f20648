//! The examples run to their end, and show what they say they show.

use cache_testing::{Process, RedisServer};

/// Runs an example to its end: whether it succeeded, and what it wrote. Without a `url` it sees no `CACHE_REDIS_URL`.
async fn run(example: &str, url: &str) -> (bool, Vec<String>) {
    // An empty variable counts as not set, so that what the test itself was started with does not matter.
    run_with(example, &[("CACHE_REDIS_URL", url)]).await
}

async fn run_with(example: &str, variables: &[(&str, &str)]) -> (bool, Vec<String>) {
    let process = Process::example(example);
    let process = variables.iter().fold(process, |process, (name, value)| process.variable(name, value));
    let mut process = process.spawn();
    let mut lines = Vec::new();
    while let Some(line) = process.receive().await {
        lines.push(line);
    }
    (process.finish().await.success(), lines)
}

/// The lines that follow the one that contains `heading`, up to an empty one.
fn section<'a>(lines: &'a [String], heading: &str) -> Vec<&'a str> {
    let start = lines.iter().position(|line| line.contains(heading)).unwrap_or_else(|| panic!("{heading}: {lines:#?}"));
    lines[start + 1..].iter().map(String::as_str).take_while(|line| !line.is_empty()).collect()
}

fn count(lines: &[impl AsRef<str>], text: &str) -> usize {
    lines.iter().filter(|line| line.as_ref().contains(text)).count()
}

fn assert_quickstart(lines: &[String]) {
    assert_eq!(count(&section(lines, "The first call loads"), "querying the database"), 1, "{lines:#?}");
    assert_eq!(count(&section(lines, "100 callers at once"), "querying the database"), 1, "{lines:#?}");
    assert_eq!(count(&section(lines, "After an invalidation"), "querying the database"), 1, "{lines:#?}");
    assert_eq!(count(&section(lines, "annotated with #[cached]"), "querying the database"), 2, "{lines:#?}");
    assert_eq!(count(lines, "loads: 5, callers that shared one: 99"), 1, "{lines:#?}");
}

#[tokio::test]
async fn quickstart_runs_without_a_server() {
    let (success, lines) = run("quickstart", "").await;
    assert!(success, "{lines:#?}");
    assert_eq!(
        count(&lines, "neither CACHE_REDIS_URL nor REDIS_HOST is set: values are kept in this process only"),
        1,
        "{lines:#?}"
    );
    assert_quickstart(&lines);
    assert_eq!(count(&lines, "delivery: Local"), 2, "{lines:#?}");
}

#[tokio::test]
async fn quickstart_uses_redis_and_can_be_run_again() {
    let redis = RedisServer::start();
    for _ in 0..2 {
        let (success, lines) = run("quickstart", &redis.url()).await;
        assert!(success, "{lines:#?}");
        assert_eq!(count(&lines, "tier redis: Up"), 1, "{lines:#?}");
        assert_quickstart(&lines);
        assert_eq!(count(&lines, "delivery: Done"), 2, "{lines:#?}");
        assert_eq!(redis.cli(&["EXISTS", "cache:user:7"]), "1");
    }
}

#[tokio::test]
async fn quickstart_takes_the_host_of_redis_as_well() {
    let redis = RedisServer::start();
    let url = redis.url();
    let (_, port) = url.rsplit_once(':').expect("the server has a port");
    let variables = [("CACHE_REDIS_URL", ""), ("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", port)];
    for _ in 0..2 {
        let (success, lines) = run_with("quickstart", &variables).await;
        assert!(success, "{lines:#?}");
        assert_eq!(count(&lines, "in this process only"), 0, "{lines:#?}");
        assert_quickstart(&lines);
    }
}

#[tokio::test]
async fn quickstart_runs_with_redis_down() {
    let redis = RedisServer::start();
    redis.kill();
    let (success, lines) = run("quickstart", &redis.url()).await;
    assert!(success, "{lines:#?}");
    assert_eq!(count(&lines, "tier redis: Down"), 1, "{lines:#?}");
    assert_quickstart(&lines);
    assert_eq!(count(&lines, "delivery: Queued"), 2, "{lines:#?}");
}

#[tokio::test]
async fn two_nodes_share_values_and_hear_of_invalidations() {
    let redis = RedisServer::start();
    for url in ["", &redis.url()] {
        let (success, lines) = run("two_nodes", url).await;
        assert!(success, "{lines:#?}");
        assert_eq!(count(&section(&lines, "A sets \"hello\""), "B reads it from Redis"), 1, "{lines:#?}");
        assert_eq!(count(&section(&lines, "A sets \"good morning\""), "B has the new value"), 1, "{lines:#?}");
        let invalidation = section(&lines, "B invalidates");
        assert_eq!(count(&invalidation, "removed: 1, delivery: Done"), 1, "{lines:#?}");
        assert_eq!(count(&invalidation, "A has nothing"), 1, "{lines:#?}");
    }
}

#[tokio::test]
async fn two_nodes_says_that_redis_is_away() {
    let redis = RedisServer::start();
    redis.kill();
    let (success, lines) = run("two_nodes", &redis.url()).await;
    assert!(!success, "{lines:#?}");
}

#[tokio::test]
async fn user_profiles_spares_the_database_and_outlives_redis() {
    let (success, lines) = run("user_profiles", "").await;
    assert!(success, "{lines:#?}");
    // For each step, in order, how many queries it may cost.
    let everyday = section(&lines, "Every day:");
    let queries: Vec<&str> =
        everyday.iter().filter_map(|line| line.split_once("database queries: ")).map(|(_, queries)| queries).collect();
    assert_eq!(queries, ["1", "0", "1", "0", "1", "1", "1", "1", "1", "1", "0", "1", "1"], "{lines:#?}");

    let killed = section(&lines, "Redis is killed.");
    assert_eq!(count(&killed, "find 2, which is in memory: Ok(Some("), 1, "{lines:#?}");
    assert_eq!(count(&killed, "find 3, which is not: Ok(Some("), 1, "{lines:#?}");
    assert_eq!(count(&killed, "delivery: Queued"), 1, "{lines:#?}");
    assert_eq!(count(&killed, "Grace Hopper"), 1, "{lines:#?}");
    assert_eq!(count(&killed, "redis is Down"), 1, "{lines:#?}");

    let back = section(&lines, "Redis is back:");
    assert_eq!(count(&back, "redis is Up"), 1, "{lines:#?}");
    assert_eq!(count(&back, "bus healthy, queued invalidations: 0"), 1, "{lines:#?}");
}

#[tokio::test]
async fn user_profiles_leaves_a_given_redis_alone() {
    let redis = RedisServer::start();
    let (success, lines) = run("user_profiles", &redis.url()).await;
    assert!(success, "{lines:#?}");
    assert_eq!(count(&lines, "it is not killed here"), 1, "{lines:#?}");
    assert!(redis.is_running());
}

#[tokio::test]
async fn keyspace_reads_and_writes_in_three_ways() {
    let (success, lines) = run("keyspace", "").await;
    assert!(success, "{lines:#?}");
    let has = |expected: &str| lines.iter().any(|line| line.trim() == expected);
    assert!(has("one key: price:7:DE") && has("[Some(1000), Some(1050), None]"), "{lines:#?}");
    assert!(has("read: Some(1350), database: Some(1200)"), "before a worker has written: {lines:#?}");
    assert!(has("read: Some(1350), database: Some(1350)"), "{lines:#?}");
}

#[tokio::test]
async fn keyspace_says_that_write_behind_needs_redis() {
    let redis = RedisServer::start();
    redis.kill();
    let (success, lines) = run("keyspace", &redis.url()).await;
    assert!(success, "{lines:#?}");
    let behind = section(&lines, "write_behind: acknowledged when Redis has it");
    assert_eq!(count(&behind, "not taken, since a write that only this process knows would be lost"), 1, "{lines:#?}");
    assert_eq!(count(&behind, "redis is away"), 1, "{lines:#?}");
}
