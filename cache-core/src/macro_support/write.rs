//! What the expansions of `#[cache_put]` and `#[cache_invalidate]` call.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::join3;

use super::load::{Presence, Required};
use super::returned::{Fallible, Payload, Plain, Returned, Shape, Stored};
use crate::erased::{AnyValue, ValueType};
use crate::{Backends, CachingService, EntryBuilder};

/// Stores what a function returned, and returns it.
pub async fn put_returned<S, P>(entry: EntryBuilder<'_>, _shape: S, _payload: P, returned: S::Returned) -> S::Returned
where
    S: Shape<Payload = P::Value>,
    P: Payload,
{
    let value = match S::split(returned) {
        Ok(value) => S::Presence::present(value),
        Err(error) => return S::join(Err(error)),
    };
    let Some(value) = value else {
        entry.invalidate().await;
        return S::join(Ok(S::Presence::loaded(None)));
    };
    let stored = P::take_in(value);
    entry.set_any(Arc::clone(&stored) as AnyValue, ValueType::of::<P::Stored>()).await;
    S::join(Ok(S::Presence::of(P::hand_out(stored))))
}

/// Stores what `make` makes of what a function returned, and returns that.
pub async fn put_made<S, T, F>(entry: EntryBuilder<'_>, _shape: S, returned: S::Returned, make: F) -> S::Returned
where
    S: Shape,
    T: Stored,
    F: FnOnce(&S::Payload) -> T,
{
    let value = match S::split(returned) {
        Ok(value) => S::Presence::present(value),
        Err(error) => return S::join(Err(error)),
    };
    match &value {
        Some(value) => {
            let made = make(value);
            entry.set(made).await
        }
        None => entry.invalidate().await,
    };
    S::join(Ok(S::Presence::loaded(value)))
}

/// What an attribute invalidates.
#[derive(Debug)]
pub struct Voided {
    /// Keys.
    pub keys: Vec<String>,
    /// A pattern of keys.
    pub pattern: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
}

impl Voided {
    /// Invalidates it. All of it is void here, and owed to the other tiers, once this is polled: a caller that goes away then loses
    /// nothing.
    pub async fn invalidate<B: Backends>(&self, service: &CachingService<B>) {
        let keys = async {
            if !self.keys.is_empty() {
                service.invalidate_many(&self.keys).await;
            }
        };
        let tags = async {
            if !self.tags.is_empty() {
                service.invalidate_tags(&self.tags).await;
            }
        };
        let pattern = async {
            let Some(pattern) = &self.pattern else { return };
            if let Err(error) = service.invalidate_pattern(pattern).await {
                tracing::error!(target: "cache_aside", %error, "a pattern of #[cache_invalidate] is malformed, and invalidates nothing");
            }
        };
        join3(keys, tags, pattern).await;
    }
}

/// Collects what an expression gives.
pub fn texts(texts: impl IntoIterator<Item: AsRef<str>>) -> Vec<String> {
    texts.into_iter().map(|text| text.as_ref().to_owned()).collect()
}

/// What `when = |returned| ..` says.
pub fn decide<R>(returned: &R, when: impl FnOnce(&R) -> bool) -> bool {
    when(returned)
}

/// What awaiting a future gives, where that type has no name.
pub const fn returned_by<F: Future>(_future: &F) -> Returned<F::Output> {
    Returned::new()
}

/// Finds out whether a function can fail. Chosen by method look-up, as [`ProbeShape`](super::ProbeShape) is.
pub trait ProbeOutcome {
    /// What the function returns.
    type Returned;
    /// How it holds an error.
    type Outcome;
    /// How it holds an error.
    fn outcome(&self) -> Self::Outcome;
    /// Whether it returned no error.
    fn has_succeeded(&self, returned: &Self::Returned) -> bool;
}

impl<V, E> ProbeOutcome for &Returned<Result<V, E>> {
    type Returned = Result<V, E>;
    type Outcome = Fallible<V, E>;
    fn outcome(&self) -> Fallible<V, E> {
        Fallible(PhantomData)
    }
    fn has_succeeded(&self, returned: &Result<V, E>) -> bool {
        returned.is_ok()
    }
}

impl<V> ProbeOutcome for Returned<V> {
    type Returned = V;
    type Outcome = Plain<V>;
    fn outcome(&self) -> Plain<V> {
        Plain(PhantomData)
    }
    fn has_succeeded(&self, _returned: &V) -> bool {
        true
    }
}

/// Runs `write` while the keys are fenced.
pub async fn write_around<B, S, Fut>(
    service: &CachingService<B>,
    voided: &Voided,
    _outcome: S,
    write: Fut,
) -> S::Returned
where
    B: Backends,
    S: Shape<Presence = Required>,
    Fut: Future<Output = S::Returned>,
{
    S::join(service.write_around(&voided.keys, || async { S::split(write.await) }).await)
}
