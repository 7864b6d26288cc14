//! The command line: one file a subcommand, and the exit codes that they share.

mod answer;
pub mod assign_ip;
pub mod check;
pub mod ip;
pub mod keygen;
pub mod order;
pub mod replay;
pub mod restart;
pub mod run;
pub mod status;

use std::io::{self, Write};
use std::path::{self, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Parser, Subcommand};

use crate::causes::causes;
use crate::config::ConfigError;
use crate::control::ClientError;
use crate::resources::cloud::CloudError;

#[cfg(test)]
mod tests;

/// What `--help` says of the commands that wait.
const ORDERS: &str = "\
Exit codes:
  0  it has happened, or there was nothing to do; with --no-wait: it has begun
  1  it was refused, or failed; the message says which group or node, and why
  2  wrong usage
  3  hb is not running here
  4  not permitted: try as root
  5  it has not happened within the timeout; what was begun goes on, except that a takeover is no longer asked for

Who interrupts the command no longer waits. A standby that was begun goes on; a takeover is no longer asked for.";

/// What `--help` says of a replay.
const REPLAY: &str = "\
Exit codes:
  0  all of it was decided again; what may differ from then is warned of
  1  the file cannot be read, or a line of it cannot be true
  2  wrong usage";

/// Keeps a floating IP on a living host, with heartbeats validated and timestamped in the kernel.
#[derive(Debug, Parser)]
#[command(name = "hb", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon, in the foreground
    Run(run::Args),
    /// Show how the running daemon stands
    Status(status::Args),
    /// Give groups to the other nodes, and wait until they run there
    #[command(after_long_help = ORDERS)]
    Standby(order::StandbyArgs),
    /// Take groups from the other nodes, and wait until they run here
    #[command(after_long_help = ORDERS)]
    Takeover(order::TakeoverArgs),
    /// Touch nothing on any node, whatever happens; or go on
    #[command(after_long_help = ORDERS)]
    Maintenance(order::MaintenanceArgs),
    /// Forget that a group failed here, or try again to stop what is stuck
    #[command(after_long_help = ORDERS)]
    Cleanup(order::CleanupArgs),
    /// Let the daemon read its files again; when they are bad, nothing changes
    #[command(after_long_help = ORDERS)]
    Reload(order::ReloadArgs),
    /// Go on in a new process, perhaps of a newer version; nothing moves, and the peers wait
    #[command(after_long_help = ORDERS)]
    Restart(restart::Args),
    /// Validate the configuration and print what is in effect
    Check(check::Args),
    /// Run a recording of the daemon's decisions again, and print them with reasons
    #[command(after_help = REPLAY)]
    Replay(replay::Args),
    /// Write a fresh authkeys file
    Keygen(keygen::Args),
    /// Assign a floating IP to a droplet and wait until the cloud has done it
    AssignIp(assign_ip::Args),
    /// Look after a cloud's floating IP by hand, or from a script
    Ip(ip::Args),
}

impl Cli {
    /// Runs the chosen subcommand; an error is printed to stderr and becomes the exit code.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Run(args) => run::run(&args),
            Command::Status(args) => status::run(&args),
            Command::Standby(args) => order::standby(&args),
            Command::Takeover(args) => order::takeover(&args),
            Command::Maintenance(args) => order::maintenance(&args),
            Command::Cleanup(args) => order::cleanup(&args),
            Command::Reload(args) => order::reload(&args),
            Command::Restart(args) => restart::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Keygen(args) => keygen::run(&args),
            Command::AssignIp(args) => assign_ip::run(&args),
            Command::Ip(args) => ip::run(&args),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                for line in failure.lines() {
                    eprintln!("hb: {line}");
                }
                ExitCode::from(failure.exit as u8)
            }
        }
    }
}

/// A directory that still means the same to a script, which runs in another one than the daemon.
fn directory() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(path::absolute)
}

/// Prints to stdout.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result.context("stdout")?),
    }
}

/// The daemon did not answer.
fn unanswered(error: ClientError) -> Failure {
    let exit = match error {
        ClientError::NotRunning { .. } => Exit::NotRunning,
        ClientError::NotPermitted { .. } => Exit::NotPermitted,
        ClientError::Io { .. } | ClientError::Gone { .. } | ClientError::Unreadable(_) => Exit::Failed,
    };
    Failure::new(exit, error)
}

/// Why a command failed, and the exit code that says so.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    /// A failure with an exit code of its own.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
        }
    }

    /// What is printed: mostly one line, but one for each line of a file that is refused.
    fn lines(&self) -> Vec<String> {
        match self.error.downcast_ref() {
            Some(ConfigError::Several(errors)) => errors.iter().map(|error| causes(error)).collect(),
            _ => vec![format!("{:#}", self.error)],
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Failed, error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::NotConfigured, error)
    }
}

/// Exit codes beside 0: those of LSB init scripts, as Heartbeat uses them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit {
    /// Something failed; the message says what.
    Failed = 1,
    /// The arguments do not fit together; of each alone clap says so, with the same code.
    WrongUsage = 2,
    /// No daemon is running here to be asked.
    NotRunning = 3,
    /// Root or a capability is missing.
    NotPermitted = 4,
    /// What was ordered has not happened within the timeout.
    NotInTime = 5,
    /// The configuration is missing or refused.
    NotConfigured = 6,
    /// The floating IP is not this host's.
    NotOurs = 7,
}

impl Exit {
    /// [`Exit::NotPermitted`] where the operating system refused for want of permission, else [`Exit::Failed`].
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(this) = cause {
            if let Some(io) = this.downcast_ref::<io::Error>()
                && io.kind() == io::ErrorKind::PermissionDenied
            {
                return Self::NotPermitted;
            }
            cause = this.source();
        }
        Self::Failed
    }

    /// Of a provider that cannot be asked: its table, or the file with its token, is as bad as any other file. But who may
    /// not read it is to be told so.
    fn of_cloud(error: &CloudError) -> Self {
        match error {
            CloudError::Tls { .. } | CloudError::Thread(_) => Self::of(error),
            CloudError::File(_)
            | CloudError::Secret { .. }
            | CloudError::NoCredentials { .. }
            | CloudError::Token
            | CloudError::Url { .. }
            | CloudError::CaFile { .. }
            | CloudError::NoTable(_)
            | CloudError::Target(_) => match Self::of(error) {
                Self::NotPermitted => Self::NotPermitted,
                Self::Failed
                | Self::WrongUsage
                | Self::NotRunning
                | Self::NotInTime
                | Self::NotConfigured
                | Self::NotOurs => Self::NotConfigured,
            },
        }
    }
}
