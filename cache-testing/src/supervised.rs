//! A child process that never outlives this one.

use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Waits for its first line before it becomes the program, so that the watchdog is in place before the program runs.
const START: &str = r#"read -r go && exec "$0" "$@""#;

/// Kills the child when its own standard input ends, which the kernel sees to however this process ends. Signals from
/// the terminal are ignored: they go to the whole group, and a stopped child would survive them.
const WATCHDOG: &str = r#"trap '' INT TERM HUP QUIT; read -r _; kill -KILL "$0" 2>/dev/null"#;

/// A child process, killed when this is dropped and when this process ends in any way, `SIGKILL` included.
///
/// The kernel's own parent-death signal is no substitute: it fires when the *thread* that started the child ends, and
/// test threads and runtime workers do end.
#[derive(Debug)]
pub(crate) struct Supervised {
    child: Child,
    /// Ended before the child is reaped, so that it never kills a process that got the child's number later.
    watchdog: Option<Child>,
}

impl Supervised {
    /// Starts `program` with `configure` applied to the command; its standard input is a pipe in any case.
    pub(crate) fn spawn(program: &OsStr, configure: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", START]).arg(program);
        configure(&mut command);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("a POSIX shell `sh` is on the PATH");
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a POSIX shell `sh` is on the PATH");
        child.stdin.as_mut().expect("standard input is a pipe").write_all(b"go\n").expect("the child reads a line");
        Self { child, watchdog: Some(watchdog) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Sends `SIGKILL` and waits for the end, whatever state the child is in.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        // A child that has been waited for is left alone by `Child::kill`.
        self.child.kill().expect("a child of ours can be killed");
        self.wait()
    }

    /// Waits for the child to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.wait_without_reaping(WaitIdOptions::EXITED);
        self.dismiss_watchdog();
        self.child.wait().expect("a child of ours can be waited for")
    }

    /// Whether the child has ended, and how.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        let ended = self.watchdog.is_none() || self.wait_without_reaping(WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        ended.then(|| self.wait())
    }

    /// Sends `SIGSTOP` and returns once every thread of the child stands still.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        self.wait_without_reaping(WaitIdOptions::STOPPED | WaitIdOptions::EXITED);
    }

    /// Sends `SIGCONT`.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends `SIGTERM`.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        assert!(self.watchdog.is_some(), "process {} has ended: restart it before signalling it", self.id());
        kill_process(Pid::from_child(&self.child), signal).expect("a child that was not reaped can be signalled");
    }

    /// Returns whether the awaited state was reached, and leaves the child to be reaped by [`wait`](Self::wait).
    fn wait_without_reaping(&self, states: WaitIdOptions) -> bool {
        loop {
            match waitid(WaitId::Pid(Pid::from_child(&self.child)), states | WaitIdOptions::NOWAIT) {
                Ok(status) => return status.is_some(),
                Err(Errno::INTR) => {}
                // Reaped already.
                Err(_) => return true,
            }
        }
    }

    fn dismiss_watchdog(&mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            watchdog.kill().expect("a child of ours can be killed");
            watchdog.wait().expect("a child of ours can be waited for");
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Panics with a message that names `program` and `remedy` unless it can be found on the `PATH`.
pub(crate) fn require(program: &str, remedy: &str) {
    let found = Command::new(program).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status();
    if let Err(error) = found {
        assert!(error.kind() == ErrorKind::NotFound, "`{program}` cannot be started: {error}");
        panic!("`{program}` is not installed. {remedy}");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};

    use super::*;

    fn shell(script: &str) -> (Supervised, BufReader<ChildStdout>) {
        let mut child = Supervised::spawn(OsStr::new("sh"), |command| {
            command.args(["-c", script]).stdout(Stdio::piped());
        });
        let output = BufReader::new(child.take_stdout().unwrap());
        (child, output)
    }

    fn line(output: &mut impl BufRead) -> String {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    #[test]
    fn the_child_gets_its_arguments_and_the_rest_of_its_input() {
        let (mut child, mut output) = shell("read -r x; echo \"got $x\"; exit 7");

        child.take_stdin().unwrap().write_all(b"hello\n").unwrap();

        assert_eq!(line(&mut output), "got hello");
        assert_eq!(child.wait().code(), Some(7));
        assert_eq!(child.exit_status().and_then(|status| status.code()), Some(7));
    }

    #[test]
    fn a_stopped_child_stands_still_until_resumed() {
        let (mut child, mut output) = shell("while read -r x; do echo $x; done");
        let mut input = child.take_stdin().unwrap();

        child.stop();
        child.stop();
        input.write_all(b"late\n").unwrap();
        assert_eq!(process_state(child.id()), Some('T'));

        child.resume();
        assert_eq!(line(&mut output), "late");
        assert_eq!(child.exit_status(), None);
    }

    #[test]
    fn a_stopped_child_is_killed_on_drop_also_in_a_panic() {
        let (child, mut output) = shell("echo up; read -r x");
        assert_eq!(line(&mut output), "up");
        child.stop();

        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _owned = child;
            panic!("a test fails");
        }));

        assert!(panicked.is_err());
        assert_eq!(output.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn the_watchdog_kills_a_stopped_child_when_its_owner_vanishes() {
        let (child, mut output) = shell("echo up; read -r x");
        assert_eq!(line(&mut output), "up");
        child.stop();

        // What the kernel does to the pipe of a process that was killed.
        let mut child = child;
        drop(child.watchdog.as_mut().unwrap().stdin.take());

        assert_eq!(output.read(&mut [0]).unwrap(), 0);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait()), Some(9));
    }

    #[test]
    #[should_panic(expected = "`no-such-program` is not installed. Install it.")]
    fn a_missing_program_is_named_with_its_remedy() {
        require("no-such-program", "Install it.");
    }

    fn process_state(id: u32) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit(") ").next()?.chars().next()
    }
}
