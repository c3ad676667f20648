//! Redis pub/sub with nothing around it: two connections of this process, and the bytes themselves.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::Failure;

/// As long as the message that an invalidation of one key publishes.
const PAYLOAD_BYTES: usize = 64;

/// A publisher, and a subscriber in a task of its own that tells when each message has come.
pub(crate) struct RawPubSub {
    publisher: BufReader<TcpStream>,
    received: mpsc::Receiver<Instant>,
}

impl RawPubSub {
    pub(crate) async fn start(server: SocketAddr) -> Result<Self, Failure> {
        let mut subscriber = connect(server).await?;
        subscriber.write_all(b"*2\r\n$9\r\nSUBSCRIBE\r\n$3\r\nraw\r\n").await?;
        // The confirmation: the kind, the channel, and how many channels there are.
        read(&mut subscriber).await?;
        let (sender, received) = mpsc::channel(16);
        tokio::spawn(async move {
            while read(&mut subscriber).await.is_ok() && sender.send(Instant::now()).await.is_ok() {}
        });
        Ok(Self { publisher: connect(server).await?, received })
    }

    /// Publishes a message, and tells when it was received.
    pub(crate) async fn deliver(&mut self) -> Result<Instant, Failure> {
        let payload = "x".repeat(PAYLOAD_BYTES);
        let request = format!("*3\r\n$7\r\nPUBLISH\r\n$3\r\nraw\r\n${PAYLOAD_BYTES}\r\n{payload}\r\n");
        self.publisher.write_all(request.as_bytes()).await?;
        let mut reply = String::new();
        self.publisher.read_line(&mut reply).await?;
        if reply != ":1\r\n" {
            return Err(format!("PUBLISH answered {reply:?}").into());
        }
        Ok(self.received.recv().await.ok_or("the subscriber has ended")?)
    }
}

async fn connect(server: SocketAddr) -> Result<BufReader<TcpStream>, Failure> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

/// Reads an array of three strings or integers.
async fn read(stream: &mut BufReader<TcpStream>) -> Result<(), Failure> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    if line != "*3\r\n" {
        return Err(format!("not a message: {line:?}").into());
    }
    for _ in 0..3 {
        line.clear();
        stream.read_line(&mut line).await?;
        if let Some(length) = line.strip_prefix('$') {
            let length: usize = length.trim_end().parse()?;
            stream.read_exact(&mut vec![0; length + 2]).await?;
        }
    }
    Ok(())
}
