//! A process inside a host.

use std::{
    process::{Child, ExitStatus},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::clock::{lock, poll};

/// Longest that a killed process may take to be gone.
const DYING: Duration = Duration::from_secs(10);

/// A process inside a host. It is killed when this is dropped, or when its host is.
#[derive(Debug)]
pub struct HostProcess {
    running: Arc<Running>,
    what: String,
}

impl HostProcess {
    pub(crate) fn new(running: Arc<Running>, what: String) -> Self {
        Self { running, what }
    }

    /// Its process id, as seen from outside the host.
    #[must_use]
    pub fn pid(&self) -> u32 {
        lock(&self.running.0).id()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill9(&self) -> Result<()> {
        self.running.end().with_context(|| format!("cannot kill {}", self.what))
    }

    /// SIGTERM.
    pub fn term(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// SIGSTOP: freezes it, as a paused virtual machine would be.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// SIGCONT: lets it go on.
    pub fn cont(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Sends a signal; an error when the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // Nobody else waits for it, so while it is not waited for its id cannot belong to another process.
        let mut child = lock(&self.running.0);
        if let Some(status) = child.try_wait()? {
            bail!("cannot send {signal} to {}: it ended with {status}", self.what);
        }
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        kill(pid, signal).with_context(|| format!("cannot send {signal} to {}", self.what))
    }

    /// How it ended, or `None` while it runs.
    pub fn exit_status(&self) -> Result<Option<ExitStatus>> {
        Ok(lock(&self.running.0).try_wait()?)
    }

    /// Waits until it ends; an error when it has not ended within `limit`.
    pub fn wait_exit(&self, limit: Duration) -> Result<ExitStatus> {
        poll(limit, || self.exit_status())?.with_context(|| format!("{} still runs after {limit:?}", self.what))
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.kill9();
    }
}

/// The child itself, shared with its host.
#[derive(Debug)]
pub(crate) struct Running(Mutex<Child>);

impl Running {
    pub(crate) fn new(child: Child) -> Self {
        Self(Mutex::new(child))
    }

    /// Whether it has ended; then it has been collected.
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(lock(&self.0).try_wait(), Ok(None))
    }

    /// Kills it and collects it. A host can only be removed when nobody in it waits to be collected.
    pub(crate) fn end(&self) -> Result<()> {
        let mut child = lock(&self.0);
        child.kill()?;
        poll(DYING, || Ok(child.try_wait()?))?.with_context(|| format!("still there {DYING:?} after SIGKILL"))?;
        Ok(())
    }
}
