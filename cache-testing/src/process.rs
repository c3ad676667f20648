//! Child processes for tests across processes: one line in, one line out.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::supervised::Supervised;

/// How long a line may take to come: a bound on a hang, never a pause.
const LINE_TIMEOUT: Duration = Duration::from_secs(60);

/// A child process that is spoken to in lines. Its standard error is the test's own.
///
/// It dies with this value (also while stopped) and with the test's process in whatever way that ends.
#[derive(Debug)]
pub struct Process {
    name: String,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    child: Supervised,
}

/// How a [`Process`] is to run.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `spawn` is called"]
pub struct ProcessBuilder {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl ProcessBuilder {
    /// Adds an argument.
    pub fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Sets a variable of the child's environment.
    pub fn variable(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts the process. Needs a Tokio runtime.
    ///
    /// # Panics
    ///
    /// When the program is not there.
    pub fn spawn(self) -> Process {
        let name = self.program.display().to_string();
        assert!(
            self.program.components().count() == 1 || self.program.is_file(),
            "{name} is not there: build it first (`cargo build --examples`, or `--bins`)"
        );
        let mut child = Supervised::spawn(self.program.as_os_str(), |command| {
            command.args(self.arguments).envs(self.environment).stdout(Stdio::piped());
        });
        let input = child.take_stdin().and_then(|pipe| ChildStdin::from_std(pipe).ok());
        let output = child.take_stdout().and_then(|pipe| ChildStdout::from_std(pipe).ok());
        let output = BufReader::new(output.expect("a pipe can be polled")).lines();
        Process { name, input: Some(input.expect("a pipe can be polled")), output, child }
    }
}

impl Process {
    /// Prepares to start a program, by path or by a name on the `PATH`.
    pub fn builder(program: impl AsRef<Path>) -> ProcessBuilder {
        ProcessBuilder { program: program.as_ref().to_owned(), arguments: Vec::new(), environment: Vec::new() }
    }

    /// Prepares to start an example of the package under test, which Cargo builds before that package's tests.
    pub fn example(name: &str) -> ProcessBuilder {
        let test = std::env::current_exe().expect("the path of the running test is known");
        let profile = test.parent().and_then(Path::parent).expect("Cargo puts tests into target/<profile>/deps");
        Self::builder(profile.join("examples").join(name))
    }

    /// The operating system's number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a line.
    ///
    /// # Panics
    ///
    /// When the process has ended, or its input was [closed](Self::close_input).
    pub async fn send(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap_or_else(|| panic!("the input of {} is closed", self.name));
        let written = async {
            input.write_all(format!("{line}\n").as_bytes()).await?;
            input.flush().await
        };
        written.await.unwrap_or_else(|error| panic!("{} does not take {line:?}: {error}", self.name));
    }

    /// The next line, or `None` when the process has closed its output, as it does when it ends. Cancel safe.
    ///
    /// # Panics
    ///
    /// When no line comes within a minute.
    pub async fn receive(&mut self) -> Option<String> {
        let line = timeout(LINE_TIMEOUT, self.output.next_line()).await;
        line.unwrap_or_else(|_| panic!("{} wrote no line within {LINE_TIMEOUT:?}", self.name))
            .unwrap_or_else(|error| panic!("the output of {} cannot be read: {error}", self.name))
    }

    /// Sends a line and returns the next one.
    ///
    /// # Panics
    ///
    /// When the process has ended, or no line comes within a minute.
    pub async fn request(&mut self, line: &str) -> String {
        self.send(line).await;
        self.receive().await.unwrap_or_else(|| panic!("{} ended before it answered {line:?}", self.name))
    }

    /// Ends the process's input, which well-behaved ones take as the sign to end.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Ends the input, drops what is still written and waits for the process to end by itself.
    ///
    /// # Panics
    ///
    /// When it keeps its output open and silent for a minute.
    pub async fn finish(mut self) -> ExitStatus {
        self.close_input();
        while self.receive().await.is_some() {}
        self.child.wait()
    }

    /// Kills the process with `SIGKILL`; it has ended when this returns.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Asks the process to end, with `SIGTERM`.
    pub fn terminate(&self) {
        self.child.terminate();
    }

    /// Stops the process with `SIGSTOP`; it stands still when this returns.
    pub fn stop(&self) {
        self.child.stop();
    }

    /// Lets a stopped process go on.
    pub fn resume(&self) {
        self.child.resume();
    }

    /// Whether the process runs; a stopped one does.
    pub fn is_running(&mut self) -> bool {
        self.child.exit_status().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo() -> Process {
        Process::builder("sh")
            .argument("-c")
            .argument("while read -r line; do echo \"$PREFIX$line\"; done")
            .variable("PREFIX", "> ")
            .spawn()
    }

    #[tokio::test]
    async fn lines_go_in_and_out() {
        let mut process = echo();

        assert_eq!(process.request("a b").await, "> a b");
        process.send("c").await;
        process.send("d").await;
        assert_eq!(process.receive().await.as_deref(), Some("> c"));
        assert_eq!(process.receive().await.as_deref(), Some("> d"));
        assert!(process.finish().await.success());
    }

    #[tokio::test]
    async fn a_stopped_process_answers_when_resumed() {
        let mut process = echo();
        process.stop();
        process.send("late").await;
        assert!(process.is_running());

        process.resume();

        assert_eq!(process.receive().await.as_deref(), Some("> late"));
    }

    #[tokio::test]
    async fn a_killed_process_ends_its_output() {
        let mut process = echo();
        process.stop();

        process.kill();

        assert!(!process.is_running());
        assert_eq!(process.receive().await, None);
    }

    #[tokio::test]
    async fn a_terminated_process_ends() {
        let mut process = echo();
        process.request("up").await;

        process.terminate();

        assert_eq!(process.receive().await, None);
        assert!(!process.finish().await.success());
    }

    #[tokio::test]
    #[should_panic(expected = "no-such-node is not there: build it first")]
    async fn a_missing_example_is_named() {
        Process::example("no-such-node").spawn();
    }
}
