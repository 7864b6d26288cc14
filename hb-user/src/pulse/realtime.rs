//! Real time for the calling thread: `SCHED_FIFO`, and memory that is never paged out.

use std::io;

/// The priority among `SCHED_FIFO` threads: the middle of 1 to 99, as Heartbeat's `rtprio`.
const PRIORITY: i32 = 50;

/// What the kernel granted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Realtime {
    /// Why the thread is not `SCHED_FIFO`, if it is not.
    pub scheduling_refused: Option<String>,
    /// Why memory is not locked, if it is not.
    pub locking_refused: Option<String>,
}

impl Realtime {
    /// Asks for both, for the calling thread and its process. A refusal is an answer, not an error.
    pub(crate) fn ask() -> Self {
        Self {
            scheduling_refused: refused("SCHED_FIFO", schedule()),
            locking_refused: refused("mlockall", lock_memory()),
        }
    }
}

fn refused(what: &str, result: io::Result<()>) -> Option<String> {
    result.err().map(|error| format!("{what}: {error}"))
}

/// sched(7). Scripts must not inherit it: they are started from other threads, and reset it on fork all the same.
fn schedule() -> io::Result<()> {
    let parameters = libc::sched_param {
        sched_priority: PRIORITY,
    };
    // SAFETY: 0 is the calling thread, and the parameters are read during the call.
    let result =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// mlock(2). `MCL_ONFAULT`: what was never touched, such as the rest of every thread's stack, need not be in memory.
fn lock_memory() -> io::Result<()> {
    // SAFETY: it changes where pages are, not what is in them.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
