//! The program `scenarios`, held to what it is there to show: no old value is kept, nothing is loaded twice, and no call
//! fails. How fast things are is for a release build on a machine that does nothing else.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashMap;

use cache_testing::Process;

/// The cells of the table by the scenario's name: this cache's, and whether it is as good as the best of the others.
async fn table() -> HashMap<String, (String, bool)> {
    let mut program = Process::builder(env!("CARGO_BIN_EXE_scenarios")).argument("--quick").spawn();
    let mut table = HashMap::new();
    while let Some(line) = program.receive().await {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", scenario, cell, _, verdict, ""] = cells[..] else { panic!("not a row: {line}") };
        table.insert(scenario.to_owned(), (cell.to_owned(), verdict == "yes"));
    }
    program.finish().await;
    table
}

#[tokio::test]
async fn no_scenario_leaves_an_old_value_or_fails_a_call() {
    let table = table().await;
    let row = |start: &str| {
        let mut found = table.iter().filter(|(name, _)| name.starts_with(start));
        let (_, (cell, good)) = found.next().unwrap_or_else(|| panic!("no row {start:?}: {table:?}"));
        assert!(found.next().is_none(), "several rows {start:?}");
        (cell.as_str(), *good)
    };
    for scenario in [
        "1,000 callers",
        "slow load held",
        "the same, load ending",
        "caller after the invalidation",
        "message missed",
        "late L2 reply",
        "Redis killed",
        "Redis hung",
        "Redis down at start",
    ] {
        let (cell, good) = row(scenario);
        assert!(good, "{scenario}: {cell}");
    }
    for scenario in ["invalidation while Redis is away", "delivery to the other node", "pattern invalidation"] {
        let (cell, _) = row(scenario);
        assert!(!cell.contains("old value"), "{scenario}: {cell}");
    }
}

/// The program `write_behind`: writes that are acknowledged reach the source in order, whatever is killed.
#[tokio::test]
async fn no_acknowledged_write_is_lost_when_workers_and_redis_are_killed() {
    let mut program = Process::builder(env!("CARGO_BIN_EXE_write_behind"));
    for (option, value) in [("--writes", "3200"), ("--processes", "2"), ("--kills", "6"), ("--restarts", "2")] {
        program = program.argument(option).argument(value);
    }
    let mut program = program.spawn();
    let mut lines = Vec::new();
    while let Some(line) = program.receive().await {
        lines.push(line);
    }
    program.finish().await;
    assert!(lines.contains(&"lost: 0, out of order: 0".to_owned()), "{lines:#?}");
    assert!(lines[0].starts_with("writes acknowledged: 3200 "), "{lines:#?}");
}

/// The program `refresh_ahead`: nobody waits for a hot key, and it is loaded by one at a time.
#[tokio::test]
async fn no_caller_waits_for_a_hot_key_that_is_refreshed_ahead() {
    let mut program = Process::builder(env!("CARGO_BIN_EXE_refresh_ahead"));
    for (option, value) in [("--seconds", "5"), ("--nodes", "3"), ("--callers", "3")] {
        program = program.argument(option).argument(value);
    }
    let mut program = program.spawn();
    let mut lines = Vec::new();
    while let Some(line) = program.receive().await {
        lines.push(line);
    }
    program.finish().await;
    for expected in ["callers that waited: 0", "loads at the same time: 0"] {
        assert!(lines.iter().any(|line| line == expected), "{lines:#?}");
    }
    let loads = lines.iter().find_map(|line| line.strip_prefix("loads after the first: ")).unwrap();
    let (all, early) = loads.split_once(", of them early: ").unwrap();
    assert!(all == early && all != "0", "{lines:#?}");
}
