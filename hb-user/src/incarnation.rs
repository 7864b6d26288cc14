//! The incarnation of this daemon: greater than all before it, on this host, across restarts, reboots and a clock that
//! was set back; and not to be guessed.
//!
//! The high 32 of 48 bits are the Unix time in seconds, or one more than last time if that is greater; they are on disk
//! before the first beat leaves. The low 16 bits are random.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hb_ebpf::Incarnation;

/// Why there is no new incarnation.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum IncarnationError {
    #[error("cannot {verb} {}", path.display())]
    File {
        verb: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "cannot write {}: no space left; free some, for without this file a restarted node cannot be told from a \
         replay of its past",
        path.display()
    )]
    DiskFull { path: PathBuf, source: io::Error },
    #[error(
        "{}: {found:?}: expected a number below 4294967295; if this host's clock is right, delete the file",
        path.display()
    )]
    Corrupt { path: PathBuf, found: String },
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
}

/// Makes the next incarnation, and remembers it in `directory`, which is created if it is missing.
pub fn next(directory: &Path, unix_seconds: u64) -> Result<Incarnation, IncarnationError> {
    let path = directory.join("incarnation");
    fs::create_dir_all(directory).map_err(|source| failed("create", directory, source))?;
    let last = read(&path)?;
    let high = successor(last, unix_seconds).ok_or_else(|| IncarnationError::Corrupt {
        path: path.clone(),
        found: last.unwrap_or_default().to_string(),
    })?;
    write(directory, &path, high)?;
    Ok(Incarnation((u64::from(high) << 16) | u64::from(random()?)))
}

/// A random number, but not 0: an echo of 0, in its low 32 bits, means that nobody was heard.
fn random() -> Result<u16, IncarnationError> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(IncarnationError::Random)?;
    Ok(u16::from_ne_bytes(bytes).max(1))
}

/// The time, or what comes after `last`. A clock beyond 2106 is no better than one that stands still.
fn successor(last: Option<u32>, unix_seconds: u64) -> Option<u32> {
    let clock = u32::try_from(unix_seconds)
        .ok()
        .filter(|clock| *clock < u32::MAX)
        .unwrap_or(1)
        .max(1);
    match last {
        None => Some(clock),
        Some(last) => last.checked_add(1).map(|next| next.max(clock)),
    }
}

fn read(path: &Path) -> Result<Option<u32>, IncarnationError> {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("read", path, source)),
    };
    match text.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(IncarnationError::Corrupt {
            path: path.to_owned(),
            found: text.chars().take(40).collect(),
        }),
    }
}

/// All or nothing, also across a loss of power: a new file, flushed, in the old one's place (rename(2)).
fn write(directory: &Path, path: &Path, number: u32) -> Result<(), IncarnationError> {
    let draft = directory.join("incarnation.new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            writeln!(file, "{number}")?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&draft, path))
        .and_then(|()| File::open(directory)?.sync_all());
    written.map_err(|source| {
        // Whatever is left of the draft is of no use; the error that counts is the one we have.
        let _ = fs::remove_file(&draft);
        failed("write", path, source)
    })
}

fn failed(verb: &'static str, path: &Path, source: io::Error) -> IncarnationError {
    let path = path.to_owned();
    if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        IncarnationError::DiskFull { path, source }
    } else {
        IncarnationError::File { verb, path, source }
    }
}

#[cfg(test)]
mod tests;
