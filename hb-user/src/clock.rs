//! The one place where a clock is read.

use nix::time::{ClockId, clock_gettime};

/// A moment on `CLOCK_MONOTONIC`, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Nanos(pub u64);

/// What `CLOCK_MONOTONIC` reads, which is also what `bpf_ktime_get_ns` returns in the kernel.
#[must_use]
pub fn now() -> Nanos {
    // Every kernel that runs this has the clock: the call cannot fail.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Nanos(0), |time| {
        Nanos(time.tv_sec().unsigned_abs() * 1_000_000_000 + time.tv_nsec().unsigned_abs())
    })
}
