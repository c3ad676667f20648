//! A service from environment variables.

use std::env::VarError;
use std::sync::Arc;
use std::time::Duration;

use super::{CachingService, CachingServiceBuilder};
use crate::error::Error;
use crate::policy::Policy;
use crate::tier::{CacheTier, NearTier};

/// Which tiers a service can be made of by [`CachingService::from_env`]. The crate `cache-aside` has the one that users
/// see; it exists because this crate knows no tier.
pub trait Backends: Send + Sync + 'static {
    /// A tier in the process for at most `max_entries` entries; `None` if this build has none.
    fn local(max_entries: u64) -> Option<Arc<dyn NearTier>>;

    /// A shared tier at `url`, without connecting; `None` if this build has none.
    ///
    /// # Errors
    /// The URL cannot be used.
    fn remote(url: &str) -> Option<Result<Arc<dyn CacheTier>, Error>>;
}

/// No tiers: for services whose tiers are all given to the builder.
impl Backends for () {
    fn local(_: u64) -> Option<Arc<dyn NearTier>> {
        None
    }

    fn remote(_: &str) -> Option<Result<Arc<dyn CacheTier>, Error>> {
        None
    }
}

const LOCAL_ENTRIES: u64 = 10_000;

/// Everything that is read of the environment.
const VARIABLES: [&str; 8] = [
    "CACHE_REDIS_URL",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_DB",
    "REDIS_USERNAME",
    "REDIS_PASSWORD",
    "CACHE_DEFAULT_TTL_SECONDS",
    "CACHE_NAMESPACE",
];

impl<B: Backends> CachingService<B> {
    /// A service from environment variables, with a near tier of 10,000 entries:
    ///
    /// - `CACHE_REDIS_URL`, or `REDIS_HOST` with `REDIS_PORT` (default 6379), `REDIS_DB` (default 0), `REDIS_USERNAME` and
    ///   `REDIS_PASSWORD`: the Redis tier. None of them: near tier only.
    /// - `CACHE_DEFAULT_TTL_SECONDS`: default 300.
    /// - `CACHE_NAMESPACE`: default `cache`.
    ///
    /// An empty variable counts as not set, and so does a `REDIS_PORT` that begins with `tcp://`: Kubernetes sets that in every
    /// container beside a service named `redis`.
    ///
    /// # Errors
    /// A variable is bad; the error names it. That Redis is away is no error.
    pub async fn from_env() -> Result<Self, Error> {
        Self::builder_from_env()?.build().await
    }

    pub(super) fn assemble_from_env() -> Self {
        let from_env = Self::builder_from_env().and_then(CachingServiceBuilder::assemble);
        from_env.unwrap_or_else(|error| {
            tracing::error!(target: "cache_aside", %error, "the environment gives no cache: using the near tier only");
            let mut near_only = Self::builder();
            near_only.near = B::local(LOCAL_ENTRIES);
            near_only.construct(crate::key::Namespace::default())
        })
    }

    fn builder_from_env() -> Result<CachingServiceBuilder<B>, Error> {
        readable(&|name| std::env::var(name))?;
        Self::builder_from(&|name| std::env::var(name).ok())
    }

    pub(super) fn builder_from(variable: &dyn Fn(&str) -> Option<String>) -> Result<CachingServiceBuilder<B>, Error> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut builder = Self::builder();
        builder.near = B::local(LOCAL_ENTRIES);
        if let Some(seconds) = variable("CACHE_DEFAULT_TTL_SECONDS") {
            let seconds: u64 = parse("CACHE_DEFAULT_TTL_SECONDS", &seconds, "a whole number of seconds, at least 1")?;
            if seconds == 0 {
                return Err(bad("CACHE_DEFAULT_TTL_SECONDS", "0", "a whole number of seconds, at least 1"));
            }
            builder = builder.default_policy(Policy::new(Duration::from_secs(seconds)));
        }
        if let Some(namespace) = variable("CACHE_NAMESPACE") {
            crate::key::Namespace::new(&namespace)
                .map_err(|error| Error::configuration(format!("CACHE_NAMESPACE: {error}")))?;
            builder = builder.namespace(&namespace);
        }
        if let Some((name, url)) = redis_url(&variable)? {
            let remote = B::remote(&url).ok_or_else(|| {
                Error::configuration(format!(
                    "{name} is set, but this build has no Redis tier; enable the feature \"redis\""
                ))
            })?;
            builder
                .far
                .push(remote.map_err(|error| Error::configuration(format!("{name}: {error}")).with_source(error))?);
        }
        Ok(builder)
    }
}

/// # Errors
/// A variable that would be read cannot be.
fn readable(variable: &dyn Fn(&str) -> Result<String, VarError>) -> Result<(), Error> {
    let unreadable = VARIABLES.into_iter().find(|name| matches!(variable(name), Err(VarError::NotUnicode(_))));
    match unreadable {
        Some(name) => Err(Error::configuration(format!("{name} is not valid UTF-8; set it to text, or unset it"))),
        None => Ok(()),
    }
}

/// The URL, and the variable to blame should it be bad.
fn redis_url(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<(&'static str, String)>, Error> {
    let is_meant = |name: &str, value: &String| name != "REDIS_PORT" || !value.starts_with("tcp://");
    let variable = |name: &str| variable(name).filter(|value| is_meant(name, value));
    if let Some(url) = variable("CACHE_REDIS_URL") {
        return Ok(Some(("CACHE_REDIS_URL", url)));
    }
    let Some(host) = variable("REDIS_HOST") else {
        let orphan = ["REDIS_PORT", "REDIS_DB", "REDIS_USERNAME", "REDIS_PASSWORD"]
            .into_iter()
            .find(|name| variable(name).is_some());
        return match orphan {
            Some(name) => Err(Error::configuration(format!(
                "{name} is set, but neither REDIS_HOST nor CACHE_REDIS_URL is; set REDIS_HOST too, or unset {name}"
            ))),
            None => Ok(None),
        };
    };
    let port = match variable("REDIS_PORT") {
        Some(port) => parse::<std::num::NonZeroU16>("REDIS_PORT", &port, "a port between 1 and 65535")?.get(),
        None => 6379,
    };
    let database: u32 = match variable("REDIS_DB") {
        Some(database) => parse("REDIS_DB", &database, "the number of a database, such as 0")?,
        None => 0,
    };
    let credentials = match (variable("REDIS_USERNAME"), variable("REDIS_PASSWORD")) {
        (None, None) => String::new(),
        (user, Some(password)) => {
            format!("{}:{}@", percent_encode(&user.unwrap_or_default()), percent_encode(&password))
        }
        (Some(_), None) => {
            return Err(Error::configuration("REDIS_USERNAME is set, but REDIS_PASSWORD is not; set both, or neither"));
        }
    };
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
    Ok(Some(("REDIS_HOST", format!("redis://{credentials}{host}:{port}/{database}"))))
}

fn parse<N: std::str::FromStr>(name: &str, value: &str, expected: &str) -> Result<N, Error> {
    value.trim().parse().map_err(|_| bad(name, value, expected))
}

fn bad(name: &str, value: &str, expected: &str) -> Error {
    Error::configuration(format!("{name} is {value:?}; expected {expected}"))
}

fn percent_encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn url(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        let url = redis_url(&|name| variables.get(name).map(|value| (*value).to_owned()));
        url.map(|url| url.map(|(_, url)| url)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_url_comes_from_one_variable_or_from_parts() {
        assert_eq!(url(&[]), Ok(None));
        assert_eq!(url(&[("CACHE_REDIS_URL", "redis://a"), ("REDIS_HOST", "b")]), Ok(Some("redis://a".into())));
        assert_eq!(url(&[("REDIS_HOST", "b")]), Ok(Some("redis://b:6379/0".into())));
        let all = [
            ("REDIS_HOST", "b"),
            ("REDIS_PORT", "1"),
            ("REDIS_DB", "2"),
            ("REDIS_USERNAME", "u:"),
            ("REDIS_PASSWORD", "p@/"),
        ];
        assert_eq!(url(&all), Ok(Some("redis://u%3A:p%40%2F@b:1/2".into())));
        for host in ["::1", "[::1]"] {
            assert_eq!(url(&[("REDIS_HOST", host)]), Ok(Some("redis://[::1]:6379/0".into())));
        }
        let linked = ("REDIS_PORT", "tcp://10.0.0.7:6379");
        assert_eq!(url(&[linked]), Ok(None), "Kubernetes has set it, and nobody means this cache");
        assert_eq!(url(&[("REDIS_HOST", "b"), linked]), Ok(Some("redis://b:6379/0".into())));
    }

    #[test]
    fn a_bad_variable_is_named() {
        let error = |variables: &[(&str, &str)]| url(variables).unwrap_err();
        assert_eq!(
            error(&[("REDIS_HOST", "b"), ("REDIS_PORT", "x")]),
            "REDIS_PORT is \"x\"; expected a port between 1 and 65535"
        );
        assert!(error(&[("REDIS_HOST", "b"), ("REDIS_PORT", "0")]).starts_with("REDIS_PORT is \"0\""));
        assert!(error(&[("REDIS_PORT", "1")]).starts_with("REDIS_PORT is set, but neither REDIS_HOST nor"));
        assert!(error(&[("REDIS_HOST", "b"), ("REDIS_USERNAME", "u")]).starts_with("REDIS_USERNAME is set"));
    }

    #[test]
    fn a_variable_that_is_no_text_is_named_and_not_shown() {
        let of = |bad: &'static str| {
            let variable = move |name: &str| match name == bad {
                true => Err(VarError::NotUnicode("secret".into())),
                false => Err(VarError::NotPresent),
            };
            readable(&variable).map_err(|error| error.to_string())
        };
        assert_eq!(of("OTHER"), Ok(()));
        for name in VARIABLES {
            let error = of(name).unwrap_err();
            assert!(error.starts_with(&format!("{name} is not valid UTF-8")) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_bad_ttl_or_namespace_is_named() {
        let build = |name: &'static str, value: &'static str| {
            CachingService::<()>::builder_from(&move |asked| (asked == name).then(|| value.to_owned()))
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(build("CACHE_DEFAULT_TTL_SECONDS", "60"), Ok(()));
        assert!(build("CACHE_DEFAULT_TTL_SECONDS", "0").unwrap_err().starts_with("CACHE_DEFAULT_TTL_SECONDS is \"0\""));
        assert!(build("CACHE_DEFAULT_TTL_SECONDS", "5m").unwrap_err().contains("\"5m\""));
        assert!(build("CACHE_NAMESPACE", "a:b").unwrap_err().starts_with("CACHE_NAMESPACE: invalid namespace \"a:b\""));
        assert!(build("CACHE_REDIS_URL", "redis://h").unwrap_err().contains("enable the feature \"redis\""));
        assert_eq!(build("CACHE_REDIS_URL", ""), Ok(()), "empty counts as not set");
    }
}
