//! The thread's own figures: written by it, read by anybody.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use hb_ebpf::Nanos;
use hb_ebpf::liveness::{BUCKETS, bucket};

/// Counters that only grow, and the last error.
#[derive(Debug)]
pub struct Stats {
    since: Nanos,
    sent: AtomicU64,
    send_errors: AtomicU64,
    last_send_error: AtomicI32,
    wakes: AtomicU64,
    lateness: [AtomicU64; BUCKETS],
    latest_wake: AtomicU64,
    latest_wake_at: AtomicU64,
    planned: AtomicU64,
    progress: AtomicU64,
    graces: AtomicU64,
}

/// How late the thread woke, whenever it had slept to the time that it meant to wake at.
#[derive(Clone, Debug)]
pub struct Lateness {
    /// When counting began.
    pub since: Nanos,
    /// How often, by powers of two: [`bucket`].
    pub histogram: [u64; BUCKETS],
    /// The worst.
    pub worst: Nanos,
    /// When that was.
    pub worst_at: Nanos,
}

impl Stats {
    pub(super) fn new(since: Nanos) -> Self {
        Self {
            since,
            sent: AtomicU64::new(0),
            send_errors: AtomicU64::new(0),
            last_send_error: AtomicI32::new(0),
            wakes: AtomicU64::new(0),
            lateness: [const { AtomicU64::new(0) }; BUCKETS],
            latest_wake: AtomicU64::new(0),
            latest_wake_at: AtomicU64::new(0),
            planned: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            graces: AtomicU64::new(0),
        }
    }

    /// Beats handed to the kernel, all links together.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Beats that the kernel refused.
    #[must_use]
    pub fn send_errors(&self) -> u64 {
        self.send_errors.load(Ordering::Relaxed)
    }

    /// Why it refused the last of them.
    #[must_use]
    pub fn last_send_error(&self) -> Option<std::io::Error> {
        match self.last_send_error.load(Ordering::Relaxed) {
            0 => None,
            errno => Some(std::io::Error::from_raw_os_error(errno)),
        }
    }

    /// How often the thread woke.
    #[must_use]
    pub fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Relaxed)
    }

    /// How late it woke.
    #[must_use]
    pub fn lateness(&self) -> Lateness {
        Lateness {
            since: self.since,
            histogram: std::array::from_fn(|bucket| self.lateness[bucket].load(Ordering::Relaxed)),
            worst: Nanos(self.latest_wake.load(Ordering::Relaxed)),
            worst_at: Nanos(self.latest_wake_at.load(Ordering::Relaxed)),
        }
    }

    /// When it means to wake next.
    pub(super) fn planned(&self) -> Nanos {
        Nanos(self.planned.load(Ordering::Relaxed))
    }

    pub(super) fn plan(&self, wake: Nanos) {
        self.planned.store(wake.0, Ordering::Relaxed);
    }

    pub(super) fn progress(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// Grows while the controller makes progress.
    pub(super) fn progressed(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// How often a peer got more time because its silence might have been our fault.
    #[must_use]
    pub fn graces(&self) -> u64 {
        self.graces.load(Ordering::Relaxed)
    }

    pub(super) fn count_grace(&self) {
        self.graces.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_send_error(&self, errno: nix::errno::Errno) {
        self.send_errors.fetch_add(1, Ordering::Relaxed);
        self.last_send_error.store(errno as i32, Ordering::Relaxed);
    }

    /// Counts a wake. Only one that is not before its time, by an event or an order, can be late.
    pub(super) fn count_wake(&self, now: Nanos, planned: Nanos) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        if now < planned {
            return;
        }
        let late = now.since(planned);
        self.lateness[bucket(late) as usize & (BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        // Nobody else writes.
        if late.0 > self.latest_wake.load(Ordering::Relaxed) {
            self.latest_wake.store(late.0, Ordering::Relaxed);
            self.latest_wake_at.store(now.0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_counted_by_powers_of_two_and_the_worst_is_dated() {
        let stats = Stats::new(Nanos(7));
        for (now, planned) in [
            (1_000, 1_000),
            (5_000, 10_000),
            (13_000, 10_000),
            (30_000, 20_000),
            (41_500, 40_000),
        ] {
            stats.count_wake(Nanos(now), Nanos(planned));
        }
        let lateness = stats.lateness();
        assert_eq!(stats.wakes(), 5, "the one before its time, too");
        // 0 and 1.5 us, 3 us, 10 us.
        assert_eq!(lateness.histogram[..5], [2, 1, 0, 1, 0]);
        assert_eq!(lateness.histogram.iter().sum::<u64>(), 4);
        assert_eq!(
            (lateness.since, lateness.worst, lateness.worst_at),
            (Nanos(7), Nanos(10_000), Nanos(30_000))
        );
    }
}
