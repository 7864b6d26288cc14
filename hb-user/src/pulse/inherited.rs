//! Descriptors that live on when this process becomes another by exec(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// Says whether a descriptor stays open when this process becomes another. Every other one is closed by then.
pub fn keep(descriptor: impl AsFd, is_kept: bool) -> io::Result<()> {
    let flags = if is_kept { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    fcntl(descriptor, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// Takes over a descriptor that the former process has kept. No program that we start will have it.
///
/// To be called once for each, with the number that was handed over.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("descriptor {number}: expected one that was kept"),
        ));
    }
    // SAFETY: it is borrowed to ask for its flags, which the kernel refuses if it is not open.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = FdFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFD)?);
    if flags.contains(FdFlag::FD_CLOEXEC) {
        // Whatever this process opens itself has the flag.
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("descriptor {number} was not kept by a former process"),
        ));
    }
    keep(descriptor, false)?;
    // SAFETY: it is open, and nobody's in this process: whatever that opens is closed on exec, and this one was not.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd as _;

    use super::*;

    #[test]
    fn what_was_kept_is_taken_over_once() {
        let (reader, _writer) = io::pipe().expect("a pipe");
        keep(&reader, true).expect("an open descriptor");
        let number = OwnedFd::from(reader).into_raw_fd();
        let adopted = adopt(number).expect("it was kept");
        assert!(adopt(number).is_err(), "it is somebody's");
        drop(adopted);
        assert!(adopt(number).is_err(), "it is closed");
    }

    #[test]
    fn what_is_ours_or_nobodys_is_refused() {
        for number in [-1, 0, 2, i32::MAX] {
            assert!(adopt(number).is_err(), "{number}");
        }
    }
}
