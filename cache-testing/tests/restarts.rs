//! The load under which Redis is restarted again and again, for some restarts. By hand: `--bin restarts -- --minutes 60`.

use std::process::Command;
use std::time::Duration;

#[test]
fn no_call_fails_or_takes_long_while_redis_restarts() {
    let options = ["--restarts", "4", "--every-ms", "2500", "--bound-ms", "10000"];
    let output = Command::new(env!("CARGO_BIN_EXE_restarts")).args(options).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let said = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("\n0 failed calls"), "{said}");
    // Not the exit code: in so few restarts memory is still that of a start, and its growth says nothing.
    let slowest = said.split_once("the slowest took ").and_then(|(_, after)| after.split_once(','));
    let slowest = slowest.and_then(|(shown, _)| duration(shown));
    assert!(slowest.is_some_and(|slowest| slowest <= Duration::from_secs(10)), "{said}");
}

/// The duration that is shown.
fn duration(shown: &str) -> Option<Duration> {
    let (number, unit) = shown.split_at(shown.find(char::is_alphabetic)?);
    let seconds = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        _ => 1e-6,
    };
    Some(Duration::from_secs_f64(number.parse::<f64>().ok()? * seconds))
}
