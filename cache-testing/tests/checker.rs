//! The checker, run as a user runs it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;
use std::process::{Command, Output};

const WHILE_WELL: &str = "beyond a delivery while all was well";

/// How the last line names what was broken.
const PROMISES: [&str; 6] = [
    "stale reads beyond 2500.0 ms",
    WHILE_WELL,
    "on the node that invalidated",
    "after a strict invalidation",
    "in Redis",
    "in the final audit",
];

fn run(arguments: &[&str], report: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_checker"));
    command.args(arguments).arg("--report").arg(report).output().unwrap()
}

/// The number before a word of the last line, such as the `3` of `3 reads`.
fn figure(line: &str, word: &str) -> u64 {
    let before = line.split_once(&format!(" {word}")).unwrap_or_else(|| panic!("no {word} in {line:?}")).0;
    before.rsplit(' ').next().unwrap().replace(',', "").parse().unwrap()
}

/// The number after a phrase of the last line, such as the `0` of `in Redis: 0`.
fn finding(line: &str, phrase: &str) -> u64 {
    let after = line.split_once(&format!("{phrase}: ")).unwrap_or_else(|| panic!("no {phrase} in {line:?}")).1;
    after.split([',', ';']).next().unwrap().parse().unwrap()
}

#[test]
fn a_minute_of_faults_breaks_no_promise() {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report");
    // Fewer reads than by default, since the tests are not optimised.
    let output = run(&["--seconds", "50", "--seed", "3", "--short-timings", "--reads", "20000"], &report);
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read_to_string(&report).unwrap(), text);
    let line = text.lines().last().unwrap();
    assert!(line.starts_with("checker: seed 3, 50 s, 4 nodes: "), "{line}");
    assert!(figure(line, "reads") > 200_000, "{line}");
    assert!(figure(line, "writes") > 500, "{line}");
    assert!(figure(line, "faults") >= 6, "{line}");
    for promise in PROMISES {
        assert_eq!(finding(line, promise), 0, "{line}");
    }
}

#[test]
fn nodes_that_swallow_invalidations_are_caught() {
    let directory = tempfile::tempdir().unwrap();
    // Of so many writes some six of each kind are swallowed.
    let arguments = ["--seconds", "8", "--seed", "3", "--short-timings", "--reads", "10000", "--writes", "40"];
    let broken = ["--swallow-every", "2", "--only", "slow-link"];
    let output = run(&[&arguments[..], &broken].concat(), &directory.path().join("report"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().last().unwrap();
    for promise in PROMISES.into_iter().filter(|promise| *promise != WHILE_WELL) {
        assert!(finding(line, promise) > 0, "{line}");
    }
    for promise in ["VIOLATION G1: ", "VIOLATION G2: ", "VIOLATION G3: ", "VIOLATION strict: "] {
        assert!(text.contains(promise), "{text}");
    }
}

/// Nothing that is written is ever told, so what is read stays old for as long as all is well: however long the allowance has
/// become on a machine that is busy with other things.
#[test]
fn nodes_that_tell_nobody_anything_are_caught_while_all_is_well() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--seconds", "8", "--seed", "3", "--short-timings", "--reads", "4000", "--writes", "5"];
    let broken = ["--swallow-every", "1", "--only", "slow-link"];
    let output = run(&[&arguments[..], &broken].concat(), &directory.path().join("report"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("VIOLATION G2 while well: "), "{text}");
    assert!(finding(text.lines().last().unwrap(), WHILE_WELL) > 0, "{text}");
}

#[test]
fn a_node_that_dies_by_itself_is_found_and_one_that_is_killed_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--seconds", "8", "--seed", "3", "--short-timings", "--reads", "4000", "--nodes", "2"];
    let arguments = [&arguments[..], &["--only", "kill-node"]].concat();
    let output = run(&[&arguments[..], &["--die-at", "40"]].concat(), &directory.path().join("report"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.matches("VIOLATION died: node ").count(), 1, "{text}");
    let line = text.lines().last().unwrap();
    assert!(figure(line, "faults") > 0, "{line}");
    assert_eq!(finding(line, "other violations"), 1, "{line}");
}

#[test]
fn nodes_that_write_without_a_fence_are_caught() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--seconds", "8", "--seed", "3", "--short-timings", "--reads", "10000"];
    let broken = ["--skip-fences", "--only", "slow-link"];
    let output = run(&[&arguments[..], &broken].concat(), &directory.path().join("report"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(finding(text.lines().last().unwrap(), "in Redis") > 0, "{text}");
}
