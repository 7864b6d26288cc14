//! One call of a resource script: `NAME args... start|stop|status`.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hb_ebpf::Nanos;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use super::output::Output;
use crate::clock;
use crate::process::{self, Abort, End};

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
    /// Set on top of the daemon's own environment, of which it does not find variables with the names of secrets.
    pub env: &'a [(String, String)],
    /// Those of them that it finds all the same.
    pub passed: &'a [String],
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
    /// On an order to abort, before it was done: the whole process group was killed.
    Aborted,
    /// Not at all, and why.
    NotStarted(String),
    /// Without a script, as it was asked for.
    Done,
    /// Without a script, and why not as it was asked for.
    Failed(String),
    /// Without a script: whether it is as it was asked for could not be learnt, and why.
    Unknown(String),
}

impl Outcome {
    /// Whether what was asked for was done.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exited(0) | Self::Done)
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
            Self::Aborted => f.write_str("killed, because the work on the group was aborted"),
            Self::NotStarted(reason) => write!(f, "not started: {reason}"),
            Self::Done => f.write_str("done"),
            Self::Failed(reason) | Self::Unknown(reason) => f.write_str(reason),
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
/// On an order to abort the script's process group is killed at once, and its death is waited for. The resource is then in
/// an unknown state, and wants a `stop`.
///
/// Dropping the future kills the group, too: nothing half done goes on unwatched. But it may be dying still when the next
/// call begins, so that this is for the end of the daemon only.
pub async fn call(call: &Call<'_>, abort: &Abort) -> Finished {
    let started = clock::now();
    let mut output = Output::new(call.resource, call.operation);
    tracing::debug!(resource = call.resource, operation = %call.operation, script = %call.script.path.display(), "call");
    let outcome = match spawn(call).await {
        Ok(child) => match process::attend(child, call.limit, abort.given(), &mut output).await {
            End::Exited(code) => Outcome::Exited(code),
            End::Signalled(signal) => Outcome::Signalled(signal),
            End::TimedOut => Outcome::TimedOut,
            End::Aborted => Outcome::Aborted,
            End::Untold(reason) => Outcome::NotStarted(reason),
        },
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

async fn spawn(call: &Call<'_>) -> io::Result<Child> {
    let start = async |mut command: Command| {
        command
            .args(&call.script.args)
            .arg(call.operation.as_str())
            .envs(call.env.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null());
        process::withhold(&mut command, call.passed);
        process::spawn(command).await
    };
    match start(Command::new(&call.script.path)).await {
        // A script without `#!` is a shell's business: Heartbeat's shell runs it, so we do (execvp(3)).
        Err(error) if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => {
            let mut shell = Command::new("/bin/sh");
            shell.arg(&call.script.path);
            start(shell).await
        }
        result => result,
    }
}

#[cfg(test)]
mod tests;
