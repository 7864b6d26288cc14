//! The asking side, for the command line: blocking, with a deadline.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Reply, Request, socket_path};

/// How long the daemon may take, beside what it is told to wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer is shorter than this.
const LONGEST: u64 = 4 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ClientError {
    #[error("hb is not running here: nothing listens on {}", path.display())]
    NotRunning { path: PathBuf },
    #[error("no permission to ask the daemon at {}: try as root", path.display())]
    NotPermitted { path: PathBuf },
    #[error("cannot talk to the daemon at {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the daemon at {} has ended without an answer", path.display())]
    Gone { path: PathBuf },
    #[error("the daemon's answer is not understood; is it of another version?")]
    Unreadable(#[source] serde_json::Error),
}

/// Asks the daemon whose run directory this is, and waits for as long as an order allows.
pub fn ask(run_dir: &Path, request: &Request) -> Result<Reply, ClientError> {
    let path = socket_path(run_dir);
    let line = exchange(&path, request).map_err(|source| explain(&path, source))?;
    if line.is_empty() {
        return Err(ClientError::Gone { path });
    }
    serde_json::from_str(&line).map_err(ClientError::Unreadable)
}

fn exchange(path: &Path, request: &Request) -> io::Result<String> {
    let limit = match request {
        Request::Status => Duration::ZERO,
        Request::Order(order) => order.limit(),
    };
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE + limit))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut answer)?;
    Ok(answer)
}

fn explain(path: &Path, source: io::Error) -> ClientError {
    let path = path.to_owned();
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "of many kinds, these have an answer of their own"
    )]
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning { path },
        io::ErrorKind::PermissionDenied => ClientError::NotPermitted { path },
        _ => ClientError::Io { path, source },
    }
}
