//! What a script prints: logged line by line, its end kept for error messages, its meaning judged.

use std::borrow::Cow;

use super::scripts::Operation;
use crate::process::{Sink, Stream, Tail};

/// A longer line is logged in pieces of this many bytes.
const LINE: usize = 1024;
/// How many lines of one call are logged; a script that floods must not fill the disk through our log.
const LINES: u32 = 200;

/// Whether a script's `status` says that the resource runs.
///
/// Heartbeat judges by the text on stdout alone, never by the exit code: "not running" (N and R in either case) is
/// stopped, else "running", "Running" or "OK" is running, and anything else is stopped.
#[must_use]
pub fn is_running(stdout: &str) -> bool {
    let mut judge = Judge::default();
    judge.read(stdout.as_bytes());
    judge.is_running()
}

/// The same judgement on a stream, so that a long text costs no memory.
#[derive(Debug, Default)]
struct Judge {
    /// The end of what was read, for a word cut in two by a read.
    carry: Vec<u8>,
    stopped: bool,
    running: bool,
}

impl Judge {
    const STOPPED: [&[u8]; 4] = [b"not running", b"not Running", b"Not running", b"Not Running"];
    const RUNNING: [&[u8]; 3] = [b"running", b"Running", b"OK"];

    fn read(&mut self, chunk: &[u8]) {
        self.carry.extend_from_slice(chunk);
        let seen = |words: &[&[u8]]| {
            words
                .iter()
                .any(|word| self.carry.windows(word.len()).any(|text| text == *word))
        };
        let (stopped, running) = (seen(&Self::STOPPED), seen(&Self::RUNNING));
        self.stopped |= stopped;
        self.running |= running;
        let longest = Self::STOPPED[0].len();
        self.carry.drain(..self.carry.len().saturating_sub(longest - 1));
    }

    fn is_running(&self) -> bool {
        self.running && !self.stopped
    }
}

/// Everything that a call has printed so far, in bounded memory.
#[derive(Debug)]
pub(super) struct Output {
    resource: String,
    operation: Operation,
    judge: Judge,
    tail: Tail,
    stdout_line: Vec<u8>,
    stderr_line: Vec<u8>,
    lines: u32,
}

impl Output {
    pub(super) fn new(resource: &str, operation: Operation) -> Self {
        Self {
            resource: resource.to_owned(),
            operation,
            judge: Judge::default(),
            tail: Tail::default(),
            stdout_line: Vec::new(),
            stderr_line: Vec::new(),
            lines: 0,
        }
    }

    /// Whether the script said on stdout that the resource runs.
    pub(super) fn says_running(&self) -> bool {
        self.judge.is_running()
    }

    /// The last 4 KiB of both streams together, as they came.
    pub(super) fn tail(&self) -> String {
        self.tail.text()
    }

    fn log(&mut self, stream: Stream, chunk: &[u8]) {
        if self.lines > LINES {
            return;
        }
        let pending = match stream {
            Stream::Stdout => &mut self.stdout_line,
            Stream::Stderr => &mut self.stderr_line,
        };
        let mut line = std::mem::take(pending);
        for &byte in chunk {
            if byte != b'\n' {
                line.push(byte);
            }
            if byte == b'\n' || line.len() == LINE {
                self.log_line(stream, &line);
                line.clear();
            }
        }
        if chunk.is_empty() && !line.is_empty() {
            self.log_line(stream, &line);
            line.clear();
        }
        match stream {
            Stream::Stdout => self.stdout_line = line,
            Stream::Stderr => self.stderr_line = line,
        }
    }

    fn log_line(&mut self, stream: Stream, line: &[u8]) {
        self.lines = self.lines.saturating_add(1);
        if self.lines > LINES {
            if self.lines == LINES + 1 {
                tracing::info!(resource = %self.resource, operation = %self.operation, "further output is not logged");
            }
            return;
        }
        let text: Cow<'_, str> = String::from_utf8_lossy(line);
        match stream {
            Stream::Stdout => {
                tracing::debug!(resource = %self.resource, operation = %self.operation, stdout = %text);
            }
            Stream::Stderr => {
                tracing::info!(resource = %self.resource, operation = %self.operation, stderr = %text);
            }
        }
    }
}

impl Sink for Output {
    fn take(&mut self, stream: Stream, chunk: &[u8]) {
        self.tail.take(stream, chunk);
        if matches!(stream, Stream::Stdout) {
            self.judge.read(chunk);
        }
        self.log(stream, chunk);
    }
}

#[cfg(test)]
mod tests;
