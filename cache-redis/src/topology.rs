//! Which servers there are, and how a connection to the right one is made.
//!
//! There is one kind so far, a single server. Everything else in this crate asks a [`Topology`] for connections and does
//! not know what stands behind it.

use std::future::Future;
use std::time::Duration;

use cache_core::{Error, TierError};
use deadpool_redis::{Connection, Manager, Pool, PoolError};
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, RedisError};

use crate::config::Config;
use crate::error::{pool_error, tier_error};

/// The connection that all callers share.
pub(crate) type SharedConnection = MultiplexedConnection;

pub(crate) struct Topology {
    pool: Pool,
    bus: Client,
    connect_timeout: Duration,
    response_timeout: Duration,
    shown: String,
    database: i64,
}

impl Topology {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        #[cfg(feature = "tls")]
        choose_cryptography();
        let unusable = |error: &dyn std::fmt::Display| Error::configuration(format!("{}: {error}", config.url.shown));
        let server = server(&config.url.connection);
        let limits = limits(config.connect_timeout, config.response_timeout);
        let manager = Manager::new_with_config(server.clone(), limits).map_err(|error| unusable(&error))?;
        let pool = Pool::builder(manager).max_size(config.pool_size).build().map_err(|error| unusable(&error))?;
        let login = server.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let database = login.db();
        let bus = Client::open(server.set_redis_settings(login)).map_err(|error| unusable(&error))?;
        Ok(Self {
            pool,
            bus,
            connect_timeout: config.connect_timeout,
            response_timeout: config.response_timeout,
            shown: config.url.shown.clone(),
            database,
        })
    }

    /// The server's URL without secrets.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// The number of the database.
    pub(crate) fn database(&self) -> i64 {
        self.database
    }

    /// How long making a connection may take.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Makes a connection to share. It leaves the pool for good, so that the pool's size is left for exclusive use.
    pub(crate) async fn open_shared(&self) -> Result<SharedConnection, TierError> {
        // This is called when there was no connection or it broke, so idle ones are most likely broken as well: they
        // would only cost one timeout each.
        self.pool.retain(|_, _| false);
        self.check_out().await.map(Connection::take)
    }

    /// Takes a connection for exclusive use from the pool; dropping it gives it back.
    pub(crate) async fn check_out(&self) -> Result<Connection, TierError> {
        let in_time = self.in_time(self.pool.get()).await?;
        in_time.map_err(|error: PoolError| pool_error(&error))
    }

    /// Makes a connection for the bus, on which `pushes` gets what the server sends unasked. When the connection is lost,
    /// `pushes` is dropped.
    pub(crate) async fn open_bus(&self, pushes: impl AsyncPushSender) -> Result<MultiplexedConnection, TierError> {
        let config = limits(self.connect_timeout, self.response_timeout).set_push_sender(pushes);
        let in_time = self.in_time(self.bus.get_multiplexed_async_connection_with_config(&config)).await?;
        in_time.map_err(|error: RedisError| tier_error("connecting", &error))
    }

    /// Drops idle connections and makes no new ones for exclusive use.
    pub(crate) fn close(&self) {
        self.pool.close();
    }

    async fn in_time<T>(&self, connecting: impl Future<Output = T>) -> Result<T, TierError> {
        tokio::time::timeout(self.connect_timeout, connecting)
            .await
            .map_err(|_| TierError::timed_out(format!("connecting took more than {:?}", self.connect_timeout)))
    }
}

/// The TLS library panics when several of its cryptography providers are compiled in and the process has chosen none.
#[cfg(feature = "tls")]
fn choose_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that someone else has chosen in the meantime.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

fn server(connection: &ConnectionInfo) -> ConnectionInfo {
    let tcp = connection.tcp_settings().clone().set_nodelay(true);
    // Naming the client costs no round trip and makes each handshake wait for an answer: a server that accepts and then
    // hangs is noticed here.
    let login = connection.redis_settings().clone().set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    connection.clone().set_tcp_settings(tcp).set_redis_settings(login)
}

fn limits(connect_timeout: Duration, response_timeout: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect_timeout))
        .set_response_timeout(Some(response_timeout))
}
