//! How long a value lives and what a load may cost.

use std::time::Duration;

use crate::error::Error;
use crate::tags::Tags;

/// How an entry is kept. Set for a service, and changed per call with [`entry`](crate::CachingService::entry).
///
/// ```
/// use cache_core::Policy;
/// use std::time::Duration;
///
/// let policy = Policy::new(Duration::from_secs(300))
///     .local_ttl(Duration::from_secs(30))
///     .negative_ttl(Duration::from_secs(5));
/// assert_eq!(policy.ttl(), Duration::from_secs(300));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    ttl: Duration,
    local_ttl: Option<Duration>,
    negative_ttl: Option<Duration>,
    jitter: f64,
    load_timeout: Duration,
    schema: u32,
    tags: Tags,
}

impl Policy {
    /// The time to live of a service that was given no policy: 5 minutes.
    pub const DEFAULT_TTL: Duration = Duration::from_secs(300);
    /// The default bound on a load: 30 seconds.
    pub const DEFAULT_LOAD_TIMEOUT: Duration = Duration::from_secs(30);
    /// The default jitter: each time to live is off by up to a tenth.
    pub const DEFAULT_JITTER: f64 = 0.1;

    /// Values live for `ttl`, give or take the jitter. A value whose time to live is zero is not stored.
    #[must_use]
    pub const fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            local_ttl: None,
            negative_ttl: None,
            jitter: Self::DEFAULT_JITTER,
            load_timeout: Self::DEFAULT_LOAD_TIMEOUT,
            schema: 0,
            tags: Tags::NONE,
        }
    }

    /// The same policy with this time to live.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Near tiers keep a value no longer than this. Default: as long as the far tiers. An entry of a near tier never
    /// outlives its far entry, whatever this says.
    #[must_use]
    pub const fn local_ttl(mut self, ttl: Duration) -> Self {
        self.local_ttl = Some(ttl);
        self
    }

    /// An absence (`None`) is stored for this long. Default: not stored.
    #[must_use]
    pub const fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.negative_ttl = Some(ttl);
        self
    }

    /// Each time to live is drawn from `ttl * (1 - fraction)` to `ttl * (1 + fraction)`, so that entries stored together
    /// do not expire together. Default: 0.1. At least 0 and less than 1.
    #[must_use]
    pub const fn jitter(mut self, fraction: f64) -> Self {
        self.jitter = fraction;
        self
    }

    /// A load that takes longer than this fails with [`LoadError::TimedOut`](crate::LoadError::TimedOut) and frees its
    /// key. Default: 30 seconds.
    #[must_use]
    pub const fn load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = timeout;
        self
    }

    /// The version of the value's type. A stored value of another version is a miss, so raise it when the type changes in
    /// a way that old bytes would be misread. Default: 0.
    #[must_use]
    pub const fn schema(mut self, version: u32) -> Self {
        self.schema = version;
        self
    }

    /// Entries have these tags, by which [`invalidate_tags`](crate::CachingService::invalidate_tags) finds them. Default:
    /// none.
    #[must_use]
    pub fn tags(mut self, tags: impl IntoIterator<Item: AsRef<str>>) -> Self {
        self.tags = Tags::new(tags);
        self
    }

    /// How long values live, before jitter.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    pub(crate) const fn load_limit(&self) -> Duration {
        self.load_timeout
    }

    pub(crate) const fn tag_slots(&self) -> &Tags {
        &self.tags
    }

    pub(crate) const fn schema_version(&self) -> u32 {
        self.schema
    }

    /// How long to store a value (or, where `absent`, an absence): once drawn, it holds for every tier. Zero: not at all.
    pub(crate) fn draw_ttl(&self, absent: bool) -> Duration {
        let ttl = if absent { self.negative_ttl.unwrap_or_default() } else { self.ttl };
        let jitter = if self.jitter.is_finite() { self.jitter.clamp(0.0, 0.999) } else { 0.0 };
        ttl.mul_f64(1.0 + jitter * fastrand::f64().mul_add(2.0, -1.0))
    }

    /// How long a near tier may keep what far tiers keep for `ttl` more.
    pub(crate) fn near_ttl(&self, ttl: Duration) -> Duration {
        self.local_ttl.map_or(ttl, |local| local.min(ttl))
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.ttl.is_zero() {
            return Err(Error::configuration("policy: ttl is 0 s, so nothing would be stored; give it at least 1 ms"));
        }
        if let Some(local) = self.local_ttl.filter(|local| *local > self.ttl) {
            let ttl = self.ttl;
            return Err(Error::configuration(format!(
                "policy: local_ttl ({local:?}) is longer than ttl ({ttl:?}); lower local_ttl or raise ttl"
            )));
        }
        if !(0.0..1.0).contains(&self.jitter) {
            let jitter = self.jitter;
            return Err(Error::configuration(format!("policy: jitter ({jitter}) must be at least 0 and less than 1")));
        }
        if self.load_timeout.is_zero() {
            return Err(Error::configuration(
                "policy: load_timeout is 0 s, so no load could end; give it at least 1 ms",
            ));
        }
        Ok(())
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new(Self::DEFAULT_TTL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_drawn_ttl_stays_within_the_jitter() {
        let policy = Policy::new(MINUTE).jitter(0.5);
        let drawn: Vec<Duration> = (0..1_000).map(|_| policy.draw_ttl(false)).collect();
        assert!(drawn.iter().all(|ttl| (MINUTE / 2..=MINUTE * 3 / 2).contains(ttl)));
        assert!(drawn.iter().any(|ttl| *ttl < MINUTE) && drawn.iter().any(|ttl| *ttl > MINUTE));
        assert_eq!(policy.jitter(0.0).draw_ttl(false), MINUTE);
    }

    #[test]
    fn an_absence_is_stored_only_with_a_negative_ttl() {
        assert_eq!(Policy::new(MINUTE).draw_ttl(true), Duration::ZERO);
        assert_eq!(Policy::new(MINUTE).negative_ttl(MINUTE).jitter(0.0).draw_ttl(true), MINUTE);
    }

    #[test]
    fn a_near_entry_never_outlives_the_far_one() {
        assert_eq!(Policy::new(MINUTE).local_ttl(MINUTE / 2).near_ttl(MINUTE), MINUTE / 2);
        assert_eq!(Policy::new(MINUTE).local_ttl(MINUTE / 2).near_ttl(MINUTE / 4), MINUTE / 4);
        assert_eq!(Policy::new(MINUTE).near_ttl(MINUTE / 4), MINUTE / 4);
    }

    #[test]
    fn a_policy_that_contradicts_itself_names_both_settings() {
        let error = Policy::new(MINUTE).local_ttl(MINUTE * 2).check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "policy: local_ttl (120s) is longer than ttl (60s); lower local_ttl or raise ttl"
        );
        assert!(Policy::new(Duration::ZERO).check().is_err());
        assert!(Policy::new(MINUTE).jitter(1.0).check().is_err());
        assert!(Policy::new(MINUTE).jitter(f64::NAN).check().is_err());
        assert!(Policy::new(MINUTE).load_timeout(Duration::ZERO).check().is_err());
        assert!(Policy::default().check().is_ok());
    }
}
