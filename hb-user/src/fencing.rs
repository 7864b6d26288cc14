//! Fencing: cluster-glue's `stonith` program makes sure that a silent node is really dead.
//!
//! What stonith(8) does not say, and the program of cluster-glue 1.0.12 does: it exits with 0 when the device says that the
//! node was reset, 1 when it was called wrongly or has no parameters, 5 when the reset failed, 8 when there is no such type
//! of device. With `-p TEXT` the text is in its arguments, where every user of the host can read a password. `-F FILE`
//! takes the same text from the file's first line that is neither empty nor a comment, and the file may be its standard
//! input. It does not ask a device whether it controls the node: some devices reset whatever they are plugged into.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use tokio::process::Command;

use crate::process::{self, End, last_lines};

/// How many lines of a failed program's output are told.
const LINES: usize = 3;

/// What can reset a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// Its type, as `stonith -L` lists it.
    pub kind: String,
    /// Its parameters, in the order of `stonith -t TYPE -n`.
    pub parameters: Parameters,
}

/// Where a device's parameters are.
#[derive(Clone, Eq, PartialEq)]
pub enum Parameters {
    /// In this file: ha.cf's `stonith`.
    File(PathBuf),
    /// Here: ha.cf's `stonith_host`.
    Inline(String),
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            // There may be passwords among them.
            Self::Inline(_) => f.write_str("Inline"),
        }
    }
}

/// Calls the program.
#[derive(Clone, Debug)]
pub struct Fencer {
    /// The program, usually `/usr/sbin/stonith`.
    pub program: PathBuf,
    /// How long one device may take; its whole process group is killed then.
    pub timeout: Duration,
    /// Variables of the daemon's environment that it finds although their names are those of secrets: `[scripts] pass_env`.
    pub passed: Vec<String>,
}

/// Why a node may still be alive.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum FenceError {
    #[error("cannot fence {node}: no stonith device is configured for it")]
    NoDevice { node: String },
    #[error("cannot fence {node} with {kind}: {} could not be started (is cluster-glue installed?)", .program.display())]
    NotStarted {
        node: String,
        kind: String,
        program: PathBuf,
        source: io::Error,
    },
    #[error("cannot fence {node} with {kind}: the parameters cannot be handed over")]
    Parameters {
        node: String,
        kind: String,
        source: io::Error,
    },
    #[error("cannot fence {node} with {kind}: {what}{}", quoted(.output))]
    Failed {
        node: String,
        kind: String,
        what: String,
        output: String,
    },
    #[error("cannot fence {node} with {kind}: killed after {} ms{}", .limit.as_millis(), quoted(.output))]
    TimedOut {
        node: String,
        kind: String,
        limit: Duration,
        output: String,
    },
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    All(Vec<FenceError>),
}

fn quoted(output: &str) -> String {
    if output.is_empty() {
        String::new()
    } else {
        format!(": {output}")
    }
}

impl Fencer {
    /// Resets a node with the first of the devices that can, in their order.
    ///
    /// Dropping the future kills the program; whether the node was reset is unknown then.
    pub async fn fence(&self, devices: &[Device], node: &str) -> Result<(), FenceError> {
        let mut errors = Vec::new();
        for device in devices {
            match self.reset(device, node).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::warn!(node, device = device.kind, error = %error, "a device did not fence");
                    errors.push(error);
                }
            }
        }
        Err(match (errors.pop(), errors.is_empty()) {
            (None, _) => FenceError::NoDevice { node: node.to_owned() },
            (Some(only), true) => only,
            (Some(last), false) => {
                errors.push(last);
                FenceError::All(errors)
            }
        })
    }

    /// Resets a node with one device: `Ok` is the device's word that it was reset.
    pub async fn reset(&self, device: &Device, node: &str) -> Result<(), FenceError> {
        let names = || (node.to_owned(), device.kind.clone());
        let (file, stdin): (&OsStr, Stdio) = match &device.parameters {
            Parameters::File(path) => (path.as_os_str(), Stdio::null()),
            Parameters::Inline(text) => {
                let memory = in_memory(text).map_err(|source| {
                    let (node, kind) = names();
                    FenceError::Parameters { node, kind, source }
                })?;
                (OsStr::new("/dev/stdin"), memory.into())
            }
        };
        let mut command = Command::new(&self.program);
        command.arg("-t").arg(&device.kind).arg("-F").arg(file);
        // Past the `--` nothing is an option, whatever a node is called.
        command.args(["-T", "reset", "--", node]).stdin(stdin);
        process::withhold(&mut command, &self.passed);
        let (end, tail) = process::run(command, self.timeout).await;
        let ((node, kind), output) = (names(), last_lines(&tail.text(), LINES));
        let failed = |what| FenceError::Failed {
            node: node.clone(),
            kind: kind.clone(),
            what,
            output: output.clone(),
        };
        match end {
            Ok(End::Exited(0)) => Ok(()),
            Ok(End::Exited(code)) => Err(failed(format!("stonith: exit code {code}{}", meaning(code)))),
            Ok(End::Signalled(signal)) => Err(failed(format!("stonith: killed by signal {signal}"))),
            Ok(End::Untold(reason)) => Err(failed(reason)),
            Ok(End::TimedOut | End::Aborted) => Err(FenceError::TimedOut {
                node,
                kind,
                limit: self.timeout,
                output,
            }),
            Err(source) => Err(FenceError::NotStarted {
                node,
                kind,
                program: self.program.clone(),
                source,
            }),
        }
    }
}

fn meaning(code: i32) -> &'static str {
    match code {
        1 => " (bad or missing parameters)",
        5 => " (the device could not reset it)",
        8 => " (no such type of device: see `stonith -L`)",
        _ => "",
    }
}

/// A file that is in no directory and on no disk.
fn in_memory(text: &str) -> io::Result<File> {
    // The file has a first line only: what follows a line break would be ignored silently.
    if text.contains(['\n', '\0']) || text.trim_start().starts_with('#') {
        return Err(Errno::EINVAL.into());
    }
    let mut file = File::from(memfd_create(c"stonith", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests;
