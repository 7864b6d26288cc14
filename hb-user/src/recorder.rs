//! Writes every input of the core to a file, as JSON lines, for `hb replay` to run again.
//!
//! Whoever decides never waits for a disk: a thread writes, and what does not fit its queue is lost, counted, and
//! followed by the whole state of the node, from which a replay goes on.

mod format;
mod reader;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use hb_ebpf::Nanos;

pub use format::{Names, Start, Why};
pub use reader::{Flaw, Line, Located, Reader};

use crate::core::{Event, Node};
use writer::{Lines, Writer};

/// How many events may wait for the disk.
const QUEUE: usize = 1024;
/// How long the end of the daemon waits for the disk.
const FLUSH: Duration = Duration::from_secs(1);

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RecorderError {
    #[error("cannot open the recording {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("the recording {}: expected a regular file", path.display())]
    NotAFile { path: PathBuf },
    #[error("cannot start the thread that records")]
    Thread(#[source] io::Error),
}

/// What holds for all that is recorded from here on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// When this life of the daemon began, in seconds since 1970.
    pub started_unix: u64,
    /// What the numbers in events stand for.
    pub names: Names,
}

/// Records the events of one node. Once a write has failed it does nothing any more.
#[derive(Debug)]
pub struct Recorder {
    header: Header,
    /// The names after the change of the configuration that is recorded next.
    next_names: Option<Names>,
    max_bytes: u64,
    /// How long the file will be, once the queue is written.
    size: u64,
    /// A header has to come before the next event.
    due: Option<Why>,
    lost: u64,
    queue: Option<SyncSender<Lines>>,
    /// Closed when the thread has ended.
    end: Receiver<()>,
}

/// Whether [`Recorder::start`] would find its file.
pub fn probe(file: &Path) -> Result<(), RecorderError> {
    writer::probe(file)
}

impl Recorder {
    /// Goes on recording to `file`, which becomes FILE.1 when it would grow beyond `max_bytes`.
    pub fn start(file: &Path, max_bytes: u64, header: Header) -> Result<Self, RecorderError> {
        let (mut writer, size) = Writer::open(file)?;
        let (queue, lines) = sync_channel(QUEUE);
        let (alive, end) = sync_channel(0);
        std::thread::Builder::new()
            .name("hb-recorder".into())
            .spawn(move || {
                writer.run(&lines);
                drop(alive);
            })
            .map_err(RecorderError::Thread)?;
        Ok(Self::over(queue, end, max_bytes, size, header))
    }

    fn over(queue: SyncSender<Lines>, end: Receiver<()>, max_bytes: u64, size: u64, header: Header) -> Self {
        Self {
            header,
            next_names: None,
            max_bytes,
            size,
            due: Some(Why::Start),
            lost: 0,
            queue: Some(queue),
            end,
        }
    }

    /// What the numbers will stand for after the [`Event::Reconfigure`] that is recorded next: to be called before that.
    pub fn rename(&mut self, names: Names) {
        self.next_names = Some(names);
    }

    /// Records that `node`, in the state before it, is about to handle an event at this time. Never waits.
    pub fn record(&mut self, now: Nanos, event: &Event, node: &Node) {
        let Some(queue) = &self.queue else { return };
        let (lines, size) = self.lines(now, event, node);
        match queue.try_send(lines) {
            Ok(()) => {
                self.size = size;
                (self.due, self.lost) = (None, 0);
            }
            Err(TrySendError::Full(_)) => self.lost = self.lost.saturating_add(1),
            Err(TrySendError::Disconnected(_)) => self.queue = None,
        }
        if matches!(event, Event::Reconfigure(_)) {
            if let Some(names) = self.next_names.take() {
                self.header.names = names;
            }
            self.due = self.due.or(Some(Why::Reconfigured));
        }
    }

    /// The lines of an event, and how long the file is with them.
    fn lines(&self, now: Nanos, event: &Event, node: &Node) -> (Lines, u64) {
        let names = match event {
            Event::Reconfigure(_) => self.next_names.as_ref(),
            Event::Begin
            | Event::Peer { .. }
            | Event::Silent { .. }
            | Event::Lease { .. }
            | Event::Pings { .. }
            | Event::Woke
            | Event::Finished { .. }
            | Event::Sick { .. }
            | Event::Moved { .. }
            | Event::Witness { .. }
            | Event::Outlook { .. }
            | Event::Fenced { .. }
            | Event::Command(_)
            | Event::Tick
            | Event::Leave => None,
        };
        let event = format::event(now, event, names);
        let lost = if self.lost > 0 {
            format::lost(self.lost)
        } else {
            String::new()
        };
        let header = |why| format::start(why, &self.header, now, node);
        let why = match self.due {
            Some(Why::Start) => Some(Why::Start),
            _ if self.lost > 0 => Some(Why::Lost),
            due => due,
        };
        let text = format!("{lost}{}{event}", why.map(header).unwrap_or_default());
        let size = self.size.saturating_add(text.len() as u64);
        if self.size == 0 || size <= self.max_bytes {
            let new_file = None;
            return (Lines { text, new_file }, size);
        }
        let why = self.due.filter(|due| *due == Why::Start).unwrap_or(Why::NewFile);
        let new = header(why) + &event;
        let (size, new_file) = (new.len() as u64, Some(new));
        (Lines { text: lost, new_file }, size)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.queue = None;
        // Nothing is ever sent: it ends when the thread has written all, or the time is over.
        let _ = self.end.recv_timeout(FLUSH);
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
