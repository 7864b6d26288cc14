//! The thread's own figures: written by it, read by anybody.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use hb_ebpf::Nanos;

/// Counters that only grow, and the last error.
#[derive(Debug, Default)]
pub struct Stats {
    sent: AtomicU64,
    send_errors: AtomicU64,
    last_send_error: AtomicI32,
    wakes: AtomicU64,
    latest_wake: AtomicU64,
    planned: AtomicU64,
    progress: AtomicU64,
    graces: AtomicU64,
}

impl Stats {
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

    /// How late it woke at the worst.
    #[must_use]
    pub fn worst_lateness(&self) -> Nanos {
        Nanos(self.latest_wake.load(Ordering::Relaxed))
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

    pub(super) fn count_wake(&self, lateness: Nanos) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        self.latest_wake.fetch_max(lateness.0, Ordering::Relaxed);
    }
}
