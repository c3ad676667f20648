//! The short way to an answer: it allocates nothing.

use std::sync::Arc;

use super::call::Call;
use super::key::KeyBuffer;
use super::load::Presence;
use super::returned::{Payload, Shape};
use crate::service::{CachingService, with_current};

/// The answer, if the near tier of the current service has a value that is fresh by every policy. Otherwise the call goes
/// its usual way, with the entry and its policies, which takes longer than such a hit.
///
/// For functions whose own policies have no say in that.
pub fn hit<S, P>(key: &KeyBuffer, _shape: S, _payload: &P) -> Option<S::Returned>
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    with_current(|service| service.settled::<P::Stored>(key.as_str())).map(handed_out::<S, P>)
}

/// As [`hit`], of the service that `cache = expr` gives.
pub fn hit_of<B, S, P>(service: &CachingService<B>, key: &KeyBuffer, _shape: S, _payload: &P) -> Option<S::Returned>
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    service.inner().settled::<P::Stored>(key.as_str()).map(handed_out::<S, P>)
}

/// As [`hit`], for functions whose own policies have a say.
pub fn hit_by<S, P>(call: &mut Call, _shape: S, _payload: &P) -> Option<S::Returned>
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    call.settled::<P::Stored>().map(handed_out::<S, P>)
}

fn handed_out<S, P>(stored: Arc<P::Stored>) -> S::Returned
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    S::join(Ok(S::Presence::of(P::hand_out(stored))))
}
