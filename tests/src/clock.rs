//! The harness's only clock, and its only way to wait.
//!
//! Times are `CLOCK_MONOTONIC`, as in the daemon and in the kernel, so that what was seen in different places (the client,
//! the cloud, a capture) lies on one line.

use std::{
    fmt,
    ops::{Add, Sub},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, ensure};
use nix::time::{ClockId, clock_gettime};
use tokio::time::{Interval, MissedTickBehavior};

/// How often [`poll`] looks.
const POLL: Duration = Duration::from_millis(1);

/// A moment of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(Duration);

impl Moment {
    /// Now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the harness's clock")]
    pub fn now() -> Self {
        // clock_gettime fails only for a clock that does not exist.
        Self(clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from))
    }

    /// The moment that lies this long after the clock's zero, as the kernel's `ktime` counts it.
    #[must_use]
    pub fn from_clock(since_zero: Duration) -> Self {
        Self(since_zero)
    }

    /// The moment at which the time of day is, or was, this long after 1970, as far as that was never set meanwhile.
    #[must_use]
    pub fn from_time_of_day(since_1970: Duration) -> Self {
        let (now, today) = (Self::now(), time_of_day());
        Self((now.0 + since_1970).saturating_sub(today))
    }

    /// How long after the clock's zero this is.
    #[must_use]
    pub fn since_zero(self) -> Duration {
        self.0
    }

    /// The moment that lies this long before this one.
    #[must_use]
    pub fn earlier(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }

    /// How long ago this was.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }

    /// Microseconds from `earlier` to here, negative when `earlier` is later.
    #[must_use]
    pub fn micros_since(self, earlier: Self) -> i64 {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        micros(self - earlier) - micros(earlier - self)
    }
}

impl Sub for Moment {
    type Output = Duration;

    /// The time between the two, zero when the right one is later.
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

/// Longest that the time of day may have gone astray while a [`DayClock`] was in use. More than slewing does in minutes.
const STEADY: Duration = Duration::from_millis(20);

/// How often the two clocks are compared.
const READINGS: usize = 32;

/// How the time of day lay to `CLOCK_MONOTONIC` at some moment. Scripts can only write down the time of day.
#[derive(Clone, Copy, Debug)]
pub struct DayClock {
    /// 1970-01-01 came so long before the clock's zero.
    ahead: Duration,
}

impl DayClock {
    /// As it lies now.
    #[must_use]
    pub fn start() -> Self {
        // The two clocks are not read at once, and between the two the thread may be put aside: the quickest of some
        // readings is the one to believe.
        let reading = || {
            let (before, today, after) = (Moment::now(), time_of_day(), Moment::now());
            let took = after - before;
            (took, today.saturating_sub(before.0 + took / 2))
        };
        let quickest = (0..READINGS).map(|_| reading()).min_by_key(|(took, _)| *took);
        Self {
            ahead: quickest.map_or(Duration::ZERO, |(_, ahead)| ahead),
        }
    }

    /// How far the time of day has moved since then, to this clock.
    #[must_use]
    pub fn astray(&self) -> Duration {
        Self::start().ahead.abs_diff(self.ahead)
    }

    /// The moment at which the time of day was this long after 1970.
    #[must_use]
    pub fn moment(&self, since_1970: Duration) -> Moment {
        Moment(since_1970.saturating_sub(self.ahead))
    }

    /// Insists that the time of day was not set meanwhile: what was read off it would be worthless.
    pub fn ensure_steady(&self) -> Result<()> {
        let moved = self.astray();
        ensure!(moved <= STEADY, "the time of day was set meanwhile, by {moved:?}");
        Ok(())
    }
}

/// Asks `condition` until it gives a value, and gives `None` when `limit` has passed without one.
pub fn poll<T>(limit: Duration, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let end = Moment::now() + limit;
    loop {
        if let Some(value) = condition()? {
            return Ok(Some(value));
        }
        if Moment::now() >= end {
            return Ok(None);
        }
        pause(POLL);
    }
}

/// Lets time pass during which something is watched. To wait for something, use [`poll`].
pub fn pause(duration: Duration) {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place of the harness that sleeps"
    )]
    std::thread::sleep(duration);
}

/// As [`pause`], for a task.
pub(crate) async fn pass(duration: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place of the harness that sleeps"
    )]
    tokio::time::sleep(duration).await;
}

/// Ticks at a steady pace; those that are missed are left out.
pub(crate) fn ticks(every: Duration) -> Interval {
    #[expect(
        clippy::disallowed_methods,
        reason = "what somebody does at a pace of its own is not polling"
    )]
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// The time of day as clouds write it, such as `2015-11-12T17:51:03Z`.
#[must_use]
pub fn utc_timestamp() -> String {
    utc_timestamp_after(Duration::ZERO)
}

/// As [`utc_timestamp`], of the time that will come in so long.
#[must_use]
pub fn utc_timestamp_after(duration: Duration) -> String {
    let seconds = (time_of_day() + duration).as_secs();
    let (year, month, day) = civil_from_days(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// How long after 1970 it is.
pub(crate) fn time_of_day() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "this is the harness's clock")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// How many days after 1970-01-01 a date is, as `civil_from_days` counts them.
#[must_use]
pub fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let (era, year_of_era) = (year / 400, year % 400);
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date that lies `days` after 1970-01-01, by counting years of 365.2425 days that begin in March.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Locks a mutex; what a panicked thread left behind is still good enough to be shown.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(civil_from_days(11_016), (2000, 2, 29));
        assert_eq!(civil_from_days(19_723), (2024, 1, 1));
        assert_eq!(civil_from_days(20_088), (2024, 12, 31));
        for days in [0, 58, 59, 11_016, 19_723, 20_088, 20_782] {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }

    #[test]
    fn a_difference_of_moments_has_a_sign_only_in_micros() {
        let (early, late) = (Moment(Duration::from_micros(5)), Moment(Duration::from_micros(12)));
        assert_eq!(late.micros_since(early), 7);
        assert_eq!(early.micros_since(late), -7);
        assert_eq!(early - late, Duration::ZERO);
    }

    #[test]
    fn a_time_of_day_becomes_a_moment() -> Result<()> {
        let clock = DayClock::start();
        let (before, now, after) = (Moment::now(), clock.moment(time_of_day()), Moment::now());
        // The two clocks are not read at once.
        let slack = Duration::from_millis(10);
        assert!(before <= now + slack && now <= after + slack, "{before} {now} {after}");
        clock.ensure_steady()?;
        let set = DayClock {
            ahead: clock.ahead + Duration::from_secs(1),
        };
        assert!(set.ensure_steady().is_err());
        Ok(())
    }

    #[test]
    fn polling_ends_with_the_value_or_at_the_limit() -> Result<()> {
        let mut rounds = 0;
        let value = poll(Duration::from_secs(5), || {
            rounds += 1;
            Ok((rounds == 3).then_some(rounds))
        })?;
        assert_eq!(value, Some(3));
        assert_eq!(poll(Duration::from_millis(3), || Ok(None::<()>))?, None);
        Ok(())
    }
}
