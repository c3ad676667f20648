use super::RedisServer;
use crate::resp::{Connection, Reply};

/// A command that the server executed, as `MONITOR` reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MonitoredCommand {
    /// The client's `address:port`, or `lua` for a command that a script called.
    pub client: String,
    /// The command's name, as sent, and its arguments; bytes that are no UTF-8 are replaced.
    pub arguments: Vec<String>,
}

impl MonitoredCommand {
    /// The command's name in upper case.
    pub fn name(&self) -> String {
        self.arguments.first().map(|name| name.to_uppercase()).unwrap_or_default()
    }

    /// Whether a script called it.
    pub fn is_from_script(&self) -> bool {
        self.client == "lua"
    }

    /// Reads `1339518083.107412 [0 127.0.0.1:60866] "GET" "key"`.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once(" [")?;
        let (source, arguments) = rest.split_once("] ")?;
        let (_, client) = source.split_once(' ')?;
        Some(Self { client: client.to_owned(), arguments: unquote(arguments) })
    }
}

/// Watches what a server executes; the server queues what is not yet read.
#[derive(Debug)]
pub struct Monitor {
    feed: Connection,
    /// Sends the marks that say where the feed has been read up to.
    marker: Connection,
    marks: u64,
}

impl Monitor {
    pub(super) fn start(server: &RedisServer) -> Self {
        let marker = server.connect().expect("the server accepts connections");
        let mut feed = server.connect().expect("the server accepts connections");
        let reply = feed.command(&["MONITOR"]).expect("the server answers");
        assert_eq!(reply, Reply::Status("OK".to_owned()));
        Self { feed, marker, marks: 0 }
    }

    /// Every command executed since the last call, or since the start. All that were answered before this call are in it.
    ///
    /// # Panics
    ///
    /// When the server was killed, or is stopped.
    pub fn commands(&mut self) -> Vec<MonitoredCommand> {
        self.marks += 1;
        let mark = format!("cache-testing-monitor-mark-{}", self.marks);
        self.marker.command(&["ECHO", &mark]).expect("the monitored server answers");
        let mut commands = Vec::new();
        loop {
            let reply = self.feed.read_reply().expect("the monitored server reports what it executes");
            let Reply::Status(line) = reply else { panic!("MONITOR reported {reply:?}") };
            let command = MonitoredCommand::parse(&line).unwrap_or_else(|| panic!("MONITOR reported {line:?}"));
            if command.arguments == ["ECHO", &mark] {
                return commands;
            }
            commands.push(command);
        }
    }
}

/// Splits `"GET" "a\"b\x00"` into its arguments.
fn unquote(text: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut bytes = text.bytes();
    while bytes.by_ref().any(|byte| byte == b'"') {
        let mut argument = Vec::new();
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => break,
                b'\\' => argument.extend(unescape(&mut bytes)),
                other => argument.push(other),
            }
        }
        arguments.push(String::from_utf8_lossy(&argument).into_owned());
    }
    arguments
}

fn unescape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    Some(match bytes.next()? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 0x07,
        b'b' => 0x08,
        b'x' => {
            let digits = [bytes.next()?, bytes.next()?];
            u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_parsed_with_its_escapes() {
        let command = MonitoredCommand::parse(
            r#"1339518083.107412 [0 127.0.0.1:60866] "set" "a \"b\" [1] \\" "\x00\n\xc3\xa9" "" "#,
        )
        .unwrap();

        assert_eq!(command.client, "127.0.0.1:60866");
        assert_eq!(command.name(), "SET");
        assert_eq!(command.arguments, ["set", r#"a "b" [1] \"#, "\0\né", ""]);
    }

    #[test]
    fn a_command_of_a_script_is_told_apart() {
        assert!(MonitoredCommand::parse(r#"1.0 [0 lua] "GET" "a""#).unwrap().is_from_script());
        assert_eq!(MonitoredCommand::parse("nonsense"), None);
    }
}
