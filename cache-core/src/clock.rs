//! Time, read through one door so that tests own it.
//!
//! Everything in this crate that compares ages or waits for a protocol interval asks a [`Clock`]. Bounds on single I/O
//! calls stay on Tokio's timer: they protect against a peer that hangs, which no manual clock can stand in for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

/// Milliseconds since the Unix epoch.
///
/// Frames carry timestamps between nodes, so nodes whose clocks differ by `s` disagree about freshness by `s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub const ZERO: Self = Self(0);
    /// Later than any time that a clock tells.
    pub const MAX: Self = Self(u64::MAX);

    /// The time `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time `duration` earlier; the epoch when that is before it.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// In UTC, as `2026-11-20T23:13:43.123Z`. The date is by Howard Hinnant's `civil_from_days`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, millis) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute) = (millis / 3_600_000, millis / 60_000 % 60);
        let (second, milli) = (millis / 1_000 % 60, millis % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// A future that completes when a [`Clock`] has advanced far enough.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source of time that never runs backwards within one process.
pub trait Clock: Send + Sync + 'static {
    /// The present.
    fn now(&self) -> Timestamp;

    /// The present, or a few milliseconds after it, where that is cheaper to tell: for what is asked at every hit, and must
    /// not be found fresh for too long. The default is [`Clock::now`].
    fn now_or_later(&self) -> Timestamp {
        self.now()
    }

    /// Completes `duration` from now. Dropping the future cancels the wait.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// The wall clock read once at start, carried forward by the monotonic clock.
///
/// On Linux, [`now_or_later`](Clock::now_or_later) reads the clock that the kernel moves on at each timer tick (1 to 10 ms)
/// and adds a tick. So it is at most two ticks and 3 ms ahead of [`now`](Clock::now). It is behind only while the kernel is
/// kept from its ticks, as a hypervisor may do with the machine as a whole.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    wall_at_start: Timestamp,
    ticks: Ticks,
}

impl SystemClock {
    /// A clock that starts from the present wall-clock time.
    #[must_use]
    pub fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_at_start = Timestamp::ZERO + wall;
        // The ticks first: a thread that is kept from running in between leaves them ahead, and not behind.
        let ticks = Ticks::new(wall_at_start);
        Self { started: Instant::now(), wall_at_start, ticks }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.wall_at_start + self.started.elapsed()
    }

    fn now_or_later(&self) -> Timestamp {
        self.ticks.now_or_later().unwrap_or_else(|| self.now())
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The kernel's clock of ticks, which is read without a conversion of the processor's own counter.
#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Ticks {
    /// What to add to what the clock tells, in milliseconds; `None` where it has no bound to its ticks.
    ahead: Option<u64>,
}

#[cfg(target_os = "linux")]
impl Ticks {
    /// The longest tick that Linux can be built with is 10 ms.
    const LONGEST_MILLIS: u64 = 20;

    fn new(now: Timestamp) -> Self {
        // Rounded up twice: the clock's own milliseconds are cut off, and so are those of `now`.
        let tick = millis(rustix::time::clock_getres(rustix::time::ClockId::MonotonicCoarse)) + 2;
        let ahead = now.as_millis().checked_sub(Self::read()).filter(|_| tick <= Self::LONGEST_MILLIS);
        Self { ahead: ahead.map(|ahead| ahead + tick) }
    }

    fn now_or_later(&self) -> Option<Timestamp> {
        self.ahead.map(|ahead| Timestamp(Self::read() + ahead))
    }

    fn read() -> u64 {
        millis(rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse))
    }
}

#[cfg(target_os = "linux")]
const fn millis(time: rustix::time::Timespec) -> u64 {
    // Neither is negative.
    time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000
}

/// Nothing that is cheaper than the clock.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
struct Ticks;

#[cfg(not(target_os = "linux"))]
impl Ticks {
    const fn new(_now: Timestamp) -> Self {
        Self
    }

    const fn now_or_later(&self) -> Option<Timestamp> {
        None
    }
}

/// A clock that moves only when a test advances it.
///
/// ```
/// use cache_core::clock::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now().since(before), Duration::from_secs(5));
/// ```
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Mutex<ManualTime>>,
}

struct ManualTime {
    now: Timestamp,
    sleepers: Vec<(Timestamp, oneshot::Sender<()>)>,
}

impl ManualClock {
    /// A clock that stands at an arbitrary fixed time.
    #[must_use]
    pub fn new() -> Self {
        let now = Timestamp::from_millis(1_700_000_000_000);
        Self { shared: Arc::new(Mutex::new(ManualTime { now, sleepers: Vec::new() })) }
    }

    /// Moves the clock on and wakes every sleeper whose time has come.
    pub fn advance(&self, by: Duration) {
        let mut time = self.lock();
        time.now = time.now + by;
        let now = time.now;
        let (due, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut time.sleepers).into_iter().partition(|(at, _)| *at <= now);
        time.sleepers = waiting;
        drop(time);
        for (_, wake) in due {
            // A sleeper that was dropped needs no waking.
            let _ = wake.send(());
        }
    }

    /// How many futures from [`Clock::sleep`] are waiting now.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.lock().sleepers.iter().filter(|(_, wake)| !wake.is_closed()).count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ManualTime> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("now", &self.lock().now).finish_non_exhaustive()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let (wake, woken) = oneshot::channel();
        let mut time = self.lock();
        let at = time.now + duration;
        if at > time.now {
            time.sleepers.push((at, wake));
        } else {
            let _ = wake.send(());
        }
        drop(time);
        Box::pin(async move {
            // An error means that the clock is gone, and with it every reason to wait.
            let _ = woken.await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_sleep_ends_when_the_clock_has_advanced_far_enough() {
        let clock = ManualClock::new();
        let mut sleep = clock.sleep(Duration::from_secs(2));
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.sleepers(), 1);
        assert!(futures_util::poll!(&mut sleep).is_pending());
        clock.advance(Duration::from_secs(1));
        sleep.await;
        assert_eq!(clock.sleepers(), 0);
    }

    #[test]
    fn a_timestamp_is_shown_as_a_date() {
        for (millis, shown) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), shown);
        }
    }

    #[test]
    fn a_timestamp_saturates() {
        assert_eq!(Timestamp::MAX + Duration::from_secs(1), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO.since(Timestamp::MAX), Duration::ZERO);
    }
}
