//! One server: a pool of connections to it, and connections for the bus.

use cache_core::TierError;
use deadpool_redis::{Connection, Manager, Pool, PoolError};
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{Client, ConnectionInfo, ProtocolVersion, RedisError, RedisResult};

use super::Limits;
use crate::error::{pool_error, tier_error};

pub(crate) struct Server {
    pool: Pool,
    bus: Client,
    limits: Limits,
    /// Where it is, without secrets.
    shown: String,
}

impl Server {
    /// A server that is logged in to as `login` says.
    ///
    /// # Errors
    /// The client refuses the settings.
    pub(crate) fn new(login: &ConnectionInfo, shown: String, limits: Limits) -> RedisResult<Self> {
        let login = named(login);
        let manager = Manager::new_with_config(login.clone(), limits.of_connections())?;
        // Building fails only for want of a runtime where the pool has timeouts, and it has none.
        let pool = Pool::builder(manager).max_size(limits.pool_size).build().map_err(|_| {
            RedisError::from((redis::ErrorKind::InvalidClientConfig, "the pool of connections cannot be set up"))
        })?;
        let resp3 = login.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let bus = Client::open(login.set_redis_settings(resp3))?;
        Ok(Self { pool, bus, limits, shown })
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Makes a connection to share. It leaves the pool for good, so that the pool's size is left for exclusive use.
    pub(crate) async fn open_shared(&self) -> Result<MultiplexedConnection, TierError> {
        // This is called when there was no connection or it broke, so idle ones are most likely broken as well: they
        // would only cost one timeout each.
        self.pool.retain(|_, _| false);
        self.check_out().await.map(Connection::take)
    }

    /// Takes a connection for exclusive use from the pool; dropping it gives it back.
    pub(crate) async fn check_out(&self) -> Result<Connection, TierError> {
        let in_time = self.limits.in_time(self.pool.get()).await?;
        in_time.map_err(|error: PoolError| pool_error(&error))
    }

    /// Makes a connection for the bus, on which `pushes` gets what the server sends unasked. When the connection is lost,
    /// `pushes` is dropped.
    pub(crate) async fn open_bus(&self, pushes: impl AsyncPushSender) -> Result<MultiplexedConnection, TierError> {
        let config = self.limits.of_connections().set_push_sender(pushes);
        let in_time = self.limits.in_time(self.bus.get_multiplexed_async_connection_with_config(&config)).await?;
        in_time.map_err(|error: RedisError| tier_error("connecting", &error))
    }

    /// Drops idle connections and makes no new ones for exclusive use.
    pub(crate) fn close(&self) {
        self.pool.close();
    }
}

fn named(connection: &ConnectionInfo) -> ConnectionInfo {
    let tcp = connection.tcp_settings().clone().set_nodelay(true);
    // Naming the client costs no round trip and makes each handshake wait for an answer: a server that accepts and then
    // hangs is noticed here.
    let login = connection.redis_settings().clone().set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    connection.clone().set_tcp_settings(tcp).set_redis_settings(login)
}
