//! The short way to an answer: it allocates nothing.

use std::sync::Arc;

use super::call::Call;
use super::key::KeyBuffer;
use super::load::Presence;
use super::returned::{Payload, Shape};
use crate::service::{CachingService, Current, Inner};

/// The answer, if the near tier of the current service has one that is fresh by every policy. Otherwise the call goes
/// its usual way, with the entry and its policies, which takes longer than such a hit.
///
/// For functions whose own policies have no say in that.
#[inline]
pub fn hit<S, P>(key: &KeyBuffer, _shape: S, _payload: &P) -> Option<S::Returned>
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    // Each arm by itself: what is shared by both would have to find out again which it is.
    match Current::find()? {
        Current::Installed(service) => answer::<S, P>(service, key.as_str()),
        Current::Scoped(service) => answer::<S, P>(&service, key.as_str()),
    }
}

/// As [`hit`], of the service that `cache = expr` gives.
#[inline]
pub fn hit_of<B, S, P>(service: &CachingService<B>, key: &KeyBuffer, _shape: S, _payload: &P) -> Option<S::Returned>
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    answer::<S, P>(service.inner(), key.as_str())
}

/// As [`hit`], for functions whose own policies have a say.
pub fn hit_by<S, P>(call: &mut Call, _shape: S, _payload: &P) -> Option<S::Returned>
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    match call.settled::<P::Stored>() {
        Some(stored) => Some(handed_out::<S, P>(stored)),
        None => absence::<S>(|| call.settled_absence()),
    }
}

#[inline]
fn answer<S, P>(service: &Inner, key: &str) -> Option<S::Returned>
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    match service.settled::<P::Stored>(key) {
        Some(stored) => Some(handed_out::<S, P>(stored)),
        None => absence::<S>(|| service.settled_absence(key)),
    }
}

#[inline]
fn handed_out<S, P>(stored: Arc<P::Stored>) -> S::Returned
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    S::join(Ok(S::Presence::of(P::hand_out(stored))))
}

/// What a function returns for a value that is known not to be there, if it may be absent and `is_known` says that it is.
fn absence<S: Shape>(is_known: impl FnOnce() -> bool) -> Option<S::Returned> {
    (S::Presence::OPTIONAL && is_known()).then(|| S::join(Ok(S::Presence::loaded(None))))
}
