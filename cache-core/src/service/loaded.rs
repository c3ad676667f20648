//! What a loader is told, and what it gives.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::Cacheable;
use crate::coherence::AtHand;
use crate::entry::Value;
use crate::erased::{AnyError, AnyOutcome, AnyValue};
use crate::tags::Tags;

/// A loaded value, and whether it may be stored.
pub(crate) struct Loaded<T> {
    pub(crate) value: Arc<T>,
    /// If not, only the callers that wait for this load get it.
    pub(crate) kept: bool,
}

impl<T> From<T> for Loaded<T> {
    fn from(value: T) -> Self {
        Self { value: Arc::new(value), kept: true }
    }
}

/// A loaded value without its type, and how it is to be stored where that is not up to the policy.
pub(crate) struct AnyLoaded {
    pub(crate) value: AnyValue,
    /// If not, only the callers that wait for this load get it.
    pub(crate) kept: bool,
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: Option<Tags>,
    pub(crate) etag: Option<Arc<str>>,
}

impl AnyLoaded {
    /// A value that is stored as the policy says, if it is to be kept.
    pub(crate) fn new(value: AnyValue, kept: bool) -> Self {
        Self { value, kept, ttl: None, tags: None, etag: None }
    }
}

impl<T: Send + Sync + 'static> From<Loaded<T>> for AnyLoaded {
    fn from(Loaded { value, kept }: Loaded<T>) -> Self {
        Self::new(value, kept)
    }
}

impl<T: Send + Sync + 'static> From<Answer<T>> for AnyLoaded {
    fn from(Answer { loaded: Loaded { value, kept }, ttl, tags, etag }: Answer<T>) -> Self {
        Self { value, kept, ttl, tags, etag }
    }
}

/// A loader without its types.
pub(crate) type Load<'a> = Box<dyn FnOnce(Option<AtHand>) -> Loading<'a> + Send + 'a>;

/// What a loader is doing.
pub(crate) type Loading<'a> = Pin<Box<dyn Future<Output = Result<Option<AnyLoaded>, Arc<AnyError>>> + Send + 'a>>;

/// A call that waits for an answer from beyond the near tier.
pub(crate) type Answering<'a> = Pin<Box<dyn Future<Output = AnyOutcome> + Send + 'a>>;

/// Where a loader runs.
pub(crate) enum Loader<'a> {
    /// In a task of the service.
    Detached(Load<'static>),
    /// In the task of its caller, from which it borrows.
    Inline(Load<'a>),
}

/// The loader without its types.
pub(super) fn erased<'a, L, E, F, Fut>(load: F) -> Load<'a>
where
    L: Into<AnyLoaded>,
    E: Send + Sync + 'static,
    F: FnOnce(Option<AtHand>) -> Fut + Send + 'a,
    Fut: Future<Output = Result<Option<L>, E>> + Send + 'a,
{
    Box::new(move |at_hand| {
        Box::pin(async move {
            let loaded = load(at_hand).await;
            loaded.map(|loaded| loaded.map(Into::into)).map_err(|error| Arc::new(error) as Arc<AnyError>)
        })
    })
}

/// What a loader is told of the value that it is to replace: given to
/// [`EntryBuilder::load_with`](super::EntryBuilder::load_with).
///
/// There is such a value when it is loaded anew before it is gone: within a stale window, or early by
/// [`Policy::refresh_ahead`](crate::Policy::refresh_ahead).
#[derive(Clone, Debug)]
pub struct LoadContext<T> {
    old: Option<Old<T>>,
}

#[derive(Debug)]
struct Old<T> {
    value: Arc<T>,
    age: Duration,
    tags: Tags,
    etag: Option<Arc<str>>,
}

impl<T> Clone for Old<T> {
    fn clone(&self) -> Self {
        let Self { value, age, tags, etag } = self;
        Self { value: Arc::clone(value), age: *age, tags: tags.clone(), etag: etag.clone() }
    }
}

impl<T: Cacheable> LoadContext<T> {
    pub(super) fn new(at_hand: Option<AtHand>, now: crate::clock::Timestamp) -> Self {
        let old = at_hand.and_then(|AtHand { entry, .. }| {
            let Value::Typed(value) = &entry.value else { return None };
            let value = Arc::clone(value).downcast().ok()?;
            Some(Old { value, age: now.since(entry.created), tags: entry.tags.clone(), etag: entry.etag.clone() })
        });
        Self { old }
    }

    /// The value that is to be replaced.
    #[must_use]
    pub fn stale(&self) -> Option<Arc<T>> {
        self.old.as_ref().map(|old| Arc::clone(&old.value))
    }

    /// How long ago the load of that value began.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.old.as_ref().map(|old| old.age)
    }

    /// The [`Answer::etag`] with which that value was stored.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.old.as_ref()?.etag.as_deref()
    }

    /// The answer of a source that has nothing newer than [`LoadContext::stale`]: the value lives on as if it had just been
    /// loaded, with its etag and its tags.
    ///
    /// # Panics
    /// There is no such value, so the source cannot have been asked whether it has changed. As any panic of a loader it is an
    /// error for the callers.
    pub fn not_modified(&self) -> Answer<T> {
        let Some(old) = self.old.clone() else { panic!("not_modified without a stale value") };
        let answer =
            Answer { loaded: Loaded { value: old.value, kept: true }, ttl: None, tags: Some(old.tags), etag: None };
        Answer { etag: old.etag, ..answer }
    }
}

/// What a loader of [`EntryBuilder::load_with`](super::EntryBuilder::load_with) gives: a value, and how it is to be kept
/// where that follows from what was loaded, and not from the policy.
#[must_use = "it is what the loader returns"]
pub struct Answer<T> {
    loaded: Loaded<T>,
    ttl: Option<Duration>,
    tags: Option<Tags>,
    etag: Option<Arc<str>>,
}

impl<T> Answer<T> {
    /// This value, kept as the policy says.
    pub fn value(value: T) -> Self {
        Self { loaded: value.into(), ttl: None, tags: None, etag: None }
    }

    /// It lives for this long, in place of [`Policy::ttl`](crate::Policy::ttl), before jitter. Zero: it is not stored.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// It has these tags, in place of [`Policy::tags`](crate::Policy::tags). If one of them is invalidated while the load is
    /// under way, the value is given to its callers and stored nowhere, as with those of the policy.
    pub fn tags(mut self, tags: impl IntoIterator<Item: AsRef<str>>) -> Self {
        self.tags = Some(Tags::new(tags));
        self
    }

    /// What the source calls this state of the value, such as an HTTP `ETag`: the loader that is to replace the value gets it
    /// from [`LoadContext::etag`]. It is stored with the value. An empty one counts as none, and one of more than 65,535 bytes
    /// keeps the value from far tiers.
    pub fn etag(mut self, etag: impl Into<Arc<str>>) -> Self {
        self.etag = Some(etag.into());
        self
    }

    /// It is given to the callers that wait for this load, and stored nowhere. A stale value that it would have replaced stays
    /// for the rest of its window, and is not loaded anew before [`Policy::error_throttle`](crate::Policy::error_throttle) has
    /// passed.
    pub const fn do_not_cache(mut self) -> Self {
        self.loaded.kept = false;
        self
    }
}

impl<T> From<T> for Answer<T> {
    fn from(value: T) -> Self {
        Self::value(value)
    }
}

impl<T> std::fmt::Debug for Answer<T> {
    /// Values may be secret, so how it is kept is shown alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("kept", &self.loaded.kept).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}
