//! Where messages go: stderr always, and the logfile and syslog facility of ha.cf.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::Logging;

/// Where syslog daemons listen (syslog(3)).
const SYSLOG: &str = "/dev/log";

/// So many lines wait for who writes them. Each place is 32 bytes of locked memory, used or not.
const WAITING: usize = 4096;

/// A logfile that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the logfile {}", path.display())]
pub struct LogfileError {
    path: PathBuf,
    source: io::Error,
}

/// Writes out what is left when it is dropped.
#[derive(Debug)]
#[must_use = "messages are lost when it is dropped too early"]
pub struct Flush {
    _guards: Vec<WorkerGuard>,
}

/// Starts logging, once for the process. Whoever logs never waits: threads of their own write to stderr and the
/// logfile, and what they cannot keep up with, or a full disk refuses, is lost.
pub fn start(logging: &Logging) -> Result<Flush, LogfileError> {
    let level = match logging.debug {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        2.. => LevelFilter::TRACE,
    };
    let (stderr, flush_stderr) = writer(io::stderr());
    let mut guards = vec![flush_stderr];
    let file = logging.logfile.as_ref().map(open).transpose()?.map(|file| {
        let (file, flush_file) = writer(file);
        guards.push(flush_file);
        fmt::layer().with_ansi(false).with_writer(file).with_filter(level)
    });
    let syslog = logging.facility.map(|facility| {
        let writer = Syslog {
            socket: UnixDatagram::unbound().ok().map(Arc::new),
            facility: facility.code(),
        };
        fmt::layer()
            .with_ansi(false)
            .without_time()
            .with_level(false)
            .with_writer(writer)
            .with_filter(level)
    });
    let stderr = fmt::layer().with_ansi(false).with_writer(stderr).with_filter(level);
    // Only a second call can fail, and then the first one's subscriber stays.
    let _ = tracing_subscriber::registry()
        .with(stderr)
        .with(file)
        .with(syslog)
        .try_init();
    Ok(Flush { _guards: guards })
}

fn writer(to: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING)
        .thread_name("hb-log")
        .finish(to)
}

/// Whether [`start`] would find its logfile.
pub fn probe(logging: &Logging) -> Result<(), LogfileError> {
    logging.logfile.as_ref().map(open).transpose().map(drop)
}

fn open(path: &PathBuf) -> Result<File, LogfileError> {
    let options = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    options.map_err(|source| LogfileError {
        path: path.clone(),
        source,
    })
}

/// Makes a message for each event. Sending never waits: a full or missing syslog loses the message.
struct Syslog {
    socket: Option<Arc<UnixDatagram>>,
    facility: u8,
}

struct Message {
    socket: Option<Arc<UnixDatagram>>,
    text: Vec<u8>,
}

impl Syslog {
    fn message(&self, severity: u8) -> Message {
        // RFC 3164, section 4.1, without the time stamp, which the daemon adds.
        let header = format!(
            "<{}>hb[{}]: ",
            u32::from(self.facility) * 8 + u32::from(severity),
            std::process::id()
        );
        Message {
            socket: self.socket.clone(),
            text: header.into_bytes(),
        }
    }
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Message;

    fn make_writer(&'a self) -> Message {
        self.message(6)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Message {
        let severity = match *metadata.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        self.message(severity)
    }
}

impl Write for Message {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            let _ = socket.set_nonblocking(true);
            let _ = socket.send_to(self.text.trim_ascii_end(), SYSLOG);
        }
    }
}
