//! One daemon a host.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::RawFd;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use super::start::StartError;
use crate::pulse;

/// A lock that the kernel lets go of when the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: Flock<File>,
}

impl Lock {
    /// The file itself.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The lock that a former process has kept.
    pub(super) fn adopt(descriptor: RawFd, run: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::Directory {
            path: run.to_owned(),
            source,
        };
        let file = File::from(pulse::adopt(descriptor).map_err(failed)?);
        // It is held already, by what is behind the descriptor: this changes nothing.
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        let file = file.map_err(|(_, errno)| failed(errno.into()))?;
        Ok(Self { file })
    }

    pub(super) fn take(run: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::Directory {
            path: run.to_owned(),
            source,
        };
        fs::create_dir_all(run).map_err(failed)?;
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(run.join("hb.lock"));
        let mut file = match Flock::lock(options.map_err(failed)?, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((mut file, _)) => {
                let mut pid = String::new();
                // Without the number the message is still true.
                let _ = file.read_to_string(&mut pid);
                return Err(StartError::AlreadyRunning {
                    pid: pid.trim().to_owned(),
                });
            }
        };
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Self { file })
    }
}
