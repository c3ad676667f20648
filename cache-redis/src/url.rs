//! Redis URLs: read strictly, and never shown with their secrets.

use cache_core::Error;
use redis::{ConnectionInfo, IntoConnectionInfo};

const SCHEMES: [&str; 7] = ["redis", "rediss", "unix", "redis+unix", "valkey", "valkeys", "valkey+unix"];
const NOT_SHOWN: &str = "not shown, it may hold a password";
const FIX: &str = "write redis://[user:password@]host[:port][/database], with special characters in user and password \
                   percent-encoded, or unix:///path/to/socket[?db=0]";

/// Where a server is and how to log in there.
#[derive(Clone)]
pub(crate) struct ServerUrl {
    pub(crate) connection: ConnectionInfo,
    /// The URL without user, password and query, for messages.
    pub(crate) shown: String,
}

impl ServerUrl {
    /// Reads a URL.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let scheme = text.split_once(':').map(|(scheme, _)| scheme);
        match scheme {
            Some("rediss" | "valkeys") if cfg!(not(feature = "tls")) => {
                return Err(invalid("rediss://...", "TLS is not compiled in; enable the feature `tls`"));
            }
            Some(scheme) if SCHEMES.contains(&scheme) => {}
            // Whatever stands there may be a password.
            _ => return Err(invalid(NOT_SHOWN, &format!("its scheme is unknown; {FIX}"))),
        }
        let Some(parsed) = redis::parse_redis_url(text) else {
            return Err(invalid(NOT_SHOWN, &format!("it cannot be parsed; {FIX}")));
        };
        let is_socket = parsed.scheme().contains("unix");
        let behind_host = [Some(parsed.path()), parsed.query(), parsed.fragment()];
        if !is_socket && behind_host.into_iter().flatten().any(|part| part.contains('@')) {
            let reason = "there is an `@` behind the host, so a `/`, `?` or `#` of the password seems to have ended it";
            return Err(invalid(NOT_SHOWN, &format!("{reason}; {FIX}")));
        }
        let host = parsed.host_str().unwrap_or_default();
        let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
        // What is not the number of a database may be a part of a password as well.
        let is_shown = is_socket || parsed.path().trim_start_matches('/').bytes().all(|byte| byte.is_ascii_digit());
        let path = if is_shown { parsed.path() } else { "" };
        let shown = format!("{}://{host}{port}{path}", parsed.scheme());
        let connection = parsed.into_connection_info().map_err(|error| {
            invalid(&shown, &format!("{}; {FIX}", error.to_string().trim_end_matches(" - InvalidClientConfig")))
        })?;
        if connection.redis_settings().db() < 0 {
            return Err(invalid(&shown, &format!("the database number is negative; {FIX}")));
        }
        Ok(Self { connection, shown })
    }
}

fn invalid(shown: &str, reason: &str) -> Error {
    Error::configuration(format!("invalid Redis URL ({shown}): {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        let Err(error) = ServerUrl::parse(url) else { panic!("{url} is accepted") };
        error.to_string()
    }

    #[test]
    fn user_password_and_database_come_from_the_url() {
        let url = ServerUrl::parse("redis://app:p%40ss@cache.example:6380/2").unwrap();
        assert_eq!(url.shown, "redis://cache.example:6380/2");
        let login = url.connection.redis_settings();
        assert_eq!((login.username(), login.password(), login.db()), (Some("app"), Some("p@ss"), 2));
    }

    #[test]
    fn a_unix_socket_has_its_login_in_the_query() {
        let url = ServerUrl::parse("unix:///run/redis.sock?db=1&pass=secret").unwrap();
        assert_eq!(url.shown, "unix:///run/redis.sock");
        assert_eq!(url.connection.redis_settings().password(), Some("secret"));
    }

    #[test]
    fn a_bad_url_is_named_with_the_fix_and_without_the_password() {
        for bad in [
            "",
            "secret",
            "localhost:6379",
            "http://user:secret@host",
            "redis://user:sec/ret:secret@host",
            "redis://:secret",
            "redis://user:secret@host/one",
            "redis://user:secret@host/-1",
            "redis://user:secret@0.0.0.0",
            "redis://user:secret@host:99999",
            "redis://user:secret@host?protocol=9",
            "redis://user:%ff%fesecret@host",
            "redis://app:/Kx9secret@host:6379/0",
            "redis://app:42/Kx9secret@host",
            "redis://app:42?Kx9secret@host",
            "redis://app:42#Kx9secret@host",
            "redis://app:/Kx9secret",
        ] {
            let error = error(bad);
            assert!(error.contains("write redis://"), "{error}");
            assert!(!error.contains("secret") && !error.contains("42"), "{error}");
        }
        assert!(error("redis://host:6379/one").contains("(redis://host:6379)"));
        assert!(error("redis://host/one").contains("Invalid database number;"));
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn tls_names_its_feature() {
        assert!(error("rediss://user:secret@host").ends_with("enable the feature `tls`"));
        assert!(!error("rediss://user:secret@host").contains("secret"));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn tls_is_accepted() {
        assert_eq!(ServerUrl::parse("rediss://user:secret@host").unwrap().shown, "rediss://host");
    }
}
