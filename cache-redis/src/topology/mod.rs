//! Which servers there are, and how a connection to the right one is made.
//!
//! A [`Place`] is where a connection leads to: one server, or whichever server the sentinels name at the time. What lies
//! on several servers at once is a [cluster](crate::cluster), which is made of places.

#[cfg(feature = "sentinel")]
mod sentinel;
mod server;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cache_core::TierError;
use deadpool_redis::Connection;
use redis::AsyncConnectionConfig;
#[cfg(any(feature = "sentinel", feature = "cluster"))]
use redis::ConnectionAddr;
use redis::aio::MultiplexedConnection;

#[cfg(feature = "sentinel")]
pub(crate) use sentinel::{Sentinels, Watched};
pub(crate) use server::Server;

/// The connection that all callers share.
pub(crate) type SharedConnection = MultiplexedConnection;

/// What connections are bounded by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) pool_size: usize,
}

impl Limits {
    fn of_connections(self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout))
    }

    async fn in_time<T>(self, connecting: impl Future<Output = T>) -> Result<T, TierError> {
        tokio::time::timeout(self.connect_timeout, connecting)
            .await
            .map_err(|_| TierError::timed_out(format!("connecting took more than {:?}", self.connect_timeout)))
    }
}

/// Where connections lead to.
pub(crate) enum Place {
    /// One server, always the same.
    Server(Arc<Server>),
    /// The primary that the sentinels name.
    #[cfg(feature = "sentinel")]
    Watched(Box<Watched>),
}

impl Place {
    /// What it is called in messages: without secrets.
    pub(crate) fn shown(&self) -> &str {
        match self {
            Self::Server(server) => server.shown(),
            #[cfg(feature = "sentinel")]
            Self::Watched(watched) => watched.shown(),
        }
    }

    /// The server that connections lead to which are made now.
    pub(crate) async fn server(&self) -> Result<Arc<Server>, TierError> {
        match self {
            Self::Server(server) => Ok(Arc::clone(server)),
            #[cfg(feature = "sentinel")]
            Self::Watched(watched) => watched.primary().await,
        }
    }

    /// Takes a connection for exclusive use; dropping it gives it back.
    pub(crate) async fn check_out(&self) -> Result<Connection, TierError> {
        match self {
            Self::Server(server) => server.check_out().await,
            #[cfg(feature = "sentinel")]
            Self::Watched(watched) => watched.last_known()?.check_out().await,
        }
    }

    /// Makes no new connections for exclusive use.
    pub(crate) fn close(&self) {
        match self {
            Self::Server(server) => server.close(),
            #[cfg(feature = "sentinel")]
            Self::Watched(watched) => watched.close(),
        }
    }
}

/// The address of another server that is connected to in the same manner.
#[cfg(any(feature = "sentinel", feature = "cluster"))]
pub(crate) fn at(like: &ConnectionAddr, host: String, port: u16) -> ConnectionAddr {
    let mut address = like.clone();
    match &mut address {
        ConnectionAddr::TcpTls { host: its_host, port: its_port, .. } => (*its_host, *its_port) = (host, port),
        other => *other = ConnectionAddr::Tcp(host, port),
    }
    address
}

/// The TLS library panics when several of its cryptography providers are compiled in and the process has chosen none.
#[cfg(feature = "tls")]
pub(crate) fn choose_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that someone else has chosen in the meantime.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
