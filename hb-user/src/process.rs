//! A program under supervision: what it prints is read, its time is limited, and its whole process group ends with it.

#[cfg(test)]
mod inside;
mod spawner;
mod withhold;

use std::future::Future;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;

#[cfg(test)]
pub(crate) use inside::inside;
pub use spawner::{change, start};
pub(crate) use withhold::withhold;

use crate::clock::sleep;

/// How long a program may tidy up between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);
/// How long to wait for the killed to be gone; one that hangs in the kernel (a dead NFS server) stays longer.
const REAP: Duration = Duration::from_secs(1);
/// How often to look whether a program has obeyed.
const LOOK: Duration = Duration::from_millis(10);
/// What is read at once.
const CHUNK: usize = 8192;
/// A pipe holds 64 KiB unless its user enlarges it: what a program itself has left in its pipes fits into this.
const LEFT_OVER: usize = 1 << 20;
/// How much output is kept, in bytes.
pub(crate) const TAIL: usize = 4096;

/// Tells works that are under way to end early; see [`abortable`].
#[derive(Debug)]
pub struct Aborter(watch::Sender<bool>);

/// What a work looks at to learn whether it shall end early.
#[derive(Clone, Debug)]
pub struct Abort(watch::Receiver<bool>);

/// The two ends of an order to abort. It can be given once, and dropping the [`Aborter`] gives none.
#[must_use]
pub fn abortable() -> (Aborter, Abort) {
    let (sender, receiver) = watch::channel(false);
    (Aborter(sender), Abort(receiver))
}

impl Aborter {
    /// Gives the order. What comes of it is for the work to say: it still has to be waited for.
    pub fn abort(&self) {
        self.0.send_replace(true);
    }
}

impl Abort {
    /// An order that is never given.
    #[must_use]
    pub fn never() -> Self {
        abortable().1
    }

    /// Whether the order was given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the order.
    pub async fn given(&self) {
        if self.0.clone().wait_for(|given| *given).await.is_err() {
            // Nobody is left who could give it.
            std::future::pending::<()>().await;
        }
    }
}

/// How a program ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// With this exit code.
    Exited(i32),
    /// By this signal, which was not ours.
    Signalled(i32),
    /// At its time limit.
    TimedOut,
    /// On an order to abort.
    Aborted,
    /// Somehow: the kernel would not tell.
    Untold(String),
}

/// Which of a program's two outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Where a program's output goes.
pub(crate) trait Sink {
    /// Takes what one read returned; an empty chunk is the stream's end.
    fn take(&mut self, stream: Stream, chunk: &[u8]);
}

/// The last 4 KiB of both outputs together, as they came.
#[derive(Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    pub(crate) fn text(&self) -> String {
        let start = self.0.len().saturating_sub(TAIL);
        String::from_utf8_lossy(&self.0[start..]).into_owned()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl Sink for Tail {
    fn take(&mut self, _: Stream, chunk: &[u8]) {
        self.0.extend_from_slice(chunk);
        if self.0.len() > 2 * TAIL {
            self.0.drain(..self.0.len() - TAIL);
        }
    }
}

/// The last lines of a text that say anything, in one line for an error message.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines = text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let mut last: Vec<String> = lines.take(count).map(|line| line.chars().take(200).collect()).collect();
    last.reverse();
    last.join("; ")
}

/// Runs a program in `/` under a time limit.
pub(crate) async fn run(mut command: Command, limit: Duration) -> (io::Result<End>, Tail) {
    let mut tail = Tail::default();
    command.current_dir("/");
    let end = match spawn(command).await {
        Ok(child) => Ok(attend(child, limit, std::future::pending(), &mut tail).await),
        Err(error) => Err(error),
    };
    (end, tail)
}

/// Starts a program in a process group of its own, its outputs in pipes.
pub(crate) async fn spawn(mut command: Command) -> io::Result<Child> {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    spawner::spawn(command).await
}

/// Reads what a child of [`spawn`] prints until it ends, by itself or by us.
///
/// At the limit it is told to end (SIGTERM), and killed 0.5 s later; on an order to abort it is killed at once, since
/// whoever aborts is out of time. Either way all of its process group is dead when this returns, unless it hangs in the
/// kernel for more than a second: then it does no more than that one call, since the signal awaits it there.
///
/// Dropping the future kills the group, too, but nobody waits for its end then.
pub(crate) async fn attend(
    mut child: Child,
    limit: Duration,
    abort: impl Future<Output = ()>,
    sink: &mut impl Sink,
) -> End {
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    // Declared after the child, hence dropped before it: the process id is not reaped and cannot belong to others.
    let mut group = ProcessGroup::of(&child);
    let (mut out, mut err) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut limit = std::pin::pin!(sleep(limit));
    let mut abort = std::pin::pin!(abort);

    let end = loop {
        tokio::select! {
            // In this order: a program that floods its output cannot put off its own end.
            biased;
            status = child.wait() => break status.map_or_else(|error| End::Untold(error.to_string()), end_of),
            () = &mut abort => break End::Aborted,
            () = &mut limit => break End::TimedOut,
            count = read(&mut stdout, &mut out) => sink.take(Stream::Stdout, &out[..count]),
            count = read(&mut stderr, &mut err) => sink.take(Stream::Stderr, &err[..count]),
        }
    };
    match end {
        End::Exited(_) | End::Signalled(_) | End::Untold(_) => {}
        End::TimedOut => {
            group.ask().await;
            group.kill(&mut child).await;
        }
        End::Aborted => group.kill(&mut child).await,
    }
    group.spare();
    finish(stdout, Stream::Stdout, sink, &mut out);
    finish(stderr, Stream::Stderr, sink, &mut err);
    end
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, Some(signal)) => End::Signalled(signal),
        (None, None) => End::Untold(status.to_string()),
    }
}

/// Reads from a pipe; at its end closes it, and never returns again.
async fn read(pipe: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    let Some(open) = pipe else {
        return std::future::pending().await;
    };
    let count = open.read(buffer).await.unwrap_or(0);
    if count == 0 {
        *pipe = None;
    }
    count
}

/// The two pipes of a child.
trait Pipe: AsyncRead + std::os::fd::AsFd + Send + Unpin + 'static {}
impl Pipe for ChildStdout {}
impl Pipe for ChildStderr {}

/// Takes what the program has left in the pipe, without waiting; who else holds the pipe is drained in the background.
fn finish(pipe: Option<impl Pipe>, stream: Stream, sink: &mut impl Sink, buffer: &mut [u8]) {
    let Some(mut pipe) = pipe else {
        return;
    };
    let mut left = LEFT_OVER;
    while left > 0 {
        // Past tokio, whose readiness may be a turn of the event loop behind: the pipe is in non-blocking mode.
        match nix::unistd::read(&pipe, buffer) {
            Ok(0) => return sink.take(stream, &[]),
            Ok(count) => {
                sink.take(stream, &buffer[..count]);
                left = left.saturating_sub(count);
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => break,
            Err(_) => return,
        }
    }
    sink.take(stream, &[]);
    tokio::spawn(async move {
        let mut buffer = vec![0; CHUNK];
        while pipe.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    });
}

/// A program's process group, killed when dropped unless spared.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    /// The leader is reaped: its number may soon be somebody else's.
    fn spare(&mut self) {
        self.0 = None;
    }

    /// SIGTERM, and a grace until the leader has obeyed.
    async fn ask(&self) {
        let Some(leader) = self.0 else { return };
        // ESRCH, the only error possible, is what is wanted.
        let _ = killpg(leader, Signal::SIGTERM);
        let _ = timeout(GRACE, until(|| is_dead(leader))).await;
    }

    /// SIGKILL to whoever is left, and a wait until all are dead and the leader is reaped.
    async fn kill(&self, child: &mut Child) {
        let Some(leader) = self.0 else { return };
        let _ = killpg(leader, Signal::SIGKILL);
        let gone = async {
            // While the leader is unreaped its number names no other group.
            until(|| is_dead(leader) && !has_living(leader)).await;
            let _ = child.wait().await;
        };
        if timeout(REAP, gone).await.is_err() {
            tracing::warn!("a program hangs in the kernel and cannot be killed");
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        sleep(LOOK).await;
    }
}

/// Whether a child is dead, leaving it unreaped: as long as it is, its number names nobody else's group.
fn is_dead(child: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::Pid(child), flags), Ok(WaitStatus::StillAlive))
}

/// Whether a process of the group still runs. `killpg` cannot tell: it counts the dead that nobody has reaped yet.
fn has_living(group: Pid) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return false;
    };
    processes.flatten().any(|process| {
        let is_process = process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        is_process
            && std::fs::read(process.path().join("stat"))
                .is_ok_and(|stat| is_living_member(&String::from_utf8_lossy(&stat), group))
    })
}

/// Reads `/proc/PID/stat`: number, name in parentheses, state, parent, group, ... (proc(5)).
fn is_living_member(stat: &str, group: Pid) -> bool {
    // The name may hold anything, parentheses and spaces included.
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return false;
    };
    let mut fields = rest.split_whitespace();
    let (state, its_group) = (fields.next(), fields.nth(1));
    !matches!(state, Some("Z" | "X" | "x") | None)
        && its_group.and_then(|text| text.parse().ok()) == Some(group.as_raw())
}

#[cfg(test)]
mod tests;
