//! Which servers a tier is on: what its URLs say.

use std::sync::Arc;

use cache_core::Error;
#[cfg(feature = "tls")]
use redis::{Client, ClientTlsConfig, TlsCertificates};

use crate::config::Urls;
use crate::counters::Counts;
use crate::gets::Gets;
use crate::lane::Lane;
use crate::lanes::Lanes;
use crate::topology::{Limits, Place, Server};
use crate::url::ServerUrl;

pub(crate) enum Servers {
    One(ServerUrl),
    #[cfg(feature = "sentinel")]
    Sentinel {
        service: String,
        sentinels: Vec<ServerUrl>,
        servers: ServerUrl,
    },
    #[cfg(feature = "cluster")]
    Cluster(Vec<ServerUrl>),
}

/// Who is trusted, and how this client shows who it is, in PEM.
#[cfg(feature = "tls")]
#[derive(Clone, Default)]
pub(crate) struct Certificates {
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) root: Option<Vec<u8>>,
}

#[cfg(feature = "tls")]
impl Servers {
    /// The same, connected to with `certificates`.
    pub(crate) fn with(mut self, certificates: &Certificates) -> Result<Self, Error> {
        let Certificates { client, root } = certificates;
        if client.is_none() && root.is_none() {
            return Ok(self);
        }
        let client_tls = client.clone().map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
        let certificates = TlsCertificates { client_tls, root_cert: root.clone() };
        for url in self.urls() {
            // What the library says of a certificate holds nothing of it.
            let client = Client::build_with_tls(url.connection.clone(), certificates.clone()).map_err(|error| {
                let reason = error.category();
                Error::configuration(format!("{}: {reason}; give certificates in PEM and rediss:// URLs", url.shown))
            })?;
            url.connection = client.get_connection_info().clone();
        }
        Ok(self)
    }

    fn urls(&mut self) -> Vec<&mut ServerUrl> {
        match self {
            Self::One(url) => vec![url],
            #[cfg(feature = "sentinel")]
            Self::Sentinel { sentinels, servers, .. } => sentinels.iter_mut().chain([servers]).collect(),
            #[cfg(feature = "cluster")]
            Self::Cluster(seeds) => seeds.iter_mut().collect(),
        }
    }
}

impl Servers {
    pub(crate) fn parse(urls: &Urls) -> Result<Self, Error> {
        match urls {
            Urls::One(url) => ServerUrl::parse(url).map(Self::One),
            #[cfg(feature = "sentinel")]
            Urls::Sentinel { service, sentinels, servers } => {
                if service.is_empty() {
                    return Err(Error::configuration(
                        "the sentinels' name of the primary is empty; give the one of their configuration",
                    ));
                }
                let (service, sentinels) = (service.clone(), several("sentinel", sentinels)?);
                let servers = ServerUrl::parse(servers)?;
                is_tcp(&servers)?;
                Ok(Self::Sentinel { service, sentinels, servers })
            }
            #[cfg(feature = "cluster")]
            Urls::Cluster(urls) => {
                let seeds = several("server", urls)?;
                match seeds.iter().find(|seed| seed.connection.redis_settings().db() != 0) {
                    Some(seed) => Err(Error::configuration(format!(
                        "{}: a cluster has no databases; leave the number out",
                        seed.shown
                    ))),
                    None => Ok(Self::Cluster(seeds)),
                }
            }
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        match self {
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => true,
            _ => false,
        }
    }

    /// What they are called in messages: without secrets.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::One(url) => url.shown.clone(),
            #[cfg(feature = "sentinel")]
            Self::Sentinel { service, sentinels, .. } => format!("{service} of the sentinels {}", list(sentinels)),
            #[cfg(feature = "cluster")]
            Self::Cluster(seeds) => format!("the cluster of {}", list(seeds)),
        }
    }

    /// The number of the database.
    pub(crate) fn database(&self) -> i64 {
        match self {
            Self::One(url) => url.connection.redis_settings().db(),
            #[cfg(feature = "sentinel")]
            Self::Sentinel { servers, .. } => servers.connection.redis_settings().db(),
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => 0,
        }
    }

    /// The way to them. No connection is made yet.
    pub(crate) fn lanes(&self, limits: Limits, counts: &Arc<Counts>) -> Result<Lanes, Error> {
        #[cfg(feature = "tls")]
        crate::topology::choose_cryptography();
        let place = match self {
            Self::One(url) => {
                let server = Server::new(&url.connection, url.shown.clone(), limits);
                let server = server.map_err(|error| Error::configuration(format!("{}: {error}", url.shown)))?;
                Place::Server(Arc::new(server))
            }
            #[cfg(feature = "sentinel")]
            Self::Sentinel { service, sentinels, servers } => {
                let sentinels = crate::topology::Sentinels {
                    service: service.clone(),
                    sentinels: sentinels.iter().map(|sentinel| sentinel.connection.clone()).collect(),
                    login: servers.connection.clone(),
                };
                Place::Watched(Box::new(crate::topology::Watched::new(sentinels, limits)))
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(seeds) => {
                let seeds = seeds.iter().map(|seed| seed.connection.clone()).collect();
                let cluster = crate::cluster::Cluster::new(seeds, limits, Arc::clone(counts));
                return Ok(Lanes::Cluster(Box::new(cluster)));
            }
        };
        let lane = Lane::new(place, limits.connect_timeout, Arc::clone(counts));
        Ok(Lanes::One(Gets::new(Arc::new(lane))))
    }
}

#[cfg(any(feature = "cluster", feature = "sentinel"))]
fn several(what: &str, urls: &[String]) -> Result<Vec<ServerUrl>, Error> {
    if urls.is_empty() {
        return Err(Error::configuration(format!("no {what} is named; give the URL of at least one {what}")));
    }
    let parsed = urls.iter().map(|url| ServerUrl::parse(url).and_then(|url| is_tcp(&url).map(|()| url)));
    parsed.collect()
}

/// Other servers are found at addresses that are told over the wire, and those are no paths.
#[cfg(any(feature = "cluster", feature = "sentinel"))]
fn is_tcp(url: &ServerUrl) -> Result<(), Error> {
    match url.connection.addr() {
        redis::ConnectionAddr::Unix(_) => Err(Error::configuration(format!(
            "{}: neither a cluster nor sentinels can be used through a socket; give redis://host:port",
            url.shown
        ))),
        _ => Ok(()),
    }
}

#[cfg(any(feature = "cluster", feature = "sentinel"))]
fn list(urls: &[ServerUrl]) -> String {
    urls.iter().map(|url| url.shown.as_str()).collect::<Vec<_>>().join(", ")
}
