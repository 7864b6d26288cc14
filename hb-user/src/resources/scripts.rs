//! One call of a resource script: `NAME args... start|stop|status`.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use hb_ebpf::Nanos;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use super::output::{Output, Stream};
use crate::clock::{self, sleep};

/// How long a script may tidy up between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);
/// How long to wait for a killed script to be gone; one that hangs in the kernel (a dead NFS server) stays longer.
const REAP: Duration = Duration::from_secs(1);
/// How often to look whether a script has obeyed SIGTERM.
const LOOK: Duration = Duration::from_millis(10);
/// What is read at once.
const CHUNK: usize = 8192;
/// A pipe holds 64 KiB unless its user enlarges it: what a script itself has left in its pipes fits into this.
const LEFT_OVER: usize = 1 << 20;

/// Where resource scripts are looked for, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScriptDirs {
    /// `DIR/resource.d`.
    pub resource_d: PathBuf,
    /// `/etc/init.d`.
    pub init_d: PathBuf,
}

/// A script and the arguments that go before the operation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Script {
    /// The file, as [`find`] returns it.
    pub path: PathBuf,
    /// What haresources gives after `::`.
    pub args: Vec<String>,
}

/// Returns the script that `name` means: the first regular, executable file of that name in `dirs`.
pub fn find(dirs: &ScriptDirs, name: &str) -> Result<PathBuf, ScriptError> {
    let look = |dir: &Path| {
        // An absolute name stays below the directory, as in Heartbeat's `$DIR/$NAME`.
        let path = dir.join(name.trim_start_matches('/'));
        match problem(&path) {
            None => Ok(path),
            Some(problem) => Err((path, problem)),
        }
    };
    look(&dirs.resource_d).or_else(|resource_d| {
        look(&dirs.init_d).map_err(|init_d| ScriptError {
            name: name.to_owned(),
            looked: [resource_d, init_d],
        })
    })
}

fn problem(path: &Path) -> Option<Problem> {
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Problem::Missing),
        Err(error) => Some(Problem::Unreadable(error.kind())),
        Ok(file) if !file.is_file() => Some(Problem::NotAFile),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => Some(Problem::NotExecutable),
        Ok(_) => None,
    }
}

/// There is no script of that name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no script for resource {name}: {} {}; {} {}",
    .looked[0].0.display(), .looked[0].1, .looked[1].0.display(), .looked[1].1)]
pub struct ScriptError {
    /// The name in haresources.
    pub name: String,
    /// Where was looked, and what is wrong there.
    pub looked: [(PathBuf, Problem); 2],
}

/// Why a path is no script.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Problem {
    /// Nothing is there.
    #[error("does not exist")]
    Missing,
    /// A directory, a device, ...
    #[error("is not a regular file")]
    NotAFile,
    /// No execute permission.
    #[error("is not executable (chmod +x it)")]
    NotExecutable,
    /// It could not be looked at.
    #[error("cannot be examined: {0}")]
    Unreadable(io::ErrorKind),
}

/// What a script is asked to do: its last argument.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Start the resource here.
    Start,
    /// Stop the resource here.
    Stop,
    /// Say on stdout whether it runs here.
    Status,
}

impl Operation {
    /// The argument.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Status => "status",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One call to make.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The resource's name for the log.
    pub resource: &'a str,
    /// What to run.
    pub script: &'a Script,
    /// What to ask of it.
    pub operation: Operation,
    /// Set on top of the daemon's own environment.
    pub env: &'a [(String, String)],
    /// When this has passed, the script and everything in its process group is told to end, then killed.
    pub limit: Duration,
}

/// How a call ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// With this exit code.
    Exited(i32),
    /// By this signal, which was not ours.
    Signalled(i32),
    /// At its time limit: the whole process group was killed.
    TimedOut,
    /// Not at all, and why.
    NotStarted(String),
}

impl Outcome {
    /// Whether the script did what it was asked to.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Exited(0)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signalled(signal) => match Signal::try_from(*signal) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
            Self::TimedOut => f.write_str("killed at its time limit ([scripts] timeout in hb.toml)"),
            Self::NotStarted(reason) => write!(f, "not started: {reason}"),
        }
    }
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub outcome: Outcome,
    /// When the script was about to be started.
    pub started: Nanos,
    /// When its end was seen.
    pub ended: Nanos,
    /// Whether its stdout says that the resource runs (see [`is_running`](super::is_running)); meant for `status`.
    pub says_running: bool,
    /// The last 4 KiB of stdout and stderr together.
    pub output_tail: String,
}

/// Makes one call and waits for its end, which is never later than the limit plus 1.5 s.
///
/// The call ends when the script does. A process that the script leaves behind and that still holds its stdout is no
/// reason to wait; its output is drained in the background, so that it neither blocks nor dies of SIGPIPE later.
///
/// Dropping the future kills the script's process group at once: nothing half done goes on unwatched. The resource is
/// then in an unknown state, and wants a `stop`.
pub async fn call(call: &Call<'_>) -> Finished {
    let started = clock::now();
    let mut output = Output::new(call.resource, call.operation);
    tracing::debug!(resource = call.resource, operation = %call.operation, script = %call.script.path.display(), "call");
    let outcome = match spawn(call) {
        Ok(child) => attend(child, call.limit, &mut output).await,
        Err(error) => Outcome::NotStarted(format!("{}: {error}", call.script.path.display())),
    };
    let ended = clock::now();
    tracing::debug!(
        resource = call.resource,
        operation = %call.operation,
        outcome = %outcome,
        microseconds = ended.0.saturating_sub(started.0) / 1000,
        "ended"
    );
    Finished {
        outcome,
        started,
        ended,
        says_running: output.says_running(),
        output_tail: output.tail(),
    }
}

fn spawn(call: &Call<'_>) -> io::Result<Child> {
    let start = |mut command: Command| {
        command
            .args(&call.script.args)
            .arg(call.operation.as_str())
            .envs(call.env.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    };
    match start(Command::new(&call.script.path)) {
        // A script without `#!` is a shell's business: Heartbeat's shell runs it, so we do (execvp(3)).
        Err(error) if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => {
            let mut shell = Command::new("/bin/sh");
            shell.arg(&call.script.path);
            start(shell)
        }
        result => result,
    }
}

async fn attend(mut child: Child, limit: Duration, output: &mut Output) -> Outcome {
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    // Declared after the child, hence dropped before it: the process id is not reaped and cannot belong to others.
    let mut group = ProcessGroup::of(&child);
    let (mut out, mut err) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut limit = std::pin::pin!(sleep(limit));

    let ended = loop {
        tokio::select! {
            // In this order: a script that floods its output cannot put off its own end.
            biased;
            status = child.wait() => break Some(status),
            () = &mut limit => break None,
            count = read(&mut stdout, &mut out) => output.take(Stream::Stdout, &out[..count]),
            count = read(&mut stderr, &mut err) => output.take(Stream::Stderr, &err[..count]),
        }
    };
    let outcome = if let Some(status) = ended {
        group.spare();
        status.map_or_else(|error| Outcome::NotStarted(error.to_string()), outcome_of)
    } else {
        group.end().await;
        if timeout(REAP, child.wait()).await.is_err() {
            tracing::warn!("a script hangs in the kernel and cannot be killed");
        }
        group.spare();
        Outcome::TimedOut
    };
    finish(stdout, Stream::Stdout, output, &mut out);
    finish(stderr, Stream::Stderr, output, &mut err);
    outcome
}

fn outcome_of(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::Exited(code),
        (None, Some(signal)) => Outcome::Signalled(signal),
        (None, None) => Outcome::NotStarted(status.to_string()),
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

/// Takes what the script has left in the pipe, without waiting; who else holds the pipe is drained in the background.
fn finish(pipe: Option<impl Pipe>, stream: Stream, output: &mut Output, buffer: &mut [u8]) {
    let Some(mut pipe) = pipe else {
        return;
    };
    let mut left = LEFT_OVER;
    while left > 0 {
        // Past tokio, whose readiness may be a turn of the event loop behind: the pipe is in non-blocking mode.
        match nix::unistd::read(&pipe, buffer) {
            Ok(0) => return output.take(stream, &[]),
            Ok(count) => {
                output.take(stream, &buffer[..count]);
                left = left.saturating_sub(count);
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => break,
            Err(_) => return,
        }
    }
    output.take(stream, &[]);
    tokio::spawn(async move {
        let mut buffer = vec![0; CHUNK];
        while pipe.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    });
}

/// A script's process group, killed when dropped unless spared.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    /// The leader is reaped: its number may soon be somebody else's.
    fn spare(&mut self) {
        self.0 = None;
    }

    /// SIGTERM, a grace until the leader has obeyed, SIGKILL to whoever is left.
    async fn end(&self) {
        let Some(leader) = self.0 else {
            return;
        };
        // ESRCH, the only error possible, is what is wanted.
        let _ = killpg(leader, Signal::SIGTERM);
        let obeyed = async {
            while !is_dead(leader) {
                sleep(LOOK).await;
            }
        };
        let _ = timeout(GRACE, obeyed).await;
        let _ = killpg(leader, Signal::SIGKILL);
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// Whether a child is dead, leaving it unreaped: as long as it is, its number names nobody else's group.
fn is_dead(child: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::Pid(child), flags), Ok(WaitStatus::StillAlive))
}

#[cfg(test)]
mod tests;
