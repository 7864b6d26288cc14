//! The thread that starts programs.
//!
//! Whoever starts a program waits until the child has become it, and the child needs the processor for that as a thread
//! of the normal class: on a starved host it can take seconds. So the controller lets another thread wait. And since a
//! child inherits the class of the thread that starts it, this thread is what the programs shall be.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::config::Realtime;
use crate::realtime::{self, Programs};

/// The one of this process. A program that has none starts children by itself.
static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();

enum Job {
    Start(Box<Command>, Handle, oneshot::Sender<io::Result<Child>>),
    Become(Programs),
}

/// Starts the thread, once for the process.
pub fn start(programs: Programs, settings: Realtime) -> io::Result<()> {
    let (sender, jobs) = mpsc::channel();
    if SPAWNER.set(sender).is_ok() {
        thread::Builder::new()
            .name("hb-spawn".into())
            .spawn(move || run(&jobs, programs, &settings))?;
    }
    Ok(())
}

/// From now on programs run like that.
pub fn change(programs: Programs) {
    if let Some(spawner) = SPAWNER.get() {
        // The thread ends with the process.
        let _ = spawner.send(Job::Become(programs));
    }
}

/// Starts a program on that thread. Needs the runtime that will wait for it.
pub(super) async fn spawn(mut command: Command) -> io::Result<Child> {
    let Some(spawner) = SPAWNER.get() else {
        return command.spawn();
    };
    let (started, child) = oneshot::channel();
    let gone = || io::Error::other("the thread that starts programs is gone");
    let job = Job::Start(Box::new(command), Handle::current(), started);
    spawner.send(job).map_err(|_| gone())?;
    child.await.map_err(|_| gone())?
}

fn run(jobs: &Receiver<Job>, programs: Programs, settings: &Realtime) {
    adopt(programs, settings);
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Start(mut command, runtime, started) => {
                let _inside = runtime.enter();
                // Who asked may have gone: then the child is killed.
                let _ = started.send(command.spawn());
            }
            Job::Become(programs) => adopt(programs, settings),
        }
    }
}

fn adopt(programs: Programs, settings: &Realtime) {
    if let Err(error) = realtime::become_parent(programs, settings) {
        tracing::warn!(%error, "scripts run as the daemon does: [scripts] rtprio and nice of hb.toml take CAP_SYS_NICE");
    }
}
