//! The short way to an answer that no policy of the function has a say in.

use super::key::KeyBuffer;
use super::load::Presence;
use super::returned::{Payload, Shape};
use crate::service::{CachingService, with_current};

/// The answer, if the near tier of the current service has a value that is fresh by every policy. Otherwise the call goes
/// its usual way, with the entry and its policies, which takes longer than such a hit.
pub fn hit<S, P>(key: &KeyBuffer, _shape: S, _payload: &P) -> Option<S::Returned>
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    let stored = with_current(|service| service.settled::<P::Stored>(key.as_str()))?;
    Some(S::join(Ok(S::Presence::of(P::hand_out(stored)))))
}

/// As [`hit`], of the service that `cache = expr` gives.
pub fn hit_of<B, S, P>(service: &CachingService<B>, key: &KeyBuffer, _shape: S, _payload: &P) -> Option<S::Returned>
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    let stored = service.inner().settled::<P::Stored>(key.as_str())?;
    Some(S::join(Ok(S::Presence::of(P::hand_out(stored)))))
}
