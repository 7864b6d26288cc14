//! Writes a fresh authkeys file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use zeroize::Zeroizing;

use super::{Exit, Failure};

#[cfg(test)]
mod tests;

/// As many bytes as HMAC-SHA1 puts out: more would not make it stronger.
const KEY_BYTES: usize = 20;

/// What `--help` says.
const EXITS: &str = "\
Exit codes:
  0  the file is written
  1  it is not, as where one is there already; nothing was changed
  2  wrong usage
  4  not permitted: try as root";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXITS)]
pub struct Args {
    /// The file to write
    #[arg(default_value = "/etc/ha.d/authkeys")]
    path: PathBuf,
    /// Replace the file if it exists; every node needs the new one
    #[arg(long)]
    force: bool,
    /// Print the file instead of writing it
    #[arg(long, conflicts_with_all = ["path", "force"])]
    stdout: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let text = authkeys()?;
    if args.stdout {
        io::stdout().write_all(text.as_bytes()).context("stdout")?;
        return Ok(());
    }
    write(&args.path, args.force, text.as_bytes()).map_err(|error| explain(&args.path, error))?;
    eprintln!("wrote {}: copy it to the other node, mode 600", args.path.display());
    Ok(())
}

/// The file's text, with a key of random bytes.
fn authkeys() -> Result<Zeroizing<String>, Failure> {
    const HEX: &[u8; 16] = b"0123456789abcdef";

    let mut key = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(key.as_mut()).map_err(|error| anyhow!("cannot get random bytes: {error}"))?;

    let mut text = Zeroizing::new(String::with_capacity(64));
    text.push_str("auth 1\n1 sha1 ");
    for byte in key.iter() {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 0xf)]));
    }
    text.push('\n');
    Ok(text)
}

/// Writes the file at once or not at all: into a file beside it first, which then takes its name.
fn write(path: &Path, force: bool, text: &[u8]) -> io::Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let draft = Draft::write(dir, text)?;
    if force {
        fs::rename(&draft.0, path)?;
    } else {
        // Unlike rename, a link fails where the name is taken, with no moment between look and leap.
        fs::hard_link(&draft.0, path)?;
    }
    File::open(dir)?.sync_all()
}

/// A file beside the one to write; removed when dropped, if it is still there.
struct Draft(PathBuf);

impl Draft {
    fn write(dir: &Path, text: &[u8]) -> io::Result<Self> {
        let draft = Self(dir.join(format!(".authkeys.{}", std::process::id())));
        // What an earlier process of this number left behind when it was killed.
        if let Err(error) = fs::remove_file(&draft.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft.0)?;
        // Whatever the umask.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(text)?;
        file.sync_all()?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Renamed, it is gone already.
        let _ = fs::remove_file(&self.0);
    }
}

fn explain(path: &Path, error: io::Error) -> Failure {
    let kind = error.kind();
    let (exit, advice) = if kind == io::ErrorKind::AlreadyExists {
        (
            Exit::Failed,
            "use --force to replace the key, then copy the file to the other node",
        )
    } else if kind == io::ErrorKind::PermissionDenied {
        (Exit::NotPermitted, "run as root")
    } else if kind == io::ErrorKind::NotFound {
        (Exit::Failed, "create the directory first")
    } else if kind == io::ErrorKind::StorageFull || kind == io::ErrorKind::QuotaExceeded {
        (Exit::Failed, "make room on the disk; nothing was changed")
    } else {
        (Exit::Failed, "nothing was changed")
    };
    Failure::new(
        exit,
        anyhow::Error::new(error).context(format!("{}: {advice}", path.display())),
    )
}
