//! What an answer that is none says: of one server, of the cluster, or of where to ask instead.

use cache_core::TierError;
use redis::{RedisError, ServerErrorKind};

use super::map::Address;
use crate::error::tier_error;

/// The details of a CLUSTERDOWN that is said of one slot. It is said of all with other words.
const NOBODYS_SLOT: &str = "Hash slot not served";

/// Why there is no answer, or what it is.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// No server could be asked.
    Away(TierError),
    /// The server, or the connection to it, failed.
    Answer(RedisError),
    /// As one of the others, while another server answers: the tier is not away, though some of its keys are.
    Partial(Box<Self>),
}

impl Failure {
    pub(crate) fn into_tier_error(self, action: &str) -> TierError {
        match self {
            Self::Away(error) => error,
            Self::Answer(error) => tier_error(action, &error),
            Self::Partial(failure) => TierError::partial(failure.into_tier_error(action).to_string()),
        }
    }

    /// Whether others can be well: one server fails for itself, or nobody has a slot. What one says of the cluster, or of a slot
    /// that is moving, it says for others too.
    pub(super) fn is_of_a_part(&self) -> bool {
        match self {
            Self::Away(error) => error.is_outage(),
            Self::Answer(error) => {
                tier_error("", error).is_outage() && !is_divided(error) && (!is_down(error) || self.is_of_one_slot())
            }
            Self::Partial(_) => false,
        }
    }

    /// Whether a server says that nobody has the slot of the command.
    pub(super) fn is_of_one_slot(&self) -> bool {
        matches!(self, Self::Answer(error) if is_down(error) && error.detail() == Some(NOBODYS_SLOT))
    }

    /// Whether the keys of the command lie on two servers, since their slot is moving.
    pub(super) fn is_divided(&self) -> bool {
        matches!(self, Self::Answer(error) if is_divided(error))
    }
}

/// Where an answer sends a command.
pub(super) enum Direction {
    /// The slot lies there now.
    Moved(Address),
    /// The slot is moving there, and this key may have arrived.
    Ask(Address),
    /// The slot is moving, and of the keys of the command some have arrived.
    Divided,
}

impl Direction {
    /// `asked` is who answered: it leaves out its own host.
    pub(super) fn of(error: &RedisError, asked: &Address) -> Option<Self> {
        if is_divided(error) {
            return Some(Self::Divided);
        }
        let (address, _) = error.redirect_node()?;
        let (host, port) = address.rsplit_once(':')?;
        let host = if host.is_empty() || host == "?" { &asked.0 } else { host };
        let address = (host.trim_start_matches('[').trim_end_matches(']').to_owned(), port.parse().ok()?);
        Some(if error.kind() == ServerErrorKind::Ask.into() { Self::Ask(address) } else { Self::Moved(address) })
    }
}

fn is_divided(error: &RedisError) -> bool {
    error.kind() == ServerErrorKind::TryAgain.into()
}

fn is_down(error: &RedisError) -> bool {
    error.kind() == ServerErrorKind::ClusterDown.into()
}
