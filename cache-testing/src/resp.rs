//! A blocking Redis client of a few lines, so that a test of the Redis tier never trusts the tier to look at the server.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a reply may take. A server that is stopped fails the test here instead of hanging it.
pub(crate) const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a server answered (RESP2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A status such as `OK`.
    Status(String),
    /// An error, with its code first: `WRONGTYPE Operation against ...`.
    Error(String),
    /// An integer.
    Integer(i64),
    /// A string of any bytes.
    Bytes(Vec<u8>),
    /// The absence of a value.
    Nil,
    /// Several replies.
    Array(Vec<Reply>),
}

impl Reply {
    /// The reply as `redis-cli` prints it into a pipe: one line for each element, an empty one for [`Nil`](Self::Nil).
    pub fn to_text(&self) -> String {
        match self {
            Self::Status(text) | Self::Error(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Nil => String::new(),
            Self::Array(replies) => replies.iter().map(Self::to_text).collect::<Vec<_>>().join("\n"),
        }
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to `port` of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When nothing accepts the connection.
    pub fn open(port: u16) -> io::Result<Self> {
        Self::open_with_timeout(port, REPLY_TIMEOUT)
    }

    /// Like [`open`](Self::open), with another bound on connecting, on each reply and on each request.
    pub(crate) fn open_with_timeout(port: u16, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a command and waits up to ten seconds for its reply.
    ///
    /// # Errors
    ///
    /// When the connection breaks or no reply comes in time. An error reply is a [`Reply::Error`].
    pub fn command<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<Reply> {
        let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            let argument = argument.as_ref();
            request.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            request.extend_from_slice(argument);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&request)?;
        self.read_reply()
    }

    /// Reads the next reply, for commands that answer more than once, such as `MONITOR` and `SUBSCRIBE`.
    ///
    /// # Errors
    ///
    /// When the connection breaks, no reply comes within ten seconds, or it is not RESP2.
    pub fn read_reply(&mut self) -> io::Result<Reply> {
        let line = self.read_line()?;
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| malformed(&line))?;
        match kind {
            "+" => Ok(Reply::Status(rest.to_owned())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => rest.parse().map(Reply::Integer).map_err(|_| malformed(&line)),
            "$" if rest == "-1" => Ok(Reply::Nil),
            "*" if rest == "-1" => Ok(Reply::Nil),
            "$" => self.read_bytes(rest.parse().map_err(|_| malformed(&line))?),
            "*" => {
                let length: usize = rest.parse().map_err(|_| malformed(&line))?;
                (0..length).map(|_| self.read_reply()).collect::<io::Result<_>>().map(Reply::Array)
            }
            _ => Err(malformed(&line)),
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\r\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    fn read_bytes(&mut self, length: usize) -> io::Result<Reply> {
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(Reply::Bytes(bytes))
    }
}

fn malformed(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not a RESP2 reply: {line:?}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn read(wire: &'static [u8]) -> io::Result<Reply> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut connection = Connection::open(listener.local_addr().unwrap().port()).unwrap();
        listener.accept().unwrap().0.write_all(wire).unwrap();
        connection.read_reply()
    }

    #[test]
    fn every_kind_of_reply_is_read() {
        assert_eq!(read(b"+OK\r\n").unwrap(), Reply::Status("OK".into()));
        assert_eq!(read(b"-ERR no\r\n").unwrap(), Reply::Error("ERR no".into()));
        assert_eq!(read(b":-7\r\n").unwrap(), Reply::Integer(-7));
        assert_eq!(read(b"$4\r\na\r\nb\r\n").unwrap(), Reply::Bytes(b"a\r\nb".to_vec()));
        assert_eq!(read(b"$0\r\n\r\n").unwrap(), Reply::Bytes(vec![]));
        assert_eq!(read(b"$-1\r\n").unwrap(), Reply::Nil);
        assert_eq!(read(b"*2\r\n:1\r\n$-1\r\n").unwrap(), Reply::Array(vec![Reply::Integer(1), Reply::Nil]));
    }

    #[test]
    fn a_cut_or_malformed_reply_is_an_error() {
        assert_eq!(read(b"$4\r\nab").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(b"+OK").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(b"hello\r\n").unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(b"\r\n").unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn text_is_what_redis_cli_prints() {
        let reply = Reply::Array(vec![Reply::Bytes(b"a".to_vec()), Reply::Nil, Reply::Integer(3)]);

        assert_eq!(reply.to_text(), "a\n\n3");
    }
}
