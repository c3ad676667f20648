//! How a call differs from what the service's default policy says.

use std::time::Duration;

use super::EntryBuilder;
use crate::policy::Policy;

impl EntryBuilder<'_> {
    /// Uses `policy` in place of the service's default.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.chosen.policy = Some(policy);
        self
    }

    /// As [`Policy::with_ttl`].
    pub fn ttl(self, ttl: Duration) -> Self {
        self.change(|policy| policy.with_ttl(ttl))
    }

    /// As [`Policy::local_ttl`].
    pub fn local_ttl(self, ttl: Duration) -> Self {
        self.change(|policy| policy.local_ttl(ttl))
    }

    /// As [`Policy::negative_ttl`].
    pub fn negative_ttl(self, ttl: Duration) -> Self {
        self.change(|policy| policy.negative_ttl(ttl))
    }

    /// As [`Policy::jitter`]; a fraction out of range is brought into it.
    pub fn jitter(self, fraction: f64) -> Self {
        self.change(|policy| policy.jitter(fraction))
    }

    /// As [`Policy::stale_while_revalidate`].
    pub fn stale_while_revalidate(self, window: Duration) -> Self {
        self.change(|policy| policy.stale_while_revalidate(window))
    }

    /// As [`Policy::stale_if_error`].
    pub fn stale_if_error(self, window: Duration) -> Self {
        self.change(|policy| policy.stale_if_error(window))
    }

    /// As [`Policy::error_throttle`].
    pub fn error_throttle(self, throttle: Duration) -> Self {
        self.change(|policy| policy.error_throttle(throttle))
    }

    /// As [`Policy::soft_timeout`].
    pub fn soft_timeout(self, timeout: Duration) -> Self {
        self.change(|policy| policy.soft_timeout(timeout))
    }

    /// As [`Policy::refresh_ahead`].
    pub fn refresh_ahead(self, beta: f64) -> Self {
        self.change(|policy| policy.refresh_ahead(beta))
    }

    /// As [`Policy::load_timeout`].
    pub fn load_timeout(self, timeout: Duration) -> Self {
        self.change(|policy| policy.load_timeout(timeout))
    }

    /// As [`Policy::schema`].
    pub fn schema(self, version: u32) -> Self {
        self.change(|policy| policy.schema(version))
    }

    /// As [`Policy::tags`].
    pub fn tags(self, tags: impl IntoIterator<Item: AsRef<str>>) -> Self {
        self.change(|policy| policy.tags(tags))
    }

    /// A `set` of this entry does not replace a value that was set with a higher version, in any tier of any node, and
    /// replaces any other. Use a number that grows with each change in the source, such as a row's version.
    ///
    /// The highest version is `u64::MAX - 1`; `u64::MAX` counts as that.
    ///
    /// It holds against what is stored: once the newer value has expired or was invalidated, any version is taken.
    /// A load of this entry gives what is no older than what it replaces, so that version stays. While the shared tier is away nobody
    /// can compare, and the value is kept nowhere. Tiers that are not shared and cannot compare drop the value instead. If the shared tier is not to store it
    /// ([`skip_write`](Self::skip_write)), the value is kept nowhere.
    pub const fn version(mut self, version: u64) -> Self {
        self.chosen.version = Some(version);
        self
    }

    /// A `set` of this entry sends the value to the near tiers of all nodes, for data that every node is about to read. A
    /// node that does not get it (it is cut off, or has a change of its own under way) is told of the change as usual and
    /// reads the value from the shared tier.
    ///
    /// In a Redis Cluster a value with a [`version`](Self::version) is not sent, and all nodes are told of the change as usual:
    /// there a newer one may be set before it is known to be older.
    ///
    /// The value goes to every node through the bus, so this is for small values:
    /// [`replica_max_bytes`](crate::CachingServiceBuilder::replica_max_bytes).
    pub const fn replicate(mut self) -> Self {
        self.chosen.replicate = true;
        self
    }

    /// As [`Policy::max_value_bytes`].
    pub fn max_value_bytes(self, bytes: u64) -> Self {
        self.change(|policy| policy.max_value_bytes(bytes))
    }

    /// As [`Policy::local_only`]. This and the settings below are added to those of the policy: a tier that either leaves out
    /// is left out, and with this and [`remote_only`](Self::remote_only) every tier is.
    pub const fn local_only(mut self) -> Self {
        self.chosen.local_only = true;
        self.chosen.access = self.chosen.access.without_far();
        self
    }

    /// As [`Policy::remote_only`].
    pub const fn remote_only(mut self) -> Self {
        self.chosen.access = self.chosen.access.without_near();
        self
    }

    /// As [`Policy::skip_read`]. Nothing is skipped if there is no tier of this name.
    pub fn skip_read(mut self, tier: &str) -> Self {
        if let Some(tier) = self.inner.tier_named(tier) {
            self.chosen.access = self.chosen.access.without_reading(tier);
        }
        self
    }

    /// As [`Policy::skip_write`]. Nothing is skipped if there is no tier of this name.
    pub fn skip_write(mut self, tier: &str) -> Self {
        if let Some(tier) = self.inner.tier_named(tier) {
            self.chosen.access = self.chosen.access.without_writing(tier);
        }
        self
    }

    fn change(mut self, change: impl FnOnce(Policy) -> Policy) -> Self {
        let policy = self.chosen.policy.take().unwrap_or_else(|| self.inner.policy.clone());
        self.chosen.policy = Some(change(policy));
        self
    }
}
