//! A TCP proxy whose network fails on command, and says when it has.

mod gate;
mod relay;
mod state;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

pub use gate::Gate;
pub use state::{Counters, Traffic};

use crate::port::Port;
use state::State;

/// How long an awaited event may take to come: a bound on a hang, never a pause.
const EVENT_TIMEOUT: Duration = Duration::from_secs(60);

/// Which way bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the client to the server: requests.
    ToServer,
    /// From the server to the client: replies and pushes.
    ToClient,
}

/// What becomes of the bytes that travel in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Flow {
    /// They pass at once.
    #[default]
    Pass,
    /// They stay in the proxy, up to 1 MiB for each connection, and then in the sender. The end of a connection is held
    /// like its bytes, so that the other side sees a link that went silent, not one that closed.
    Hold,
    /// Each byte passes this long after it arrived, in order.
    Delay(Duration),
    /// After this many more bytes in this direction, counted for each connection, the connection is closed.
    CutAfter(u64),
}

/// A TCP proxy on a port of its own of 127.0.0.1, in front of a server. It starts passing everything.
///
/// Its tasks and connections end when it is dropped. Its port stays reserved while it refuses connections.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
    /// Owns the listener, the reserved port and every connection.
    acceptor: JoinHandle<()>,
}

/// What the proxy, its acceptor, its connections and its gates have in common.
#[derive(Debug)]
struct Shared {
    upstream: watch::Sender<SocketAddr>,
    to_server: watch::Sender<Flow>,
    to_client: watch::Sender<Flow>,
    admit: watch::Sender<bool>,
    /// Raised to end every connection that exists.
    cuts: watch::Sender<u64>,
    state: watch::Sender<State>,
}

impl FaultProxy {
    /// Starts a proxy in front of `upstream`. Needs a Tokio runtime with its I/O driver.
    ///
    /// # Panics
    ///
    /// When no port can be bound.
    pub fn start(upstream: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            upstream: watch::Sender::new(upstream),
            to_server: watch::Sender::new(Flow::Pass),
            to_client: watch::Sender::new(Flow::Pass),
            admit: watch::Sender::new(true),
            cuts: watch::Sender::new(0),
            state: watch::Sender::new(State::default()),
        });
        let port = Port::reserve();
        let number = port.number();
        let listener = listen(number);
        let acceptor = tokio::spawn(accept_all(Arc::clone(&shared), port, listener));
        Self { port: number, shared, acceptor }
    }

    /// The port it listens on, the same for the proxy's whole life.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Leads new connections to another server, as a name does that is given to the replica in a failover. Those that
    /// exist go on to the old one until they are [severed](Self::sever).
    pub fn lead_to(&self, upstream: SocketAddr) {
        self.shared.upstream.send_replace(upstream);
    }

    /// Sets what becomes of the bytes in one direction, those that are held included, on all connections.
    pub fn set(&self, direction: Direction, flow: Flow) {
        self.shared.flow(direction).send_replace(flow);
    }

    /// Holds both directions: a black hole, in which connections are accepted, stay open and say nothing.
    pub fn pause(&self) {
        self.set(Direction::ToServer, Flow::Hold);
        self.set(Direction::ToClient, Flow::Hold);
    }

    /// Ends every fault: held bytes pass, and connections are accepted.
    pub async fn pass(&self) {
        self.set(Direction::ToServer, Flow::Pass);
        self.set(Direction::ToClient, Flow::Pass);
        self.admit(true).await;
    }

    /// Refuses new connections; those that exist go on. They are refused when this returns.
    pub async fn refuse(&self) {
        self.admit(false).await;
    }

    /// Closes every connection, with what is held on them, and accepts new ones. They are closed when this returns.
    pub async fn sever(&self) {
        let accepted = self.counters().accepted;
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
        self.shared.wait_for("the connections to close", |state| state.none_open_up_to(accepted)).await;
    }

    /// Closes every connection and refuses new ones until [`pass`](Self::pass).
    pub async fn cut(&self) {
        self.refuse().await;
        self.sever().await;
    }

    /// Holds one direction until the gate is released or dropped, which forces a race: wait until what is to come late
    /// is held, do what is to come first, release.
    pub fn hold(&self, direction: Direction) -> Gate {
        Gate::close(Arc::clone(&self.shared), direction)
    }

    /// Holds what the server answers until the gate is released or dropped.
    pub fn hold_replies(&self) -> Gate {
        self.hold(Direction::ToClient)
    }

    /// Holds what the clients ask until the gate is released or dropped.
    pub fn hold_requests(&self) -> Gate {
        self.hold(Direction::ToServer)
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.shared.state.borrow().counters()
    }

    /// Waits until the counters are as `reached` wants them, at once if they are already. Cancel safe.
    ///
    /// # Panics
    ///
    /// When that takes more than a minute.
    pub async fn wait_until(&self, reached: impl Fn(&Counters) -> bool) -> Counters {
        self.shared.wait_for("the counters", |state| reached(&state.counters())).await;
        self.counters()
    }

    /// Waits for the next connection after this call. To wait for one that may have come already, count them with
    /// [`wait_until`](Self::wait_until). Cancel safe.
    pub fn accepted(&self) -> impl Future<Output = Counters> + '_ {
        let before = self.counters().accepted;
        self.wait_until(move |counters| counters.accepted > before)
    }

    async fn admit(&self, admit: bool) {
        self.shared.admit.send_replace(admit);
        self.shared.wait_for("the listener", |state| state.listening == admit).await;
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl Shared {
    fn flow(&self, direction: Direction) -> &watch::Sender<Flow> {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    async fn wait_for(&self, what: &str, reached: impl Fn(&State) -> bool) {
        let mut states = self.state.subscribe();
        let waited = timeout(EVENT_TIMEOUT, states.wait_for(|state| reached(state))).await;
        if waited.is_err() {
            panic!("waited {EVENT_TIMEOUT:?} for {what} in vain: {:?}", self.state.borrow().counters());
        }
    }

    /// Waits until no direction is held, because a link that went silent does not say that the other side is gone.
    async fn wait_while_held(&self) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            // The senders live as long as `self`.
            let _ = self.flow(direction).subscribe().wait_for(|flow| *flow != Flow::Hold).await;
        }
    }
}

async fn accept_all(shared: Arc<Shared>, port: Port, listener: TcpListener) {
    let mut admit = shared.admit.subscribe();
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let wanted = *admit.borrow_and_update();
        listener = wanted.then(|| listener.unwrap_or_else(|| listen(port.number())));
        shared.state.send_modify(|state| state.listening = wanted);
        tokio::select! {
            biased;
            changed = admit.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            client = accept(listener.as_ref()) => {
                connections.spawn(relay::relay(client, relay::Link::open(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        // What fails here is the one connection, not the listener.
        if let Ok((client, _)) = listener.accept().await {
            return client;
        }
    }
}

fn listen(port: u16) -> TcpListener {
    let listener = TcpSocket::new_v4().and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
        socket.listen(1024)
    });
    listener.unwrap_or_else(|error| panic!("the proxy cannot listen on its reserved port {port}: {error}"))
}

#[cfg(test)]
mod tests;
