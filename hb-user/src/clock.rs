//! The clock: the one file of the crate that reads it.

use hb_ebpf::Nanos;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_getres, clock_gettime};

/// Between the readings of two clocks less than this may pass without any suspension.
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

/// How long this machine has been suspended since it was started: what `CLOCK_BOOTTIME` counts and [`now`] does not.
#[must_use]
pub fn suspended() -> Nanos {
    // In this order: a moment between the two is no suspension.
    let monotonic = now();
    let boot = read(ClockId::CLOCK_BOOTTIME).since(monotonic);
    if boot < SUSPENSION { Nanos(0) } else { boot }
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
