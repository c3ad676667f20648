//! One connection: two pumps that pass bytes as the flows of their directions say.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::state::Chunk;
use super::{Direction, Flow, Shared};

/// What one connection holds in one direction before its sender is made to wait.
const CAPACITY: u64 = 1024 * 1024;

const CHUNK: usize = 16 * 1024;

/// A connection in the books: entered when opened, taken out with all it holds when dropped.
pub(super) struct Link {
    shared: Arc<Shared>,
    number: u64,
    /// Subscribed before the connection is in the books, so that no cut misses it.
    cuts: watch::Receiver<u64>,
}

impl Link {
    pub(super) fn open(shared: &Arc<Shared>) -> Self {
        let cuts = shared.cuts.subscribe();
        let mut number = 0;
        shared.state.send_modify(|state| {
            state.accepted += 1;
            number = state.accepted;
            state.open.insert(number, Default::default());
        });
        Self { shared: Arc::clone(shared), number, cuts }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.state.send_modify(|state| {
            state.open.remove(&self.number);
        });
    }
}

pub(super) async fn relay(client: TcpStream, link: Link) {
    let mut cuts = link.cuts.clone();
    tokio::select! {
        _ = cuts.changed() => {}
        () = pump_both_ways(client, link) => {}
    }
}

/// Ends when both sides have ended what they say, or either is broken. The link is dropped last, so that the books call a
/// connection open until it is closed.
async fn pump_both_ways(client: TcpStream, link: Link) {
    let Ok(server) = connect(&client, &link.shared).await else {
        return link.shared.wait_while_held().await;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // How it ended does not matter: either way the connection is over.
    let _ = tokio::try_join!(
        Pump::new(&link, Direction::ToServer).run(from_client, to_server),
        Pump::new(&link, Direction::ToClient).run(from_server, to_client),
    );
}

async fn connect(client: &TcpStream, shared: &Shared) -> io::Result<TcpStream> {
    let upstream = *shared.upstream.borrow();
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok(server)
}

/// One direction of a connection.
struct Pump<'a> {
    link: &'a Link,
    direction: Direction,
    flows: watch::Receiver<Flow>,
    flow: Flow,
    /// How many bytes may pass before the connection is to be cut.
    budget: u64,
}

/// The connection cannot, or is not to, go on.
struct Broken;

impl<'a> Pump<'a> {
    fn new(link: &'a Link, direction: Direction) -> Self {
        let flows = link.shared.flow(direction).subscribe();
        let mut pump = Self { link, direction, flows, flow: Flow::Pass, budget: u64::MAX };
        pump.take_flow();
        pump
    }

    async fn run(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Result<(), Broken> {
        match self.pump(&mut from, &mut to).await {
            Ok(()) if self.budget > 0 => Ok(()),
            Ok(()) => Err(Broken),
            Err(_) => {
                // A link that went silent does not tell one side that the other is gone.
                self.link.shared.wait_while_held().await;
                Err(Broken)
            }
        }
    }

    /// Passes bytes until the sender has ended and all has passed, or the budget is spent.
    async fn pump(&mut self, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        let mut ended = false;
        while self.budget > 0 {
            let head = self.head();
            if ended && head.is_none() && self.flow != Flow::Hold {
                return to.shutdown().await;
            }
            let has_room = self.held() < CAPACITY;
            let due = head.filter(|_| self.flow != Flow::Hold).map(|head| self.admissible(head));
            tokio::select! {
                // The sender of the flow lives as long as the link.
                _ = self.flows.changed() => self.take_flow(),
                read = from.read(&mut buffer), if has_room && !ended => match read? {
                    0 => ended = true,
                    length => self.hold(&buffer[..length]),
                },
                written = write_when_due(to, due.as_ref()), if due.is_some() => self.passed(written?),
            }
        }
        Ok(())
    }

    /// Follows the flow as it is set now, with a new budget.
    fn take_flow(&mut self) {
        self.flow = *self.flows.borrow_and_update();
        self.budget = if let Flow::CutAfter(bytes) = self.flow { bytes } else { u64::MAX };
    }

    fn held(&self) -> u64 {
        let state = self.link.shared.state.borrow();
        state.open.get(&self.link.number).map_or(0, |held| held.byte_count(self.direction))
    }

    fn head(&self) -> Option<Chunk> {
        let state = self.link.shared.state.borrow();
        state.open.get(&self.link.number).and_then(|held| held.chunks(self.direction).front().cloned())
    }

    /// The part of the chunk that fits the budget, with the time from which it may pass.
    fn admissible(&self, mut chunk: Chunk) -> Chunk {
        if let Flow::Delay(delay) = self.flow {
            chunk.arrived += delay;
        }
        chunk.bytes.truncate(usize::try_from(self.budget).unwrap_or(usize::MAX));
        chunk
    }

    fn hold(&self, bytes: &[u8]) {
        let chunk = Chunk { arrived: Instant::now(), bytes: bytes.to_vec() };
        self.link.shared.state.send_modify(|state| {
            if let Some(held) = state.open.get_mut(&self.link.number) {
                held.chunks_mut(self.direction).push_back(chunk);
            }
        });
    }

    fn passed(&mut self, length: usize) {
        self.budget -= length as u64;
        self.link.shared.state.send_modify(|state| {
            *state.passed_mut(self.direction) += length as u64;
            let Some(held) = state.open.get_mut(&self.link.number) else { return };
            let chunks = held.chunks_mut(self.direction);
            if let Some(head) = chunks.front_mut() {
                head.bytes.drain(..length);
                if head.bytes.is_empty() {
                    chunks.pop_front();
                }
            }
        });
    }
}

/// Cancel safe: until it returns, nothing was written.
async fn write_when_due(to: &mut OwnedWriteHalf, due: Option<&Chunk>) -> io::Result<usize> {
    let Some(chunk) = due else { return std::future::pending().await };
    sleep_until(chunk.arrived).await;
    to.write(&chunk.bytes).await
}
