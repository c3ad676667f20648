//! Settings of the tier.

use std::fmt;
use std::time::Duration;

use cache_core::Error;

#[cfg(feature = "tls")]
use crate::servers::Certificates;
use crate::servers::Servers;
use crate::tier::RedisTier;
use crate::topology::Limits;

/// Settings that were checked.
pub(crate) struct Config {
    pub(crate) servers: Servers,
    pub(crate) limits: Limits,
    pub(crate) journal_max_records: usize,
    pub(crate) scan_batch: usize,
    pub(crate) track_foreign_writes: bool,
    pub(crate) wire: Wire,
}

/// What the tier stores under a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wire {
    /// Values in frames of this crate, which say when they were made, for how long they hold, and what voids them.
    #[default]
    Framed,
    /// What the codec writes and nothing else, for fleets in several languages: with JSON, `redis-cli GET` shows it, and what
    /// another program writes with `SETEX key ttl json` is read.
    ///
    /// | | with plain values |
    /// |---|---|
    /// | no stale fill (G1) | as with frames, for invalidations through this crate: a load is fenced by its lease |
    /// | bounded staleness (G2), own invalidations (G3) | as with frames, for changes through this crate |
    /// | changes by other programs | a near tier serves the old value until its `local_ttl`, or hears of the change by [`track_foreign_writes`](RedisTierBuilder::track_foreign_writes); a value that another program writes without a time to live is kept near for an hour |
    /// | `invalidate_pattern` | what it covers is not read from Redis until the scan has ended |
    /// | `clear`, `invalidate_tags` | each is a scan over all keys of the namespace: values do not say their tags, so every value goes |
    /// | rules lost during a scan (`FLUSHALL` aside, an eviction or a restart without persistence) | what the scan had not come to is read until it runs out |
    /// | stale policies, refreshing early, etags | without effect in Redis: a value is fresh until it is gone |
    /// | `schema` | must stay 0: a plain value counts as of that, and any other is never read from Redis |
    /// | negative entries | kept near only |
    /// | `version` | the value is not stored, and what was there is removed |
    /// | `replicate` | without effect |
    /// | write-behind | a value is read from Redis only after it was applied to the source |
    ///
    /// While a value is being loaded its key holds a lease, 21 bytes that begin with CA C3: other programs have to take
    /// bytes that they cannot read for a miss. What they write meanwhile stands, and the load is not stored.
    ///
    /// All nodes of a namespace must agree on it: values of the other kind are misses. Not in a cluster. The user needs `MULTI`,
    /// `EXEC` and `PTTL` as well.
    Plain,
}

/// Which servers there are, as text.
#[derive(Clone)]
pub(crate) enum Urls {
    One(String),
    #[cfg(feature = "sentinel")]
    Sentinel {
        service: String,
        sentinels: Vec<String>,
        servers: String,
    },
    #[cfg(feature = "cluster")]
    Cluster(Vec<String>),
}

/// Sets up a [`RedisTier`].
///
/// ```
/// use std::time::Duration;
/// use cache_redis::RedisTier;
///
/// let tier = RedisTier::builder("redis://127.0.0.1:6379/0").response_timeout(Duration::from_millis(200)).build()?;
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until build() is called"]
pub struct RedisTierBuilder {
    urls: Urls,
    connect_timeout: Duration,
    response_timeout: Duration,
    pool_size: usize,
    journal_max_records: usize,
    scan_batch: usize,
    track_foreign_writes: bool,
    #[cfg(feature = "tls")]
    certificates: Certificates,
    wire: Wire,
}

impl RedisTierBuilder {
    /// The largest batch of a scan: each blocks the server.
    const MAX_SCAN_BATCH: usize = 10_000;

    /// The longest timeout: whoever waits for longer might as well wait for ever.
    const MAX_TIMEOUT: Duration = Duration::from_secs(3_600);

    /// The most connections for scans to one server.
    const MAX_POOL_SIZE: usize = 1_000;

    /// The most records of the journal: some 10 GB.
    const MAX_JOURNAL_RECORDS: usize = 100_000_000;

    pub(crate) fn new(urls: Urls) -> Self {
        Self {
            urls,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_millis(500),
            pool_size: 4,
            journal_max_records: 10_000,
            scan_batch: 250,
            track_foreign_writes: false,
            #[cfg(feature = "tls")]
            certificates: Certificates::default(),
            wire: Wire::Framed,
        }
    }

    /// How to log in at the servers that the sentinels name: user, password, database and scheme of a URL whose host and port
    /// are not used. Default: `redis://any`. Without effect on a tier that asks no sentinels.
    #[cfg(feature = "sentinel")]
    pub fn servers(mut self, url: impl Into<String>) -> Self {
        if let Urls::Sentinel { servers, .. } = &mut self.urls {
            *servers = url.into();
        }
        self
    }

    /// The certificate by which this client shows who it is, with the intermediate ones, and its private key, both in PEM:
    /// for servers with `tls-auth-clients yes`. Default: none. The URLs are `rediss://`.
    ///
    /// ```no_run
    /// use cache_redis::RedisTier;
    ///
    /// let (certificate, key) = (std::fs::read("client.pem")?, std::fs::read("client.key")?);
    /// let tier = RedisTier::builder("rediss://cache.example:6379").client_certificate(certificate, key).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    pub fn client_certificate(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.certificates.client = Some((certificate.into(), key.into()));
        self
    }

    /// The certificates of the authorities that servers are trusted by, in PEM. Default: those of the system, or of
    /// `SSL_CERT_FILE`.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, certificates: impl Into<Vec<u8>>) -> Self {
        self.certificates.root = Some(certificates.into());
        self
    }

    /// How long making a connection may take, log-in included. Default: 1 second; at most an hour.
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// How long the answer to one command may take. A connection on which three commands in a row were not answered in time is
    /// replaced. Default: 500 milliseconds; at most an hour.
    pub fn response_timeout(self, response_timeout: Duration) -> Self {
        Self { response_timeout, ..self }
    }

    /// How many connections there are to each server for scans, in addition to the one that all other commands share and the one of the
    /// bus. They are made when needed. A pattern's invalidation holds one to its end, and waits for one for as long as the
    /// `connect_timeout`. Default: 4; at most 1,000.
    pub fn pool_size(self, pool_size: usize) -> Self {
        Self { pool_size, ..self }
    }

    /// About how many records the journal keeps. A node that was cut off for longer than these reach back empties its near
    /// tiers when it is back. Default: 10,000; at most 100,000,000.
    pub fn journal_max_records(self, journal_max_records: usize) -> Self {
        Self { journal_max_records, ..self }
    }

    /// How many keys a scan looks at in one step: more are faster, and block the server for longer (250 take it 0.2 ms or more).
    /// A scan of more than 20,000 keys goes on in steps of a twentieth of that, with rests. Default: 250; at most 10,000.
    pub fn scan_batch(self, scan_batch: usize) -> Self {
        Self { scan_batch, ..self }
    }

    /// Whether the near tiers of this node drop what other programs change in Redis: `SET`, `DEL` or `EXPIRE` from
    /// `redis-cli`, evictions, `FLUSHALL`. Default: false.
    ///
    /// The server then tells this node of every write under the namespace (`CLIENT TRACKING` on the connection of the bus). It
    /// does not say who wrote what, so writes of nodes count as well: each load and `set` of any node costs every other
    /// that has the key near, and the one that made it, one more read of Redis, and each write anywhere in the namespace
    /// is one message to every node. So it is for namespaces that are read far more often than written. While the bus is
    /// cut off, nothing is heard, and near tiers are emptied when it is back.
    ///
    /// A load that is under way when another program writes goes on, and its callers get what it gives; it is not stored.
    ///
    /// In a cluster each primary is connected to, and tells of its own keys. The bus counts as cut off while one of them
    /// cannot be heard: until a replica has taken over, near tiers serve nothing older than the `isolated_ttl`.
    pub fn track_foreign_writes(self, track_foreign_writes: bool) -> Self {
        Self { track_foreign_writes, ..self }
    }

    /// What is stored under a key. Default: [`Wire::Framed`].
    pub fn wire(self, wire: Wire) -> Self {
        Self { wire, ..self }
    }

    /// Checks the settings and makes the tier. No connection is made before the first call.
    ///
    /// # Errors
    /// The URL or a setting cannot be used. The error names it and the fix, and shows no password.
    pub fn build(self) -> Result<RedisTier, Error> {
        let servers = Servers::parse(&self.urls)?;
        #[cfg(feature = "tls")]
        let servers = servers.with(&self.certificates)?;
        let longest = Self::MAX_TIMEOUT.as_millis();
        in_bounds("connect_timeout", self.connect_timeout.as_millis(), longest, "milliseconds")?;
        in_bounds("response_timeout", self.response_timeout.as_millis(), longest, "milliseconds")?;
        in_bounds("pool_size", self.pool_size as u128, Self::MAX_POOL_SIZE as u128, "connections")?;
        let records = (self.journal_max_records as u128, Self::MAX_JOURNAL_RECORDS as u128);
        in_bounds("journal_max_records", records.0, records.1, "records")?;
        in_bounds("scan_batch", self.scan_batch as u128, Self::MAX_SCAN_BATCH as u128, "keys")?;
        if self.wire == Wire::Plain && servers.is_cluster() {
            return Err(Error::configuration(
                "wire(Plain) is set for a cluster, where it is not offered; leave it out",
            ));
        }
        let limits = Limits {
            connect_timeout: self.connect_timeout,
            response_timeout: self.response_timeout,
            pool_size: self.pool_size,
        };
        let (journal_max_records, scan_batch) = (self.journal_max_records, self.scan_batch);
        let (track_foreign_writes, wire) = (self.track_foreign_writes, self.wire);
        RedisTier::from_config(&Config { servers, limits, journal_max_records, scan_batch, track_foreign_writes, wire })
    }
}

fn in_bounds(setting: &str, value: u128, most: u128, unit: &str) -> Result<(), Error> {
    match value {
        0 => Err(Error::configuration(format!("{setting} is 0 {unit}; set at least 1"))),
        _ if value > most => Err(Error::configuration(format!("{setting} is {value} {unit}; set at most {most}"))),
        _ => Ok(()),
    }
}

impl fmt::Debug for RedisTierBuilder {
    /// The URL may hold a password, so it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTierBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .field("pool_size", &self.pool_size)
            .field("journal_max_records", &self.journal_max_records)
            .field("scan_batch", &self.scan_batch)
            .field("track_foreign_writes", &self.track_foreign_writes)
            .field("wire", &self.wire)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> RedisTierBuilder {
        RedisTier::builder("redis://user:secret@127.0.0.1")
    }

    #[test]
    fn a_bad_setting_is_named_with_the_fix() {
        let error = |builder: RedisTierBuilder| builder.build().unwrap_err().to_string();
        assert_eq!(
            error(builder().connect_timeout(Duration::ZERO)),
            "connect_timeout is 0 milliseconds; set at least 1"
        );
        assert!(error(builder().response_timeout(Duration::from_micros(9))).starts_with("response_timeout is 0"));
        assert_eq!(error(builder().pool_size(0)), "pool_size is 0 connections; set at least 1");
        assert!(error(builder().journal_max_records(0)).starts_with("journal_max_records is 0"));
        assert!(error(builder().scan_batch(0)).starts_with("scan_batch is 0"));
        assert_eq!(error(builder().scan_batch(10_001)), "scan_batch is 10001 keys; set at most 10000");
        assert!(error(builder().connect_timeout(Duration::MAX)).ends_with("milliseconds; set at most 3600000"));
        assert!(error(builder().response_timeout(Duration::MAX)).starts_with("response_timeout is 184467440737095"));
        assert!(error(builder().pool_size(usize::MAX)).ends_with("connections; set at most 1000"));
        assert!(error(builder().journal_max_records(usize::MAX)).ends_with("records; set at most 100000000"));
        builder().connect_timeout(Duration::from_secs(3_600)).pool_size(1_000).build().unwrap();
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", builder()).contains("secret"));
        let tier = format!("{:?}", builder().build().unwrap());
        assert!(!tier.contains("secret"), "{tier}");
        assert!(tier.contains("redis://127.0.0.1"), "{tier}");
    }
}
