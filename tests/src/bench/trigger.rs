//! Signals at planned moments, from a thread that no hog keeps off the processor.

use std::{
    sync::{
        Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::{Pid, gettid},
};

use super::reserved::reserve;
use crate::clock::{Moment, lock, pause};

/// The share of a processor that the thread reserves: so many microseconds of every so many. A process that holds others
/// by `SCHED_FIFO`, at whatever priority, cannot hold this one.
const RUNTIME_US: u32 = 500;
const PERIOD_US: u32 = 10_000;

/// A signal to some processes.
#[derive(Clone, Debug)]
pub struct Shot {
    /// When, at the earliest.
    pub at: Moment,
    /// What.
    pub signal: Signal,
    /// To whom; those that are gone by then are passed over.
    pub targets: Vec<Pid>,
}

/// What is to be done after the last shot, at once.
type Deed = Box<dyn FnOnce() -> Result<()> + Send>;

/// Shots, and what follows them.
type Order = (Vec<Shot>, Deed);

/// The thread.
#[derive(Debug)]
pub struct Trigger {
    orders: Option<SyncSender<Order>>,
    done: Mutex<Receiver<Result<Vec<Moment>>>>,
    thread: Option<JoinHandle<()>>,
    refused: Option<String>,
}

impl Trigger {
    /// Starts it. Where the kernel refuses to reserve time, the thread runs all the same, and [`refused`](Self::refused)
    /// says so.
    pub fn start() -> Result<Self> {
        let (orders, taken) = sync_channel::<Order>(1);
        let (answers, done) = sync_channel(1);
        let (told, thread_id) = sync_channel(1);
        let thread = std::thread::Builder::new().name("trigger".to_owned()).spawn(move || {
            if told.send(gettid()).is_err() {
                return;
            }
            for (shots, deed) in taken {
                let fired = fire(&shots).and_then(|fired| deed().map(|()| fired));
                if answers.send(fired).is_err() {
                    return;
                }
            }
        })?;
        let refused = reserve(thread_id.recv()?, RUNTIME_US, PERIOD_US)?;
        Ok(Self {
            orders: Some(orders),
            done: Mutex::new(done),
            thread: Some(thread),
            refused,
        })
    }

    /// Why it has no reserved time, if it has none.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Fires one shot after the other, and says when each was: its clock reading before its first signal.
    pub fn fire(&self, shots: Vec<Shot>) -> Result<Vec<Moment>> {
        self.fire_and(shots, || Ok(()))
    }

    /// The same, and does something more on the same thread, as soon as the last shot was fired.
    pub fn fire_and(
        &self,
        shots: Vec<Shot>,
        deed: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<Vec<Moment>> {
        let orders = self.orders.as_ref().context("the trigger's thread has ended")?;
        // Whoever takes no order any more has ended.
        let done = lock(&self.done);
        let sent = orders.send((shots, Box::new(deed)));
        ensure!(sent.is_ok(), "the trigger's thread has ended");
        done.recv()?
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn fire(shots: &[Shot]) -> Result<Vec<Moment>> {
    let mut fired = Vec::with_capacity(shots.len());
    for shot in shots {
        let wait = shot.at - Moment::now();
        if !wait.is_zero() {
            pause(wait);
        }
        fired.push(Moment::now());
        for target in &shot.targets {
            match kill(*target, shot.signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error).with_context(|| format!("cannot send {} to {target}", shot.signal)),
            }
        }
    }
    Ok(fired)
}

#[cfg(test)]
mod tests;
