//! What an annotated function asks the cache, in one piece that borrows nothing.

use std::sync::Arc;
use std::time::Duration;

use super::key::KeyBuffer;
use crate::erased::{AnyOutcome, AnyValue, Types, ValueType};
use crate::service::{Answering, AtOnce, Cacheable, CachingService, Chosen, EntryBuilder, Inner, Loader};
use crate::{Policy, Receipt};

/// A key, the service that is asked for it, and the policies of the function. It is an [`EntryBuilder`] that owns what it names.
pub struct Call {
    inner: Arc<Inner>,
    key: KeyBuffer,
    chosen: Chosen,
}

impl Call {
    /// A call with the policies of the service.
    #[must_use]
    pub fn new<B>(service: &CachingService<B>, key: KeyBuffer) -> Self {
        Self::of(Arc::clone(service.inner()), key)
    }

    fn of(inner: Arc<Inner>, key: KeyBuffer) -> Self {
        Self { inner, key, chosen: Chosen::DEFAULT }
    }

    /// The entry, which takes what was chosen along.
    pub(super) fn entry(&mut self) -> EntryBuilder<'_> {
        EntryBuilder::new(&self.inner, self.key.as_str(), std::mem::replace(&mut self.chosen, Chosen::DEFAULT))
    }

    /// The near tier's value, if it is fresh by every policy.
    pub(super) fn settled<T: Cacheable>(&mut self) -> Option<Arc<T>> {
        let entry = self.entry();
        let settled = entry.settled();
        self.chosen = entry.into_chosen();
        settled
    }

    /// Whether the near tier knows, freshly by every policy, that there is no value.
    pub(super) fn settled_absence(&mut self) -> bool {
        let entry = self.entry();
        let absent = entry.settled_absence();
        self.chosen = entry.into_chosen();
        absent
    }

    fn change(mut self, change: impl FnOnce(EntryBuilder<'_>) -> EntryBuilder<'_>) -> Self {
        self.chosen = change(self.entry()).into_chosen();
        self
    }

    /// As [`EntryBuilder::tags`].
    #[must_use]
    pub fn tags(self, tags: impl IntoIterator<Item: AsRef<str>>) -> Self {
        self.change(|entry| entry.tags(tags))
    }

    /// As [`EntryBuilder::invalidate`].
    pub async fn invalidate(mut self) -> Receipt {
        self.entry().invalidate().await
    }

    /// Stores a value.
    pub(super) async fn set(mut self, value: AnyValue, of: &'static ValueType) -> Receipt {
        self.entry().set_any(value, of).await
    }

    /// The near tier's value, else what comes of the way of a miss.
    pub(super) fn answer<'l, T: Cacheable>(
        mut self,
        types: Types,
        optional: bool,
        loader: Loader<'l>,
    ) -> Answering<'l> {
        let behind = matches!(loader, Loader::Detached(_));
        let entry = self.entry();
        let looked = entry.look::<T>(optional, behind);
        self.chosen = entry.into_chosen();
        self.answer_from(looked, types, optional, loader)
    }

    fn answer_from<'l>(
        mut self,
        looked: Result<Option<AnyValue>, Option<AtOnce>>,
        types: Types,
        optional: bool,
        loader: Loader<'l>,
    ) -> Answering<'l> {
        Box::pin(async move {
            match looked {
                Ok(value) => Ok(value) as AnyOutcome,
                Err(at_once) => self.entry().answer_miss(types, optional, at_once, loader).await,
            }
        })
    }
}

macro_rules! settings {
    ($($name:ident($($value:ident: $type:ty)?);)*) => {
        impl Call {
            $(
                #[doc = concat!("As [`EntryBuilder::", stringify!($name), "`].")]
                #[must_use]
                pub fn $name(self $(, $value: $type)?) -> Self {
                    self.change(|entry| entry.$name($($value)?))
                }
            )*
        }
    };
}

settings! {
    policy(policy: Policy);
    ttl(ttl: Duration);
    local_ttl(ttl: Duration);
    negative_ttl(ttl: Duration);
    jitter(fraction: f64);
    stale_while_revalidate(window: Duration);
    stale_if_error(window: Duration);
    error_throttle(throttle: Duration);
    soft_timeout(timeout: Duration);
    load_timeout(timeout: Duration);
    refresh_ahead(beta: f64);
    schema(version: u32);
    max_value_bytes(bytes: u64);
    local_only();
    remote_only();
    skip_read(tier: &str);
    skip_write(tier: &str);
}
