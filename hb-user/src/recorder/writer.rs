//! The thread that waits for the disk.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use super::RecorderError;

/// Lines to be written together.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Lines {
    pub(super) text: String,
    /// What begins a new file after that.
    pub(super) new_file: Option<String>,
}

/// The file, open.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: File,
}

impl Writer {
    /// Opens the file to go on with it, and says how long it is.
    pub(super) fn open(path: &Path) -> Result<(Self, u64), RecorderError> {
        let failed = |source| RecorderError::Open {
            path: path.to_owned(),
            source,
        };
        let mut file = open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(RecorderError::NotAFile { path: path.to_owned() });
        }
        // It may be older than this rule.
        file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
        let torn = end_torn_line(&mut file, metadata.len()).map_err(failed)?;
        let path = path.to_owned();
        Ok((Self { path, file }, metadata.len() + torn))
    }

    /// Writes what comes, until nothing comes any more or the disk refuses.
    pub(super) fn run(&mut self, queue: &Receiver<Lines>) {
        for lines in queue {
            if let Err(error) = self.write(&lines) {
                tracing::warn!(file = %self.path.display(), %error, "cannot record any more");
                return;
            }
        }
    }

    fn write(&mut self, lines: &Lines) -> io::Result<()> {
        self.file.write_all(lines.text.as_bytes())?;
        let Some(text) = &lines.new_file else { return Ok(()) };
        let mut old = OsString::from(&self.path);
        old.push(".1");
        fs::rename(&self.path, old)?;
        self.file = open(&self.path)?;
        self.file.write_all(text.as_bytes())
    }
}

/// Whether the file could be gone on with, which somebody may be writing to.
pub(super) fn probe(path: &Path) -> Result<(), RecorderError> {
    let opened = open(path).and_then(|file| file.metadata());
    let metadata = opened.map_err(|source| RecorderError::Open {
        path: path.to_owned(),
        source,
    })?;
    if !metadata.is_file() {
        return Err(RecorderError::NotAFile { path: path.to_owned() });
    }
    Ok(())
}

/// Whatever is there, this does not wait: of a FIFO it would, for a reader.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// A daemon that died while it wrote has left half a line: it ends here, and spoils none of ours. Says how much was added.
fn end_torn_line(file: &mut File, size: u64) -> io::Result<u64> {
    if size == 0 {
        return Ok(0);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(0);
    }
    file.write_all(b"\n")?;
    Ok(1)
}
