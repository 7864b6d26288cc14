//! A flood of frames from a host: as many a second as one processor can send, for a time.

use std::{
    collections::BTreeSet,
    io::IoSlice,
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use nix::{
    errno::Errno,
    sched::{CpuSet, sched_setaffinity},
    sys::socket::{LinkAddr, MsgFlags, MultiHeaders, sendmmsg},
    unistd::Pid,
};

use crate::{clock::Moment, host::Host, wire::packet_socket};

/// How many frames one system call sends.
const BATCH: usize = 64;

/// What came of a flood.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// How many frames the interface took.
    pub frames: u64,
    /// In what time.
    pub took: Duration,
}

impl Sent {
    /// Frames a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a few million frames")]
    pub fn rate(&self) -> f64 {
        self.frames as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// A flood, which ends when this is dropped, and by itself after its limit.
#[derive(Debug)]
pub struct Flood {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    outcome: std::sync::mpsc::Receiver<Result<Sent>>,
}

impl Flood {
    /// Sends these frames on an interface of a host's, in turn, again and again; on one processor, where one is given.
    pub fn start(
        host: &Host,
        interface: &str,
        frames: Vec<Vec<u8>>,
        processor: Option<usize>,
        limit: Duration,
    ) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let (tell, outcome) = std::sync::mpsc::sync_channel(1);
        let thread = {
            let (over, interface) = (Arc::clone(&over), interface.to_owned());
            host.network_thread("flood", move || {
                // Who wanted to know has gone.
                let _ = tell.send(send(&interface, &frames, processor, limit, &over));
            })?
        };
        Ok(Self {
            over,
            thread: Some(thread),
            outcome,
        })
    }

    /// Ends it.
    pub fn stop(mut self) -> Result<Sent> {
        self.end();
        self.outcome.recv().context("the flood ended without a word")?
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.end();
    }
}

fn send(
    interface: &str,
    frames: &[Vec<u8>],
    processor: Option<usize>,
    limit: Duration,
    over: &AtomicBool,
) -> Result<Sent> {
    if let Some(processor) = processor {
        pin(Pid::from_raw(0), processor).map_err(|errno| anyhow!("cannot run on processor {processor}: {errno}"))?;
    }
    let (socket, address) = packet_socket(interface)?;
    let slices: Vec<_> = frames.iter().map(|frame| [IoSlice::new(frame)]).collect();
    let mut headers = MultiHeaders::<LinkAddr>::preallocate(BATCH, None);
    let to = [Some(address); BATCH];
    let began = Moment::now();
    let mut sent = 0;
    for batch in slices.chunks(BATCH).cycle() {
        if over.load(Ordering::Relaxed) || began.elapsed() >= limit {
            break;
        }
        match sendmmsg(socket.as_raw_fd(), &mut headers, batch, to, [], MsgFlags::empty()) {
            Ok(results) => sent += results.count() as u64,
            // The interface's queue was full.
            Err(Errno::ENOBUFS | Errno::EINTR | Errno::EAGAIN) => {}
            Err(error) => return Err(error).context("cannot send a flood"),
        }
    }
    Ok(Sent {
        frames: sent,
        took: began.elapsed(),
    })
}

/// Lets a thread run on one processor only.
pub fn pin(thread: Pid, processor: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(processor)?;
    sched_setaffinity(thread, &set)
}

/// Lets all threads of these processes run on one processor only, as far as the kernel allows it; gives the threads for
/// which it does not. Those of `SCHED_DEADLINE` are among them.
pub fn pin_processes(processes: &[Pid], processor: usize) -> Result<BTreeSet<i32>> {
    let mut refused = BTreeSet::new();
    for process in processes {
        for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let Some(thread) = task?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            match pin(Pid::from_raw(thread), processor) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(_) => {
                    refused.insert(thread);
                }
            }
        }
    }
    Ok(refused)
}
