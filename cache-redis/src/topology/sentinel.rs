//! A primary that sentinels watch over.
//!
//! Sentinels are asked whenever a connection is made. One is made again when it breaks or its server says that it takes no
//! writes, and that of all callers also when the bus is connected anew: it then leads to where the bus does. So a failover
//! is followed without listening to the sentinels.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cache_core::TierError;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::{Client, ConnectionInfo, RedisResult};

use super::{Limits, Server, at};
use crate::error::tier_error;

/// Who is asked for which primary.
#[derive(Clone)]
pub(crate) struct Sentinels {
    /// The name under which the sentinels know the primary.
    pub(crate) service: String,
    /// Where the sentinels are, and how to log in there.
    pub(crate) sentinels: Vec<ConnectionInfo>,
    /// How to log in at the primary; its address is what the sentinels say.
    pub(crate) login: ConnectionInfo,
}

pub(crate) struct Watched {
    sentinels: Sentinels,
    limits: Limits,
    shown: String,
    /// The primary that was named last.
    primary: Mutex<Option<(String, Arc<Server>)>>,
}

impl Watched {
    pub(crate) fn new(sentinels: Sentinels, limits: Limits) -> Self {
        let shown = format!("the primary \"{}\" of {} sentinels", sentinels.service, sentinels.sentinels.len());
        Self { sentinels, limits, shown, primary: Mutex::new(None) }
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Asks the sentinels for the primary.
    pub(crate) async fn primary(&self) -> Result<Arc<Server>, TierError> {
        let (host, port) = self.limits.in_time(self.elect()).await??;
        let address = format!("{host}:{port}");
        let mut primary = self.lock();
        if let Some((known, server)) = &*primary
            && *known == address
        {
            return Ok(Arc::clone(server));
        }
        tracing::info!(target: "cache_aside", primary = %address, "the sentinels name a primary");
        let login = &self.sentinels.login;
        let login = login.clone().set_addr(at(login.addr(), host, port));
        let server = Server::new(&login, format!("{} at {address}", self.shown), self.limits);
        let server = Arc::new(server.map_err(|error| tier_error("connecting", &error))?);
        *primary = Some((address, Arc::clone(&server)));
        Ok(server)
    }

    /// The primary that was named when a connection was made last.
    pub(crate) fn last_known(&self) -> Result<Arc<Server>, TierError> {
        let primary = self.lock();
        let server = primary.as_ref().map(|(_, server)| Arc::clone(server));
        server.ok_or_else(|| TierError::unavailable("no primary is known yet"))
    }

    pub(crate) fn close(&self) {
        if let Some((_, server)) = &*self.lock() {
            server.close();
        }
    }

    /// The address that more than half of the sentinels name, or, when all have answered or failed, the most of them: one
    /// that was cut off from the others may still name the primary before.
    async fn elect(&self) -> Result<(String, u16), TierError> {
        let Sentinels { service, sentinels, .. } = &self.sentinels;
        let mut answers: FuturesUnordered<_> = sentinels.iter().map(|sentinel| self.ask(sentinel)).collect();
        let mut votes: Vec<((String, u16), usize)> = Vec::new();
        let mut failure = None;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(Some(address)) => match votes.iter_mut().find(|(named, _)| *named == address) {
                    Some((_, count)) => *count += 1,
                    None => votes.push((address, 1)),
                },
                Ok(None) => {}
                Err(error) => failure = Some(tier_error("asking a sentinel", &error)),
            }
            if let Some((address, _)) = votes.iter().find(|(_, count)| *count > sentinels.len() / 2) {
                return Ok(address.clone());
            }
        }
        let most = votes.into_iter().max_by_key(|(_, count)| *count);
        most.map(|(address, _)| address).ok_or_else(|| {
            failure.unwrap_or_else(|| TierError::unavailable(format!("no sentinel knows the primary \"{service}\"")))
        })
    }

    async fn ask(&self, sentinel: &ConnectionInfo) -> RedisResult<Option<(String, u16)>> {
        let client = Client::open(sentinel.clone())?;
        // Half, so that those that hang have failed while the answers of the others can still be counted.
        let half = self.limits.connect_timeout / 2;
        let response = self.limits.response_timeout.min(half / 2);
        let config = self.limits.of_connections();
        let config = config.set_connection_timeout(Some(half)).set_response_timeout(Some(response));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.sentinels.service);
        command.query_async(&mut connection).await
    }

    fn lock(&self) -> MutexGuard<'_, Option<(String, Arc<Server>)>> {
        // A panic under the lock leaves what was there.
        self.primary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
