//! Many connections that hear every record, as cheap on this side as can be.

use std::net::SocketAddr;

use cache_testing::RedisServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::{CHANNEL, Failure};

/// The last message. Records begin with a digit.
const END: &str = "END";

pub(crate) struct Audience(JoinSet<std::io::Result<()>>);

impl Audience {
    /// Subscribes `size` connections.
    pub(crate) async fn gather(server: SocketAddr, channel: &str, size: usize) -> Result<Self, Failure> {
        let mut listeners = JoinSet::new();
        let subscribe = format!("*2\r\n$9\r\nSUBSCRIBE\r\n${}\r\n{channel}\r\n", channel.len());
        for _ in 0..size {
            let mut stream = TcpStream::connect(server).await?;
            stream.write_all(subscribe.as_bytes()).await?;
            // The confirmation ends with the number of subscriptions.
            let mut reply = Vec::new();
            while !reply.ends_with(b":1\r\n") {
                if stream.read_buf(&mut reply).await? == 0 {
                    return Err("the server closed a subscriber's connection".into());
                }
            }
            listeners.spawn(listen(stream));
        }
        Ok(Self(listeners))
    }

    /// Waits until everybody has heard everything.
    pub(crate) async fn drain(mut self, server: &RedisServer) -> Result<(), Failure> {
        server.cli(&["PUBLISH", CHANNEL, END]);
        while let Some(listener) = self.0.join_next().await {
            listener??;
        }
        Ok(())
    }
}

async fn listen(mut stream: TcpStream) -> std::io::Result<()> {
    let end = format!("${}\r\n{END}\r\n", END.len());
    let mut buffer = [0; 512];
    // What may be the beginning of the last message, if it was cut in two.
    let mut tail = Vec::with_capacity(buffer.len() + end.len());
    loop {
        let read = stream.read(&mut buffer).await?;
        tail.extend_from_slice(&buffer[..read]);
        if read == 0 || tail.ends_with(end.as_bytes()) {
            return Ok(());
        }
        tail.drain(..tail.len().saturating_sub(end.len()));
    }
}
