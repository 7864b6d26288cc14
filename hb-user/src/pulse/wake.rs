//! What wakes a sleeping thread: a bell (eventfd) and an alarm (timerfd); and a queue with a bell.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use hb_ebpf::Nanos;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Wakes whoever polls its descriptor.
#[derive(Clone, Debug)]
pub(crate) struct Bell(Arc<EventFd>);

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(Arc::new(EventFd::from_value_and_flags(0, flags)?)))
    }

    pub(crate) fn ring(&self) {
        // It fails only when the count is about to overflow, and then the bell is ringing.
        let _ = self.0.write(1);
    }

    pub(crate) fn silence(&self) {
        // It fails when the bell is silent.
        let _ = self.0.read();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A bell that a task of the runtime waits for.
#[derive(Debug)]
pub struct Doorbell {
    bell: Bell,
    ready: AsyncFd<OwnedFd>,
}

impl Doorbell {
    pub(crate) fn new(bell: Bell) -> io::Result<Self> {
        let own = bell.as_fd().try_clone_to_owned()?;
        // SAFETY: the descriptor is this object's own, open and the same until the drop.
        let ready = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) }?;
        Ok(Self { bell, ready })
    }

    /// Waits until it rings, and silences it: what is read afterwards includes what it rang for.
    pub async fn rung(&self) -> io::Result<()> {
        let mut ready = self.ready.readable().await?;
        self.bell.silence();
        ready.clear_ready();
        Ok(())
    }
}

/// Wakes at a time of `CLOCK_MONOTONIC`. Absolute, so that being interrupted between reading the clock and going to
/// sleep costs nothing.
#[derive(Debug)]
pub(crate) struct Alarm(TimerFd);

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?))
    }

    /// Goes off at `time`, and not at any time set before.
    pub(crate) fn set(&self, time: Nanos) -> io::Result<()> {
        // Zero would disarm it.
        let time = TimeSpec::from_duration(Duration::from_nanos(time.0.clamp(1, i64::MAX as u64)));
        self.0
            .set(Expiration::OneShot(time), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        Ok(())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The writing end of a wait-free queue whose reader sleeps.
#[derive(Debug)]
pub struct Post<T> {
    pub(crate) queue: rtrb::Producer<T>,
    pub(crate) bell: Bell,
}

impl<T> Post<T> {
    /// Rings whether or not it fits: a reader who is behind has to wake, too. What does not fit comes back.
    pub(crate) fn try_send(&mut self, item: T) -> Result<(), T> {
        let sent = self.queue.push(item);
        self.bell.ring();
        sent.map_err(|rtrb::PushError::Full(item)| item)
    }
}
