//! How long a value lives and what a load may cost.

use std::time::Duration;

use crate::error::Error;
use crate::selection::Selection;
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
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
    error_throttle: Option<Duration>,
    soft_timeout: Option<Duration>,
    refresh_ahead: f64,
    load_timeout: Duration,
    schema: u32,
    tags: Tags,
    max_value_bytes: Option<u64>,
    selection: Selection,
}

impl Policy {
    /// The time to live of a service that was given no policy: 5 minutes.
    pub const DEFAULT_TTL: Duration = Duration::from_secs(300);
    /// The default bound on a load: 30 seconds.
    pub const DEFAULT_LOAD_TIMEOUT: Duration = Duration::from_secs(30);
    /// The default jitter: each time to live is off by up to a tenth.
    pub const DEFAULT_JITTER: f64 = 0.1;
    /// The default time between a load that failed and the next attempt: 1 second.
    pub const DEFAULT_ERROR_THROTTLE: Duration = Duration::from_secs(1);

    /// Values live for `ttl`, give or take the jitter. A value whose time to live is zero is not stored.
    #[must_use]
    pub const fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            local_ttl: None,
            negative_ttl: None,
            jitter: Self::DEFAULT_JITTER,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            error_throttle: None,
            soft_timeout: None,
            refresh_ahead: 0.0,
            load_timeout: Self::DEFAULT_LOAD_TIMEOUT,
            schema: 0,
            tags: Tags::NONE,
            max_value_bytes: None,
            selection: Selection::ALL,
        }
    }

    /// The same policy with this time to live.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Near tiers keep a value no longer than this. Default: as long as the far tiers. An entry of a near tier never
    /// outlives its far entry, whatever this says. It holds for stale values as well: what is to be served stale by a near tier
    /// alone needs it unset.
    #[must_use]
    pub const fn local_ttl(mut self, ttl: Duration) -> Self {
        self.local_ttl = Some(ttl);
        self
    }

    /// An absence (`None`) is stored for this long, which may be longer than the time to live of values. Default: not
    /// stored. An absence is never served stale.
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

    /// A value whose time to live has passed is served for this long more, while it is loaded anew in the background, by one
    /// node for all. Default: not at all.
    ///
    /// So many as 1,024 refreshes run at once in one service. A loader that borrows cannot run in the background; its caller
    /// waits for it, as if this were not set. Calls without a loader are not given stale values.
    #[must_use]
    pub const fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = window;
        self
    }

    /// For this long after its time to live has passed, a value is served where loading it anew fails, panics or times out.
    /// Default: not at all. It begins where the time to live ends, as [`Policy::stale_while_revalidate`] does; the tiers keep
    /// the value for the longer of the two.
    #[must_use]
    pub const fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = window;
        self
    }

    /// After a load that failed while there was a stale value, nobody on any node tries again before this has passed; callers
    /// are served the stale value meanwhile. Default: 1 second, or the longer of `stale_if_error` and `stale_while_revalidate`
    /// where that is shorter.
    #[must_use]
    pub const fn error_throttle(mut self, throttle: Duration) -> Self {
        self.error_throttle = Some(throttle);
        self
    }

    /// A caller that has waited this long for a load is served the stale value, if there is one; the load goes on and is
    /// stored. Default: it waits for the load.
    ///
    /// A loader that borrows is waited for nevertheless, since it runs in its caller.
    #[must_use]
    pub const fn soft_timeout(mut self, timeout: Duration) -> Self {
        self.soft_timeout = Some(timeout);
        self
    }

    /// Loads a value anew in the background before its time to live has passed, at a moment drawn at each hit, so that no
    /// caller of a key in demand meets it stale: XFetch (Vattani, Chierichetti, Lowenstein, PVLDB 8(8), 2015). The longer the
    /// load took the last time, the earlier; `beta` scales that: 1 is usual, more is earlier, 0 is off. Default: 0.
    ///
    /// It is drawn for values that were loaded, or read from a far tier, under a policy with this setting. A loader that borrows
    /// never loads early, and an absence is never loaded early.
    #[must_use]
    pub const fn refresh_ahead(mut self, beta: f64) -> Self {
        self.refresh_ahead = beta;
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

    /// A value that takes more bytes than this, as encoded (so after compression), is given to its callers and stored in no
    /// tier; a far tier's entry that is longer is not decoded, and counts as a miss. Both are counted in
    /// [`Stats::too_large`](crate::Stats::too_large). Default: no bound. At least 1.
    ///
    /// A value that is stored in near tiers alone is encoded as well, to see how long it is. Where there is no codec, the
    /// size of its type counts, without what it points to.
    #[must_use]
    pub const fn max_value_bytes(mut self, bytes: u64) -> Self {
        self.max_value_bytes = Some(bytes);
        self
    }

    /// Leaves the far tiers out, as if there were none: they are neither read nor written, and other nodes do not hear of a
    /// `set`. Default: off.
    ///
    /// This and the settings below choose where values are looked for and kept. An invalidation never skips a tier.
    #[must_use]
    pub const fn local_only(mut self) -> Self {
        self.selection.local_only = true;
        self
    }

    /// Leaves the near tier out: it is neither read nor filled. A `set` removes what it holds. Default: off.
    #[must_use]
    pub const fn remote_only(mut self) -> Self {
        self.selection.remote_only = true;
        self
    }

    /// Does not read the tier of this name ([`CacheTier::name`](crate::CacheTier::name), such as `"local"` or `"redis"`),
    /// so that a read goes on to the next one, and at last to the loader. What is found there fills the tier anew. Default:
    /// every tier is read.
    ///
    /// With the shared tier skipped a load still takes the lease, over what the tier holds, and replaces it: it is a way
    /// to load a key anew.
    #[must_use]
    pub fn skip_read(mut self, tier: &'static str) -> Self {
        self.selection.unread.push(tier);
        self
    }

    /// Does not store values in the tier of this name. Default: they are stored in every tier.
    ///
    /// A `set` still removes what the tier holds, and tells the other nodes, since it would be older than the value that was
    /// set. A load that does not write to the shared tier takes no lease, so each node loads a cold key for itself.
    #[must_use]
    pub fn skip_write(mut self, tier: &'static str) -> Self {
        self.selection.unwritten.push(tier);
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

    pub(crate) const fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Whether a value of so many bytes may be stored, and read.
    pub(crate) fn admits(&self, bytes: u64) -> bool {
        self.max_value_bytes.is_none_or(|most| bytes <= most)
    }

    /// Whether values have to be measured before they are stored.
    pub(crate) const fn is_bounded(&self) -> bool {
        self.max_value_bytes.is_some()
    }

    pub(crate) const fn tag_slots(&self) -> &Tags {
        &self.tags
    }

    pub(crate) const fn schema_version(&self) -> u32 {
        self.schema
    }

    /// How long a loaded value lives, or an absence where there is none, but no longer than `most`: once drawn, it holds for
    /// every tier. The value's loader may have told another time to live.
    pub(crate) fn draw_life(&self, value: Option<Option<Duration>>, most: Duration) -> Life {
        let (ttl, stale) = match value {
            Some(told) => (told.unwrap_or(self.ttl), self.stale_window()),
            None => (self.negative_ttl.unwrap_or_default(), Duration::ZERO),
        };
        let jitter = if self.jitter.is_finite() { self.jitter.clamp(0.0, 0.999) } else { 0.0 };
        let drawn = ttl.min(most).as_secs_f64() * (1.0 + jitter * fastrand::f64().mul_add(2.0, -1.0));
        // What is too long for a duration is longer than `most`.
        let fresh = Duration::try_from_secs_f64(drawn).unwrap_or(most).min(most);
        Life { fresh, stale: if fresh.is_zero() { fresh } else { stale.min(most - fresh) } }
    }

    /// How long a near tier may keep what far tiers keep for `ttl` more.
    pub(crate) fn near_ttl(&self, ttl: Duration) -> Duration {
        self.local_ttl.map_or(ttl, |local| local.min(ttl))
    }

    /// What cannot be meant is an error that names the settings and the fix. A call whose own policy fails this is made
    /// nevertheless: each setting is then brought into the range in which it makes sense.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.contradiction() {
            Some(contradiction) => Err(Error::configuration(format!("policy: {contradiction}"))),
            None => Ok(()),
        }
    }

    fn contradiction(&self) -> Option<String> {
        let Self { ttl, jitter, load_timeout, refresh_ahead: beta, .. } = self;
        if ttl.is_zero() {
            return Some("ttl is 0 s, so nothing would be stored; give it at least 1 ms".to_owned());
        }
        if let Some(local) = self.local_ttl.filter(|local| local > ttl) {
            return Some(format!("local_ttl ({local:?}) is longer than ttl ({ttl:?}); lower local_ttl or raise ttl"));
        }
        if !(0.0..1.0).contains(jitter) {
            return Some(format!("jitter ({jitter}) must be at least 0 and less than 1"));
        }
        if load_timeout.is_zero() {
            return Some("load_timeout is 0 s, so no load could end; give it at least 1 ms".to_owned());
        }
        if self.max_value_bytes == Some(0) {
            return Some(
                "max_value_bytes is 0, so no value would be stored; give it at least 1, or leave it out for no bound"
                    .to_owned(),
            );
        }
        if let Some(contradiction) = self.selection.contradiction() {
            return Some(contradiction.to_owned());
        }
        if !beta.is_finite() || *beta < 0.0 {
            return Some(format!(
                "refresh_ahead ({beta}) must be a finite number, and not negative; 1 is usual, 0 is off"
            ));
        }
        if let Some(soft) = self.soft_timeout {
            if self.stale_window().is_zero() {
                return Some(format!(
                    "soft_timeout ({soft:?}) needs a stale value to serve, and stale_if_error and stale_while_revalidate are \
                     0 s; set one of them or remove soft_timeout"
                ));
            }
            if soft >= *load_timeout {
                return Some(format!(
                    "soft_timeout ({soft:?}) is not shorter than load_timeout ({load_timeout:?}); lower soft_timeout or raise \
                     load_timeout"
                ));
            }
        }
        let window = self.stale_window();
        let throttle = self.error_throttle.filter(|throttle| *throttle > window && !(window.is_zero() && *beta > 0.0));
        throttle.map(|throttle| {
            let longer = self.stale_while_revalidate > self.stale_if_error;
            let name = if longer { "stale_while_revalidate" } else { "stale_if_error" };
            format!(
                "error_throttle ({throttle:?}) is longer than {name} ({window:?}), so the value would be gone before it is loaded \
                 again; lower error_throttle or raise {name}"
            )
        })
    }

    /// For how long after its time to live a value may be served stale, for one reason or another.
    pub(crate) fn stale_window(&self) -> Duration {
        self.stale_while_revalidate.max(self.stale_if_error)
    }

    /// For how long after its time to live a value may be served without waiting for a load.
    pub(crate) const fn revalidate_window(&self) -> Duration {
        self.stale_while_revalidate
    }

    /// How long a caller waits for a load when there is a stale value.
    pub(crate) const fn soft_limit(&self) -> Option<Duration> {
        self.soft_timeout
    }

    /// How long nobody tries again after a load has failed for which there was another value to serve.
    pub(crate) fn throttle(&self) -> Duration {
        let window = self.stale_window();
        let within = if window.is_zero() { Duration::MAX } else { window };
        self.error_throttle.unwrap_or(Self::DEFAULT_ERROR_THROTTLE).min(within)
    }

    /// How early to refresh; 0 for not at all.
    pub(crate) fn beta(&self) -> f64 {
        if self.refresh_ahead.is_finite() { self.refresh_ahead.max(0.0) } else { 0.0 }
    }
}

/// How long a value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// For this long it is fresh.
    pub(crate) fresh: Duration,
    /// For this long after that it may be served stale.
    pub(crate) stale: Duration,
}

impl Life {
    /// Whether it is not to be stored at all.
    pub(crate) const fn is_none(self) -> bool {
        self.fresh.is_zero()
    }

    pub(crate) fn total(self) -> Duration {
        self.fresh.saturating_add(self.stale)
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
        let drawn: Vec<Duration> = (0..1_000).map(|_| policy.draw_life(Some(None), Duration::MAX).fresh).collect();
        assert!(drawn.iter().all(|ttl| (MINUTE / 2..=MINUTE * 3 / 2).contains(ttl)));
        assert!(drawn.iter().any(|ttl| *ttl < MINUTE) && drawn.iter().any(|ttl| *ttl > MINUTE));
        assert_eq!(policy.jitter(0.0).draw_life(Some(None), Duration::MAX).fresh, MINUTE);
    }

    #[test]
    fn what_lives_for_ever_can_be_drawn() {
        for jitter in [0.0, 0.1, 0.999] {
            let policy = Policy::new(Duration::MAX).jitter(jitter).stale_if_error(Duration::MAX);
            for life in (0..100).map(|_| policy.draw_life(Some(None), Duration::MAX)) {
                assert!(life.fresh >= Duration::MAX / 2_000 && life.total() <= Duration::MAX, "{life:?}");
            }
        }
    }

    #[test]
    fn an_absence_is_stored_only_with_a_negative_ttl() {
        assert!(Policy::new(MINUTE).stale_if_error(MINUTE).draw_life(None, Duration::MAX).is_none());
        let policy = Policy::new(MINUTE).stale_if_error(MINUTE).negative_ttl(MINUTE * 2).jitter(0.0);
        let life = Life { fresh: MINUTE * 2, stale: Duration::ZERO };
        assert_eq!(policy.draw_life(None, Duration::MAX), life, "and is never stale");
    }

    #[test]
    fn a_value_is_kept_for_the_longer_of_its_stale_windows() {
        let policy = Policy::new(MINUTE).jitter(0.0).stale_if_error(MINUTE * 3).stale_while_revalidate(MINUTE);
        assert_eq!(policy.draw_life(Some(None), Duration::MAX), Life { fresh: MINUTE, stale: MINUTE * 3 });
        assert_eq!(
            policy.draw_life(Some(Some(MINUTE * 2)), Duration::MAX),
            Life { fresh: MINUTE * 2, stale: MINUTE * 3 }
        );
        assert_eq!(policy.draw_life(Some(None), MINUTE * 2), Life { fresh: MINUTE, stale: MINUTE });
        assert_eq!(policy.draw_life(Some(None), MINUTE / 2), Life { fresh: MINUTE / 2, stale: Duration::ZERO });
        assert!(policy.draw_life(Some(Some(Duration::ZERO)), Duration::MAX).is_none());
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
        assert!(Policy::new(MINUTE).max_value_bytes(0).check().is_err());
        let error = Policy::new(MINUTE).local_only().remote_only().check().unwrap_err();
        assert!(error.to_string().starts_with("policy: local_only and remote_only leave no tier"), "{error}");
        assert!(Policy::default().check().is_ok());
    }

    #[test]
    fn a_time_policy_that_contradicts_itself_names_both_settings_and_the_fix() {
        let policy = Policy::new(MINUTE);
        for (policy, expected) in [
            (
                policy.clone().stale_if_error(MINUTE).soft_timeout(MINUTE),
                "soft_timeout (60s) is not shorter than load_timeout (30s); lower soft_timeout or raise load_timeout",
            ),
            (
                policy.clone().soft_timeout(MINUTE / 60),
                "soft_timeout (1s) needs a stale value to serve, and stale_if_error and stale_while_revalidate are 0 s; set one \
                 of them or remove soft_timeout",
            ),
            (
                policy.clone().stale_if_error(MINUTE).error_throttle(MINUTE * 2),
                "error_throttle (120s) is longer than stale_if_error (60s), so the value would be gone before it is loaded \
                 again; lower error_throttle or raise stale_if_error",
            ),
            (
                policy.clone().stale_if_error(MINUTE).stale_while_revalidate(MINUTE * 2).error_throttle(MINUTE * 3),
                "error_throttle (180s) is longer than stale_while_revalidate (120s), so the value would be gone before it is \
                 loaded again; lower error_throttle or raise stale_while_revalidate",
            ),
            (
                policy.clone().refresh_ahead(-1.0),
                "refresh_ahead (-1) must be a finite number, and not negative; 1 is usual, 0 is off",
            ),
        ] {
            assert_eq!(policy.check().unwrap_err().to_string(), format!("policy: {expected}"));
        }
        assert!(policy.clone().refresh_ahead(f64::NAN).check().is_err());
        assert!(policy.clone().refresh_ahead(f64::INFINITY).check().is_err());
        let whole = policy.stale_while_revalidate(MINUTE).stale_if_error(MINUTE * 10).error_throttle(MINUTE / 6);
        let whole = whole.soft_timeout(MINUTE / 600).refresh_ahead(1.0).negative_ttl(MINUTE * 2);
        assert!(whole.check().is_ok(), "also an absence that is kept for longer than values are");
        assert!(Policy::new(MINUTE).stale_if_error(MINUTE / 120).check().is_ok(), "shorter than the default throttle");
    }
}
