//! The clock: the one file of the crate that reads it.

use hb_ebpf::Nanos;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_getres, clock_gettime};
use serde::{Deserialize, Serialize};

/// What is shorter is no suspension worth the name.
const SUSPENSION: Nanos = Nanos::from_millis(1);

/// `CLOCK_MONOTONIC`, which is also the clock of the kernel's time stamps.
///
/// # Panics
///
/// Never on Linux: `clock_gettime(2)` fails only for a clock that does not exist.
#[must_use]
pub fn now() -> Nanos {
    read(ClockId::CLOCK_MONOTONIC)
}

/// How long this machine had been suspended since it was started, when that was last looked at: what `CLOCK_BOOTTIME` counts
/// and [`now`] does not.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Suspended(Nanos);

impl Suspended {
    /// As of now.
    #[must_use]
    pub fn so_far() -> Self {
        Self(ahead().1)
    }

    /// How long it has been suspended since this was last asked.
    pub fn missed(&mut self) -> Nanos {
        self.notice(ahead())
    }

    /// Only what was certainly missed counts. What is known is never less than it was: so the time between two readings does not
    /// look like a suspension, however long ago a true one was.
    fn notice(&mut self, (least, most): (Nanos, Nanos)) -> Nanos {
        let missed = least.since(self.0);
        if missed >= SUSPENSION {
            self.0 = most;
            return missed;
        }
        self.0 = self.0.min(most);
        Nanos(0)
    }
}

/// How far `CLOCK_BOOTTIME` is ahead of [`now`], at least and at most: clocks are read one after the other.
fn ahead() -> (Nanos, Nanos) {
    let before = now();
    let boot = read(ClockId::CLOCK_BOOTTIME);
    let after = now();
    (boot.since(after), boot.since(before))
}

/// Seconds since 1970 by this host's clock, which may be wrong and may go back.
#[must_use]
pub fn unix_seconds() -> u64 {
    read(ClockId::CLOCK_REALTIME).0 / 1_000_000_000
}

/// The time between two ticks of the kernel's: how fine its coarse clocks are.
///
/// # Panics
///
/// Never on Linux, as [`now`].
#[must_use]
pub fn tick() -> Nanos {
    nanos(clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).expect("Linux has this clock"))
}

fn read(clock: ClockId) -> Nanos {
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
    let time = clock_gettime(clock).expect("Linux has this clock");
    nanos(time)
}

fn nanos(time: TimeSpec) -> Nanos {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
    Nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Sleeps in the runtime until a time, and up to a millisecond longer; for ever without one.
pub async fn sleep_until(time: Option<Nanos>) {
    match time {
        Some(time) => sleep(std::time::Duration::from_nanos(time.since(now()).0)).await,
        None => std::future::pending().await,
    }
}

/// Sleeps, outside of any runtime: for a command that waits for a daemon.
pub fn pause(span: std::time::Duration) {
    #[expect(clippy::disallowed_methods, reason = "this is the file that sleeps")]
    std::thread::sleep(span);
}

/// Sleeps in the runtime: coarse, to the millisecond. What must be on time sleeps in [`crate::pulse`].
pub async fn sleep(span: std::time::Duration) {
    #[expect(clippy::disallowed_methods, reason = "this is the file that sleeps")]
    tokio::time::sleep(span).await;
}

#[cfg(test)]
mod tests;
