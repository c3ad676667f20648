//! Calls for one key with a policy of their own.

mod settings;

use std::sync::Arc;

use super::loaded::{Answering, AnyLoaded, Loader, erased as erased_load};
use super::near::{Caller, Near};
use super::refresh::Due;
use super::{Answer, Cacheable, Inner, LoadContext, Loaded, Plan};
use crate::erased::{self, AnyValue, Types, ValueType};
use crate::error::LoadError;
use crate::policy::Policy;
use crate::selection::{Access, Tier};
use crate::status::Receipt;

/// One key, and how to treat it: made by [`CachingService::entry`](super::CachingService::entry).
///
/// Settings not made here are those of the service's default policy. They are not checked as those of a service are, since
/// no read may fail for its policy: one out of range is brought into it, and one that needs another which is missing does
/// nothing. So a `soft_timeout` without a stale window, or beyond the `load_timeout`, is never reached, an `error_throttle`
/// beyond `stale_if_error` ends with it, and a `refresh_ahead` that is no number or negative is off.
#[must_use = "it does nothing until one of its async calls is awaited"]
#[derive(Clone)]
pub struct EntryBuilder<'a> {
    inner: &'a Arc<Inner>,
    key: &'a str,
    chosen: Chosen,
}

/// What the settings of an [`EntryBuilder`] have chosen.
#[derive(Clone)]
pub(crate) struct Chosen {
    policy: Option<Policy>,
    /// What is left of the tiers that the policy chooses.
    access: Access,
    local_only: bool,
    version: Option<u64>,
    replicate: bool,
}

impl Chosen {
    /// Nothing but what the service's default policy says.
    pub(crate) const DEFAULT: Self =
        Self { policy: None, access: Access::ALL, local_only: false, version: None, replicate: false };
}

impl<'a> EntryBuilder<'a> {
    pub(crate) const fn new(inner: &'a Arc<Inner>, key: &'a str, chosen: Chosen) -> Self {
        Self { inner, key, chosen }
    }

    pub(crate) fn into_chosen(self) -> Chosen {
        self.chosen
    }

    /// Asks the near tier, unless it is left out.
    fn look_near<T: Cacheable>(&self, caller: Caller) -> Near<T> {
        if !self.access().reads(Tier::NEAR) {
            return Near::Miss;
        }
        self.inner.look_near(self.key, self.policy_in_use(), caller)
    }

    fn policy_in_use(&self) -> &Policy {
        self.chosen.policy.as_ref().unwrap_or(&self.inner.policy)
    }

    fn access(&self) -> Access {
        let chosen = self.chosen.policy.as_ref().map_or(self.inner.access, |policy| self.inner.access_of(policy));
        chosen.and(self.chosen.access)
    }

    fn plan(self, optional: bool) -> Plan {
        let access = self.access();
        let Chosen { policy, local_only, version, replicate, .. } = self.chosen;
        let policy = policy.unwrap_or_else(|| self.inner.policy.clone());
        let plan = Plan::new(policy, access);
        Plan { local_only: plan.local_only || local_only, optional, version, replicate, ..plan }
    }

    /// As [`CachingService::get`](super::CachingService::get).
    pub async fn get<T: Cacheable>(self) -> Option<Arc<T>> {
        match self.look_near(Caller { behind: false, optional: true }) {
            Near::Hit(value) | Near::Due(value, _) => Some(value),
            Near::Absent => None,
            Near::Miss => {
                let (inner, key) = (self.inner, self.key);
                // Boxed, so that the future of a hit stays small.
                let get = Box::pin(async move { inner.get(key, &self.plan(true), ValueType::of::<T>()).await });
                get.await.map(erased::value)
            }
        }
    }

    /// As [`CachingService::set`](super::CachingService::set).
    pub async fn set<T: Cacheable>(self, value: T) -> Receipt {
        let (inner, key) = (self.inner, self.key);
        inner.set(key, Arc::new(value), &self.plan(true), ValueType::of::<T>()).await
    }

    /// As [`EntryBuilder::set`], for a value of type `of`.
    pub(crate) async fn set_any(self, value: AnyValue, of: &'static ValueType) -> Receipt {
        let (inner, key) = (self.inner, self.key);
        inner.set(key, value, &self.plan(true), of).await
    }

    /// As [`CachingService::invalidate`](super::CachingService::invalidate).
    pub async fn invalidate(self) -> Receipt {
        self.inner.invalidate_keys(&[self.key]).await
    }

    /// As [`CachingService::invalidate`](super::CachingService::invalidate), and waits until every node has said that it has
    /// applied it, or may not serve what it holds any more. So from its return on no node serves an older value: the bound on
    /// staleness is zero.
    ///
    /// It costs one round trip for the invalidation, one for each node to acknowledge it, and two or more to see that all
    /// have: about a millisecond where all are well. For a node that has died or was cut off it waits until the node's
    /// registration, which each heartbeat renews, has lapsed; never longer than the
    /// [`staleness_bound`](super::CachingService::staleness_bound) of the node that has the longest. With [`Delivery::Queued`](crate::Delivery::Queued) nobody
    /// could be told, and it does not wait.
    ///
    /// Where Redis is new, was restarted, or has lost its data, it knows of no nodes but those that have said so since. For
    /// `staleness_bound` and a minute from then on this waits for `staleness_bound`, as if there were others that are cut off.
    ///
    /// A node that has never reached the shared tier, or not for a minute, is not known to anyone, and may serve what it has
    /// loaded itself for `isolated_ttl`. Where even that must not be, set
    /// [`isolated_ttl`](super::CachingServiceBuilder::isolated_ttl) to zero on all nodes: then a node that is cut off serves
    /// nothing from its near tier. Dropping the future ends the wait only.
    pub async fn invalidate_strict(self) -> Receipt {
        self.inner.invalidate_strict(self.key).await
    }

    /// As [`CachingService::get_or_load`](super::CachingService::get_or_load).
    ///
    /// # Errors
    /// As there.
    pub async fn get_or_load<T, E, F, Fut>(self, loader: F) -> Result<Arc<T>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.load(false, move |_| async move { loader().await.map(|value| Some(Loaded::from(value))) })
            .await
            .map(present)
    }

    /// As [`EntryBuilder::get_or_load`], for a source that may have no value: `None` is stored only with a
    /// [`Policy::negative_ttl`].
    ///
    /// # Errors
    /// As [`EntryBuilder::get_or_load`].
    pub async fn get_or_load_optional<T, E, F, Fut>(self, loader: F) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<T>, E>> + Send + 'static,
    {
        self.load(true, move |_| async move { loader().await.map(|value| value.map(Loaded::from)) }).await
    }

    /// As [`EntryBuilder::get_or_load`], for a loader that is told of the value it replaces, and can tell how its own is to be
    /// kept: it can ask the source whether anything has changed at all.
    ///
    /// There is a value to replace when it is loaded anew within a stale window or early; so set
    /// [`Policy::stale_while_revalidate`], [`Policy::stale_if_error`] or [`Policy::refresh_ahead`].
    ///
    /// ```
    /// use cache_core::Answer;
    /// # struct Reply { status: u16, body: String, etag: String, max_age: std::time::Duration }
    /// # async fn fetch(if_none_match: Option<&str>) -> Result<Reply, std::io::Error> { unimplemented!() }
    /// # async fn example(cache: cache_core::CachingService) -> Result<(), Box<dyn std::error::Error>> {
    /// let entry = cache.entry("page:home").stale_if_error(std::time::Duration::from_secs(3_600));
    /// let page = entry.load_with(|old| async move {
    ///     let reply = fetch(old.etag()).await?;
    ///     if reply.status == 304 {
    ///         return Ok(old.not_modified());
    ///     }
    ///     Ok::<_, std::io::Error>(Answer::value(reply.body).etag(reply.etag).ttl(reply.max_age))
    /// });
    /// let page: std::sync::Arc<String> = page.await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`EntryBuilder::get_or_load`].
    pub async fn load_with<T, E, F, Fut>(self, loader: F) -> Result<Arc<T>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce(LoadContext<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Answer<T>, E>> + Send + 'static,
    {
        self.load(false, move |context| async move { loader(context).await.map(Some) }).await.map(present)
    }

    /// As [`EntryBuilder::load_with`], for a source that may have no value.
    ///
    /// # Errors
    /// As [`EntryBuilder::get_or_load`].
    pub async fn load_with_optional<T, E, F, Fut>(self, loader: F) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce(LoadContext<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<Answer<T>>, E>> + Send + 'static,
    {
        self.load(true, loader).await
    }

    /// As [`EntryBuilder::get_or_load`], for a loader that borrows: it runs in the caller's task. If the caller goes away,
    /// so does its load, and one of those who waited for it takes over with its own.
    ///
    /// It cannot run in the background, so of the time policies `stale_if_error` alone works as for other loaders: a stale
    /// value is loaded anew by the caller that comes upon it, no caller is served before its own load ends, and nothing is
    /// loaded early. Callers that wait for the load of another are served a stale value as elsewhere.
    ///
    /// # Errors
    /// As [`EntryBuilder::get_or_load`].
    pub async fn get_or_load_inline<T, E, F, Fut>(self, loader: F) -> Result<Arc<T>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        let load = move || async move { loader().await.map(|value| Some(Loaded::from(value))) };
        self.load_inline(false, load).await.map(present)
    }

    /// As [`EntryBuilder::get_or_load_optional`], for a loader that borrows: see [`EntryBuilder::get_or_load_inline`].
    ///
    /// # Errors
    /// As [`EntryBuilder::get_or_load`].
    pub async fn get_or_load_optional_inline<T, E, F, Fut>(self, loader: F) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<Option<T>, E>> + Send,
    {
        self.load_inline(true, move || async move { loader().await.map(|value| value.map(Loaded::from)) }).await
    }

    /// The value, or what `loader` gives, which runs in a task of the service. Unless `optional`, an absence is no answer.
    pub(crate) async fn load<T, E, L, F, Fut>(self, optional: bool, loader: F) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        L: Into<AnyLoaded> + 'static,
        F: FnOnce(LoadContext<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<L>, E>> + Send + 'static,
    {
        let clock = &self.inner.clock;
        let erase = move || {
            let clock = Arc::clone(clock);
            Loader::Detached(erased_load(move |at_hand| loader(LoadContext::new(at_hand, clock.now()))))
        };
        self.answer(optional, true, erase).await
    }

    /// As [`EntryBuilder::load`], for a loader that borrows: see [`EntryBuilder::get_or_load_inline`].
    pub(crate) async fn load_inline<T, E, F, Fut>(
        self,
        optional: bool,
        loader: F,
    ) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<Option<Loaded<T>>, E>> + Send,
    {
        self.answer(optional, false, move || Loader::Inline(erased_load(move |_| loader()))).await
    }

    /// The near tier's value, or what comes of the way of a miss. `loader` is made only there. `behind` says whether it can run
    /// in the background.
    async fn answer<'l, T, E>(
        self,
        optional: bool,
        behind: bool,
        loader: impl FnOnce() -> Loader<'l> + Send,
    ) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
    {
        let near = match self.look_near(Caller { behind, optional }) {
            Near::Hit(value) => return Ok(Some(value)),
            Near::Absent => return Ok(None),
            near => near,
        };
        let (inner, key) = (self.inner, self.key);
        // Boxed, so that the future of a hit stays small.
        Box::pin(inner.go_on(near, key, self.plan(optional), loader())).await
    }

    /// The near tier's value, if it is fresh by every policy: without allocating.
    pub(crate) fn settled<T: Cacheable>(&self) -> Option<Arc<T>> {
        self.inner.settled_by(self.key, self.policy_in_use(), self.access())
    }

    /// Whether the near tier knows, freshly by every policy, that the source has no value: without allocating.
    pub(crate) fn settled_absence(&self) -> bool {
        self.inner.settled_absence_by(self.key, self.policy_in_use(), self.access())
    }

    /// What the near tier answers, for a call that says later how to load. `Err` if it has no answer, or one that is to be
    /// loaded anew in the background, which then is that of [`EntryBuilder::answer_miss`].
    pub(crate) fn look<T: Cacheable>(&self, optional: bool, behind: bool) -> Result<Option<AnyValue>, Option<AtOnce>> {
        match self.look_near::<T>(Caller { behind, optional }) {
            Near::Hit(value) => Ok(Some(value)),
            Near::Absent => Ok(None),
            Near::Due(value, due) => Err(Some(AtOnce { value, due })),
            Near::Miss => Err(None),
        }
    }

    /// What comes of the way of a miss; or the value that is there at once, which is then loaded anew in the background.
    pub(crate) fn answer_miss<'r, 'l: 'r>(
        self,
        types: Types,
        optional: bool,
        at_once: Option<AtOnce>,
        loader: Loader<'l>,
    ) -> Answering<'r>
    where
        'a: 'r,
    {
        let (inner, key, plan) = (self.inner, self.key, self.plan(optional));
        match at_once {
            Some(AtOnce { value, due }) => {
                inner.refresh(key, plan, types, due, loader);
                Box::pin(std::future::ready(Ok(Some(value))))
            }
            None => Box::pin(inner.load(key, plan, types, loader)),
        }
    }

    /// Invalidates the key, then loads it anew: callers that come meanwhile wait for this load.
    ///
    /// # Errors
    /// As [`EntryBuilder::get_or_load`]; the old value is gone nevertheless.
    pub async fn refresh<T, E, F, Fut>(self, loader: F) -> Result<Arc<T>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.clone().invalidate().await;
        self.get_or_load(loader).await
    }

    /// As [`EntryBuilder::refresh`], for a source that may have no value.
    ///
    /// # Errors
    /// As [`EntryBuilder::refresh`].
    pub async fn refresh_optional<T, E, F, Fut>(self, loader: F) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<T>, E>> + Send + 'static,
    {
        self.clone().invalidate().await;
        self.get_or_load_optional(loader).await
    }

    /// As [`EntryBuilder::refresh`], for a loader that borrows.
    ///
    /// # Errors
    /// As [`EntryBuilder::refresh`].
    pub async fn refresh_inline<T, E, F, Fut>(self, loader: F) -> Result<Arc<T>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        self.clone().invalidate().await;
        self.get_or_load_inline(loader).await
    }

    /// As [`EntryBuilder::refresh_optional`], for a loader that borrows.
    ///
    /// # Errors
    /// As [`EntryBuilder::refresh`].
    pub async fn refresh_optional_inline<T, E, F, Fut>(self, loader: F) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<Option<T>, E>> + Send,
    {
        self.clone().invalidate().await;
        self.get_or_load_optional_inline(loader).await
    }
}

/// A value that may be served, and is to be loaded anew in the background.
#[derive(Debug)]
pub(crate) struct AtOnce {
    value: AnyValue,
    due: Due,
}

/// A flight whose callers take no absence for an answer never ends with one.
fn present<T>(value: Option<Arc<T>>) -> Arc<T> {
    match value {
        Some(value) => value,
        None => unreachable!("a loader that gives a value gave none"),
    }
}
