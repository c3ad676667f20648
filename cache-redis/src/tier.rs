//! The tier as a store of entries.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::frame::{self, Frame};
use cache_core::{CacheTier, Entry, Error, Key, Namespace, Pattern, SharedTier, TierError};
use deadpool_redis::Connection;
use redis::{Cmd, Value};

use crate::config::{Config, RedisTierBuilder, Urls, Wire};
use crate::counters::{Counters, Counts};
use crate::lanes::Lanes;
use crate::names::Names;
use crate::plain;
use crate::scan::{self, Swept};
use crate::server_clock::ServerClock;

/// The longest command, in keys: a longer one would hold the server up for more than a millisecond.
const KEYS_PER_COMMAND: usize = 1_000;

/// The longest time to live, in milliseconds: 35,000 years, which is still far from what Redis refuses.
const MAX_TTL_MILLIS: u64 = 1 << 50;

/// Entries in Redis, shared by every node of a namespace. Cloning it gives another handle to the same tier.
///
/// All commands go over one shared connection, made when first needed. While there is none, calls fail at once, and a task
/// reconnects. Dropping the future of a call is safe: the command may or may not have run, and the connection stays usable.
///
/// The tier may be used from several Tokio runtimes; when the one that holds the connection ends, the next call connects
/// again.
///
/// Bytes under one of its keys that this crate did not write are a miss: they say neither when they were written nor for
/// how long they hold. To share values with other programs, see [`Wire::Plain`].
#[derive(Clone)]
pub struct RedisTier {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) lane: Lanes,
    /// What the servers are called in messages, without secrets.
    shown: String,
    /// The number of the database.
    database: i64,
    pub(crate) counts: Arc<Counts>,
    pub(crate) journal_max_records: usize,
    pub(crate) response_timeout: Duration,
    pub(crate) server_clock: ServerClock,
    pub(crate) scan_batch: usize,
    pub(crate) track_foreign_writes: bool,
    pub(crate) wire: Wire,
    /// Whether the bus has been connected to before, or the attempt was made.
    pub(crate) bus_sought: AtomicBool,
    names: OnceLock<Names>,
}

impl RedisTier {
    /// A tier on the server at `url`, `redis://[user:password@]host[:port][/database]`, with the default settings. No
    /// connection is made before the first call.
    ///
    /// # Errors
    /// The URL cannot be used. The error names the fix and shows no password.
    pub fn new(url: impl Into<String>) -> Result<Self, Error> {
        Self::builder(url).build()
    }

    /// Sets up a tier on the server at `url`.
    pub fn builder(url: impl Into<String>) -> RedisTierBuilder {
        RedisTierBuilder::new(Urls::One(url.into()))
    }

    /// Sets up a tier on a cluster, of which `urls` name some servers to begin with: a few, so that one of them is there. The
    /// others are learnt from them, and logged in to as at the first. Failovers and slots that move are followed.
    ///
    /// Calls of one key go to the server that has it. Keys with a hash tag of their own, such as `{user:7}:name`, lie
    /// together. A call that touches a key and the journal is made in two steps, or three for a `set`, so it costs as many
    /// round trips.
    ///
    /// ```
    /// use cache_redis::RedisTier;
    ///
    /// let tier = RedisTier::cluster(["redis://node-a:7000", "redis://node-b:7000"]).build()?;
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    #[cfg(feature = "cluster")]
    pub fn cluster<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> RedisTierBuilder {
        RedisTierBuilder::new(Urls::Cluster(urls.into_iter().map(U::into).collect()))
    }

    /// Sets up a tier on the primary that sentinels know as `service`. `urls` are those of the sentinels, all of them: what
    /// most of them say counts. [`RedisTierBuilder::servers`] says how to log in at the servers. Failovers are followed.
    ///
    /// ```
    /// use cache_redis::RedisTier;
    ///
    /// let sentinels = ["redis://sentinel-a:26379", "redis://sentinel-b:26379", "redis://sentinel-c:26379"];
    /// let tier = RedisTier::sentinel("main", sentinels).servers("redis://app:password@any/1").build()?;
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    #[cfg(feature = "sentinel")]
    pub fn sentinel<U: Into<String>>(
        service: impl Into<String>,
        urls: impl IntoIterator<Item = U>,
    ) -> RedisTierBuilder {
        RedisTierBuilder::new(Urls::Sentinel {
            service: service.into(),
            sentinels: urls.into_iter().map(U::into).collect(),
            servers: "redis://any".to_owned(),
        })
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self, Error> {
        let counts = Arc::new(Counts::default());
        let inner = Inner {
            lane: config.servers.lanes(config.limits, &counts)?,
            shown: config.servers.shown(),
            database: config.servers.database(),
            counts,
            journal_max_records: config.journal_max_records,
            response_timeout: config.limits.response_timeout,
            server_clock: ServerClock::new(),
            names: OnceLock::new(),
            scan_batch: config.scan_batch,
            track_foreign_writes: config.track_foreign_writes,
            wire: config.wire,
            bus_sought: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Counts since the tier was made.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.inner.counts.read()
    }
}

impl Inner {
    pub(crate) fn names(&self) -> &Names {
        self.names.get_or_init(|| Names::new(Namespace::default(), self.database))
    }

    fn set(&self, key: &Key, entry: &Entry, ttl: Duration) -> Result<Cmd, TierError> {
        let frame = self.encode(entry)?;
        let mut command = redis::cmd("SET");
        command.arg(self.names().data(key)).arg(&frame[..]).arg("PX").arg(self.lifetime(entry, ttl));
        Ok(command)
    }

    fn decode(&self, reply: Value) -> Option<Entry> {
        let Value::BulkString(bytes) = reply else { return None };
        match frame::decode(Bytes::from(bytes)) {
            Ok(Frame::Entry(entry)) => Some(entry),
            Ok(Frame::Foreign(_)) => {
                self.counts.foreign();
                None
            }
            Ok(_) => None,
            Err(reason) => {
                self.counts.undecodable(&reason);
                None
            }
        }
    }
}

#[async_trait]
impl CacheTier for RedisTier {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn bind(&self, namespace: &Namespace) -> Result<(), TierError> {
        let new = || Names::new(namespace.clone(), self.inner.database);
        let bound = &self.inner.names.get_or_init(new).namespace;
        if bound == namespace {
            return Ok(());
        }
        Err(TierError::refused(format!(
            "this RedisTier serves namespace \"{bound}\" and cannot serve \"{namespace}\" too; make a RedisTier for each"
        )))
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, TierError> {
        let name = self.inner.names().data(key);
        if self.inner.wire == Wire::Plain {
            return Ok(plain::get_all(&self.inner, &[name]).await?.pop().flatten());
        }
        Ok(self.inner.decode(self.inner.lane.value(name).await?))
    }

    async fn set(&self, key: &Key, entry: Entry, ttl: Duration) -> Result<(), TierError> {
        self.inner.lane.query("SET", &self.inner.set(key, &entry, ttl)?).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64, TierError> {
        let mut removed = 0;
        for keys in keys.chunks(KEYS_PER_COMMAND) {
            let names: Vec<String> = keys.iter().map(|key| self.inner.names().data(key)).collect();
            #[cfg(feature = "cluster")]
            if let Some(cluster) = self.inner.lane.cluster() {
                removed += cluster.unlink(&names).await?;
                continue;
            }
            removed += self.inner.lane.query::<u64>("UNLINK", &scan::unlink(names)).await?;
        }
        Ok(removed)
    }

    async fn invalidate_pattern(&self, pattern: &Pattern) -> Result<u64, TierError> {
        #[cfg(feature = "cluster")]
        if let Some(cluster) = self.inner.lane.cluster() {
            let scans_before = cluster.missed.scans();
            let swept = self.inner.remove_matching(pattern).await?;
            cluster.missed.scanned(pattern, swept.met_all, scans_before);
            return Ok(swept.removed);
        }
        Ok(self.inner.remove_matching(pattern).await?.removed)
    }

    async fn clear(&self) -> Result<u64, TierError> {
        // The rule of a clear stays in any case, so nobody asks what was not met.
        self.inner.remove_matching(&Pattern::all()).await.map(|swept| swept.removed)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, TierError> {
        let each = self.get_each(keys).await?;
        Ok(each.into_iter().map(Result::unwrap_or_default).collect())
    }

    async fn get_each(&self, keys: &[Key]) -> Result<Vec<Result<Option<Entry>, TierError>>, TierError> {
        let mut entries = Vec::with_capacity(keys.len());
        for keys in keys.chunks(KEYS_PER_COMMAND) {
            let names: Vec<String> = keys.iter().map(|key| self.inner.names().data(key)).collect();
            if self.inner.wire == Wire::Plain {
                entries.extend(plain::get_all(&self.inner, &names).await?.into_iter().map(Ok));
                continue;
            }
            let replies = self.inner.lane.values(&names).await?;
            if replies.len() != keys.len() {
                return Err(TierError::unavailable("MGET was answered with the wrong number of values"));
            }
            entries.extend(replies.into_iter().map(|reply| reply.map(|value| self.inner.decode(value))));
        }
        Ok(entries)
    }

    async fn set_many(&self, entries: Vec<(Key, Entry, Duration)>) -> Result<(), TierError> {
        for entries in entries.chunks(KEYS_PER_COMMAND) {
            let sets = entries.iter().map(|(key, entry, ttl)| self.inner.set(key, entry, *ttl));
            self.inner.lane.set_all(sets.collect::<Result<_, _>>()?).await?;
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), TierError> {
        self.inner.lane.ping().await
    }

    fn shared(&self) -> Option<&dyn SharedTier> {
        Some(self)
    }

    async fn close(&self) {
        self.inner.lane.close();
    }
}

impl Inner {
    async fn remove_matching(&self, pattern: &Pattern) -> Result<Swept, TierError> {
        let (names, batch) = (self.names().data_matching(pattern), self.scan_batch);
        match &self.lane {
            Lanes::One(gets) => {
                let mut connection = gets.lane().check_out().await?;
                let removed = scan::remove_matching(&mut connection, &names, batch, &self.counts).await;
                if removed.is_err() {
                    // It may lead to a server that is none to write to any more, and answers pings all the same.
                    drop(Connection::take(connection));
                }
                Ok(Swept { removed: removed?, met_all: true })
            }
            #[cfg(feature = "cluster")]
            Lanes::Cluster(cluster) => cluster.remove_matching(&names, batch).await,
        }
    }

    /// For how many milliseconds an entry is stored that is to be there for `ttl`: a plain one ends when it is stale, since nothing
    /// would say so.
    pub(crate) fn lifetime(&self, entry: &Entry, ttl: Duration) -> u64 {
        match self.wire {
            Wire::Framed => millis(ttl),
            Wire::Plain => millis(ttl.saturating_sub(entry.expires.since(entry.fresh_until))),
        }
    }

    /// The refusal of a command that comes late may mean that the server's clock has been set, so it is asked for anew.
    pub(crate) fn doubt_clock(&self, error: &TierError) {
        if !error.is_outage() {
            self.server_clock.forget();
        }
    }

    /// What is stored of an entry.
    pub(crate) fn encode(&self, entry: &Entry) -> Result<Bytes, TierError> {
        match self.wire {
            Wire::Framed => frame::encode(entry).map_err(|error| TierError::refused(error.to_string())),
            Wire::Plain => plain::encode(entry),
        }
    }
}

/// A time to live as Redis takes it, which refuses zero.
pub(crate) fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, MAX_TTL_MILLIS)
}

impl fmt::Debug for RedisTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTier")
            .field("server", &self.inner.shown)
            .field("namespace", &self.inner.names.get().map(|names| names.namespace.as_str()))
            .finish_non_exhaustive()
    }
}
