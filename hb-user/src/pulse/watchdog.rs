//! The kernel's watchdog: resets the machine when nobody feeds it (kernel Documentation/watchdog/watchdog-api).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

/// What tells the device that its closing is meant ("magic close").
const DISARM: &[u8] = b"V";
/// Anything else feeds it.
const FEED: &[u8] = b"\0";

mod ioctl {
    nix::ioctl_readwrite!(
        /// `WDIOC_SETTIMEOUT`: seconds in, what the device made of them out.
        set_timeout,
        b'W',
        6,
        libc::c_int
    );
    nix::ioctl_read!(
        /// `WDIOC_GETTIMEOUT`: seconds.
        get_timeout,
        b'W',
        7,
        libc::c_int
    );
}

/// An armed watchdog.
///
/// Dropping it does not disarm it: the machine is reset a timeout later unless it is opened and fed again. So a daemon
/// that dies, however it dies, takes the machine with it; only [`Watchdog::disarm`] ends that.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
    /// After how long without food the device resets the machine, as it says itself; `None` if it does not say.
    pub timeout: Option<Duration>,
    /// Why the device did not take the timeout that was asked for: then it keeps its own. `ENOTTY` is from one that has
    /// no such call.
    pub refused: Option<Errno>,
}

/// Why there is no watchdog.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the watchdog {}{}", .path.display(), hint(.source))]
pub struct WatchdogError {
    /// The device.
    pub path: PathBuf,
    /// What the kernel says.
    pub source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EBUSY) => " (another program, such as systemd's RuntimeWatchdogSec or watchdog(8), has it)",
        Some(Errno::ENOENT) => " (no driver is loaded: `modprobe softdog` makes one in software)",
        _ => "",
    }
}

impl Watchdog {
    /// Opens the device, which arms it, and asks for a timeout: full seconds, rounded up, one at least.
    ///
    /// A timeout that is refused is no error: the device is armed by then, and has one of its own.
    pub fn open(path: &Path, timeout: Duration) -> Result<Self, WatchdogError> {
        let device = OpenOptions::new()
            .write(true)
            // Feeding never waits. The standard library closes it in programs that we start.
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(|source| WatchdogError {
                path: path.to_owned(),
                source,
            })?;
        let set = set_timeout(&device, timeout);
        let granted = set.or_else(|_| get_timeout(&device)).ok();
        Ok(Self {
            device,
            timeout: granted,
            refused: set.err(),
        })
    }

    /// Goes on with a device that a former process has armed.
    #[must_use]
    pub fn adopt(device: OwnedFd) -> Self {
        let device = File::from(device);
        let timeout = get_timeout(&device).ok();
        Self {
            device,
            timeout,
            refused: None,
        }
    }

    /// Feeds it. Allocates nothing and never waits.
    pub fn feed(&self) -> Result<(), Errno> {
        write(&self.device, FEED)
    }

    /// Disarms and closes it, unless the driver was told never to (`nowayout`): then the machine will be reset.
    pub fn disarm(self) -> Result<(), Errno> {
        write(&self.device, DISARM)
    }
}

impl AsFd for Watchdog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

fn write(device: &File, byte: &[u8]) -> Result<(), Errno> {
    loop {
        match nix::unistd::write(device, byte) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn set_timeout(device: &File, timeout: Duration) -> Result<Duration, Errno> {
    let mut seconds = whole_seconds(timeout);
    // SAFETY: the descriptor is open; the kernel reads and writes the one `int` that the call's number says.
    unsafe { ioctl::set_timeout(device.as_raw_fd(), &raw mut seconds) }?;
    Ok(from_seconds(seconds))
}

fn get_timeout(device: &File) -> Result<Duration, Errno> {
    let mut seconds = 0;
    // SAFETY: the descriptor is open; the kernel writes the one `int` that the call's number says.
    unsafe { ioctl::get_timeout(device.as_raw_fd(), &raw mut seconds) }?;
    Ok(from_seconds(seconds))
}

fn whole_seconds(timeout: Duration) -> libc::c_int {
    let seconds = timeout.as_secs().saturating_add(u64::from(timeout.subsec_nanos() > 0));
    libc::c_int::try_from(seconds).unwrap_or(libc::c_int::MAX).max(1)
}

fn from_seconds(seconds: libc::c_int) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests;
