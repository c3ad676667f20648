//! What errors of the client mean to a tier.
//!
//! Servers quote arguments in some errors, and arguments hold values and passwords. So only the parts of an error that
//! cannot hold either are kept.

use std::fmt::Write as _;

use cache_core::TierError;
use deadpool_redis::PoolError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What the failure of `action` means.
pub(crate) fn tier_error(action: &str, error: &RedisError) -> TierError {
    let message = format!("{action} failed: {}", describe(error));
    if error.is_timeout() {
        TierError::timed_out(message)
    } else if is_outage(error) {
        TierError::unavailable(message)
    } else {
        TierError::refused(message)
    }
}

/// What the failure to check a connection out of the pool means.
pub(crate) fn pool_error(error: &PoolError) -> TierError {
    match error {
        PoolError::Backend(error) => tier_error("connecting", error),
        PoolError::Timeout(step) => TierError::timed_out(format!("no connection in time: {step:?} took too long")),
        PoolError::Closed => TierError::unavailable("the tier is closed"),
        PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            TierError::unavailable("no connection could be made")
        }
    }
}

/// The error in words, without anything that the caller sent.
pub(crate) fn describe(error: &RedisError) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    match error.kind() {
        // These come from the operating system.
        ErrorKind::Io => error.to_string(),
        ErrorKind::Server(_) | ErrorKind::Extension => describe_reply(error),
        _ => match error.code() {
            Some(code) => format!("{} ({code})", error.category()),
            None => error.category().to_owned(),
        },
    }
}

fn describe_reply(error: &RedisError) -> String {
    let servers = error.clone().into_server_errors();
    let first = servers.as_deref().and_then(<[_]>::first).map(|(_, error)| error);
    let mut text = first.map_or_else(|| error.category().to_owned(), |error| error.code().to_owned());
    if let Some(details) = first.and_then(|error| error.details()) {
        let end = details.find(QUOTES_ARGUMENTS).unwrap_or(details.len());
        // Writing to a string cannot fail.
        let _ = write!(text, " {}", &details[..end]);
    }
    text
}

/// After this, a server repeats what it was sent.
const QUOTES_ARGUMENTS: &str = ", with args beginning with";

fn is_outage(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed | ErrorKind::ClusterConnectionNotFound => {
            true
        }
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ReadOnly
        ),
        _ => matches!(error.code(), Some("NOAUTH" | "BUSY")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn io_error(kind: io::ErrorKind) -> TierError {
        tier_error("GET", &RedisError::from(io::Error::from(kind)))
    }

    #[test]
    fn timeouts_and_lost_connections_are_outages() {
        assert!(io_error(io::ErrorKind::TimedOut).is_timeout());
        assert!(io_error(io::ErrorKind::TimedOut).is_outage());
        assert!(io_error(io::ErrorKind::BrokenPipe).is_outage());
        assert!(!io_error(io::ErrorKind::BrokenPipe).is_timeout());
    }
}
