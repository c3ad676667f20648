//! One server: connections to it that are shared, a pool of others for scans, and connections for the bus.

use std::time::Duration;

use cache_core::TierError;
use deadpool_redis::{Connection, Manager, Pool, PoolError};
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, RedisError, RedisResult};

use super::Limits;
use crate::error::{pool_error, tier_error};

/// After so long without a word from the other side the system asks whether it is there, and asks again as often.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How long what was sent may stay unacknowledged. Longer than an outage of the network that a connection should survive; that
/// nobody answers commands is noticed long before.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    pool: Pool,
    shared: Client,
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
        let shared = Client::open(login.clone())?;
        let bus = Client::open(login.set_redis_settings(resp3))?;
        Ok(Self { pool, shared, bus, limits, shown })
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Makes a connection to share: beside the pool, of which scans may hold every connection.
    pub(crate) async fn open_shared(&self) -> Result<MultiplexedConnection, TierError> {
        // This is called when there was no connection or it broke, so idle ones are most likely broken as well: they
        // would only cost one timeout each.
        self.pool.retain(|_, _| false);
        self.connect(&self.shared, self.limits.of_connections()).await
    }

    /// Takes a connection for exclusive use from the pool; dropping it gives it back.
    pub(crate) async fn check_out(&self) -> Result<Connection, TierError> {
        let in_time = self.limits.in_time(self.pool.get()).await.map_err(|error| {
            let pool = self.pool.status();
            if pool.available > 0 || pool.size < pool.max_size {
                return error;
            }
            // The server is well as far as this tells.
            let Limits { connect_timeout, pool_size, .. } = self.limits;
            TierError::refused(format!(
                "scans have held all {pool_size} connections of the pool for {connect_timeout:?}; raise pool_size"
            ))
        });
        in_time?.map_err(|error: PoolError| pool_error(&error))
    }

    /// Makes a connection for the bus, on which `pushes` gets what the server sends unasked. When the connection is lost,
    /// `pushes` is dropped.
    pub(crate) async fn open_bus(&self, pushes: impl AsyncPushSender) -> Result<MultiplexedConnection, TierError> {
        self.connect(&self.bus, self.limits.of_connections().set_push_sender(pushes)).await
    }

    async fn connect(
        &self,
        client: &Client,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, TierError> {
        let in_time = self.limits.in_time(client.get_multiplexed_async_connection_with_config(&config)).await?;
        in_time.map_err(|error: RedisError| tier_error("connecting", &error))
    }

    /// Drops idle connections and makes no new ones for exclusive use.
    pub(crate) fn close(&self) {
        self.pool.close();
    }
}

fn named(connection: &ConnectionInfo) -> ConnectionInfo {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    #[cfg(target_os = "linux")]
    let keepalive = keepalive.with_interval(KEEPALIVE);
    let tcp = connection.tcp_settings().clone().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(USER_TIMEOUT);
    // Naming the client costs no round trip and makes each handshake wait for an answer: a server that accepts and then
    // hangs is noticed here.
    let login = connection.redis_settings().clone().set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    connection.clone().set_tcp_settings(tcp).set_redis_settings(login)
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo;

    use super::*;
    use cache_testing::RedisServer;

    #[tokio::test]
    async fn scans_that_hold_the_whole_pool_keep_nobody_from_the_shared_connection() {
        let redis = RedisServer::start();
        let patience = Duration::from_secs(10);
        let limits = Limits { connect_timeout: patience, response_timeout: patience, pool_size: 1 };
        let server = Server::new(&redis.url().into_connection_info().unwrap(), redis.url(), limits).unwrap();
        let held = server.check_out().await.unwrap();
        let hasty = Server { limits: Limits { connect_timeout: Duration::from_millis(50), ..limits }, ..server };
        let error = hasty.check_out().await.err().unwrap();
        assert!(!error.is_outage(), "{error}");
        assert!(error.to_string().ends_with("held all 1 connections of the pool for 50ms; raise pool_size"), "{error}");
        let server = Server { limits, ..hasty };
        server.open_shared().await.unwrap();
        drop(held);
        server.check_out().await.unwrap();
    }
}
