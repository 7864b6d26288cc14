//! The command line: one file a subcommand, and the exit codes that they share.

pub mod assign_ip;
pub mod check;
pub mod keygen;
pub mod replay;
pub mod run;
pub mod status;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::config::ConfigError;

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
    /// Validate the configuration and print what is in effect
    Check(check::Args),
    /// Run a recording of the daemon's decisions again, and print them with reasons
    Replay(replay::Args),
    /// Write a fresh authkeys file
    Keygen(keygen::Args),
    /// Assign a floating IP to a droplet and wait until the cloud has done it
    AssignIp(assign_ip::Args),
}

impl Cli {
    /// Runs the chosen subcommand; an error is printed to stderr and becomes the exit code.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Run(args) => run::run(&args),
            Command::Status(args) => status::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Keygen(args) => keygen::run(&args),
            Command::AssignIp(args) => assign_ip::run(&args),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("hb: {:#}", failure.error);
                ExitCode::from(failure.exit as u8)
            }
        }
    }
}

/// An error with all its causes, in one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(this) = cause {
        text += &format!(": {this}");
        cause = this.source();
    }
    text
}

/// Prints to stdout.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result.context("stdout")?),
    }
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

/// Exit codes beside 0: those of LSB init scripts, as Heartbeat uses them. 2 (usage) is clap's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit {
    /// Something failed; the message says what.
    Failed = 1,
    /// `hb status`: no daemon is running here.
    NotRunning = 3,
    /// Root or a capability is missing.
    NotPermitted = 4,
    /// The configuration is missing or refused.
    NotConfigured = 6,
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
}
