//! The load under which Redis is restarted again and again, for some restarts. By hand: `--bin restarts -- --minutes 60`.

use std::process::Command;

#[test]
fn no_call_fails_or_takes_long_while_redis_restarts() {
    let options = ["--restarts", "4", "--every-ms", "2500", "--bound-ms", "10000"];
    let output = Command::new(env!("CARGO_BIN_EXE_restarts")).args(options).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let said = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("\n0 failed calls"), "{said}");
    // How long calls may take and how much memory may grow is in the exit code alone.
    assert!(output.status.success(), "{said}");
}
