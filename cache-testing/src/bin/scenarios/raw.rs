//! Redis pub/sub with nothing around it: two connections of this process.

use std::net::SocketAddr;
use std::time::Instant;

use redis::aio::{MultiplexedConnection, SendError};
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::Failure;

/// As long as the message that an invalidation of one key publishes.
const PAYLOAD_BYTES: usize = 64;

/// Through the client library that the Redis tier stands on: a connection that publishes, and another that is subscribed,
/// made like the tier's own.
pub(crate) struct LibraryPubSub {
    publisher: MultiplexedConnection,
    messages: mpsc::Receiver<PushInfo>,
    /// Its task ends with it.
    _subscriber: MultiplexedConnection,
}

impl LibraryPubSub {
    pub(crate) async fn start(url: &str) -> Result<Self, Failure> {
        let (sender, messages) = mpsc::channel(16);
        let forward = move |push: PushInfo| {
            if push.kind == PushKind::Message { sender.try_send(push).map_err(|_| SendError) } else { Ok(()) }
        };
        let config = AsyncConnectionConfig::new().set_push_sender(forward);
        let server = server(url)?;
        let login = server.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let subscribed = Client::open(server.clone().set_redis_settings(login))?;
        let mut subscriber = subscribed.get_multiplexed_async_connection_with_config(&config).await?;
        subscriber.subscribe("library").await?;
        let publisher = Client::open(server)?.get_multiplexed_async_connection().await?;
        Ok(Self { publisher, messages, _subscriber: subscriber })
    }

    /// Publishes a message, and tells when it was received.
    pub(crate) async fn deliver(&mut self) -> Result<Instant, Failure> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg("library").arg("x".repeat(PAYLOAD_BYTES));
        let received = async { self.messages.recv().await.map(|_| Instant::now()) };
        let (published, received) = tokio::join!(publish.query_async::<i64>(&mut self.publisher), received);
        published?;
        Ok(received.ok_or("the subscriber has ended")?)
    }
}

fn server(url: &str) -> Result<ConnectionInfo, Failure> {
    let server = url.into_connection_info()?;
    let tcp = server.tcp_settings().clone().set_nodelay(true);
    Ok(server.set_tcp_settings(tcp))
}

/// With the bytes themselves: a publisher, and a subscriber in a task of its own that tells when each message has come.
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
