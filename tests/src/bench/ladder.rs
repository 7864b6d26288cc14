//! What else goes on while something is measured: from nothing to hogs that hold every processor.

use std::{fmt, fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    plan::Plan,
    processes::{self, Process},
    reserved::with_reserved_time,
};
use crate::{
    clock::{pause, poll},
    host::Host,
    process::HostProcess,
};

/// A step of the ladder.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Step {
    /// Nothing.
    Idle,
    /// Processes that compute, eight for each processor.
    Hogs,
    /// Processes that hand the processor to each other, in another session than everybody else, as services are.
    Churn,
    /// Timers by signal, a million a second.
    Timers,
    /// High-resolution timers, by processes that make themselves `SCHED_RR`.
    HighResolution,
    /// Processes that fill more than half of the memory, check it, and give it back.
    Memory,
    /// One `SCHED_FIFO` hog of priority 40 for each processor.
    Fifo40,
    /// The same of priority 99.
    Fifo99,
    /// Nothing, but a daemon is frozen for half a deadtime.
    FrozenBriefly,
    /// Nothing, but a daemon is frozen for three deadtimes.
    Frozen,
}

/// Longest that real-time hogs may hold every processor.
pub const REALTIME_LIMIT: Duration = Duration::from_secs(15);
/// Longest that anything else runs, if nobody ends it.
const LIMIT: Duration = Duration::from_secs(150);
/// Longest that it may take until it really runs.
const STARTING: Duration = Duration::from_secs(20);
/// How much processor time its workers must have had before it counts as running, for each processor.
const RUNNING: Duration = Duration::from_millis(100);
/// So many times as much when memory has to be filled first.
const FILLING: u32 = 10;
/// How often is looked. Looking costs, too.
const LOOK: Duration = Duration::from_millis(20);

/// A named pipe in its host, through which it is told to begin.
const GO: &str = "/run/go";

/// The program.
const STRESS: &str = "/usr/bin/stress-ng";

impl Step {
    /// All, from the bottom.
    pub const ALL: [Self; 10] = [
        Self::Idle,
        Self::Hogs,
        Self::Churn,
        Self::Timers,
        Self::HighResolution,
        Self::Memory,
        Self::Fifo40,
        Self::Fifo99,
        Self::FrozenBriefly,
        Self::Frozen,
    ];

    /// Its name, as in `--only`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Hogs => "hogs",
            Self::Churn => "churn",
            Self::Timers => "timers",
            Self::HighResolution => "hrtimers",
            Self::Memory => "memory",
            Self::Fifo40 => "fifo40",
            Self::Fifo99 => "fifo99",
            Self::FrozenBriefly => "frozen-briefly",
            Self::Frozen => "frozen",
        }
    }

    /// The steps that a plan wants, of which some are enough for a first impression. Those that cannot be had here are
    /// named, and left out.
    #[must_use]
    pub fn wanted(plan: &Plan, quick: &[Self]) -> Vec<Self> {
        let named = plan.only.iter().any(|only| Self::names().contains(&only.as_str()));
        let mut steps = Vec::new();
        for step in Self::ALL {
            if !plan.wants(step.name(), &Self::names()) || (plan.quick && !named && !quick.contains(&step)) {
                continue;
            }
            match step.obstacle() {
                Some(reason) => println!("step {step} left out: {reason}\n"),
                None => steps.push(step),
            }
        }
        steps
    }

    /// The names of all.
    #[must_use]
    pub fn names() -> [&'static str; 10] {
        Self::ALL.map(Self::name)
    }

    /// For how long it may go on in one go.
    #[must_use]
    pub const fn limit(self) -> Duration {
        match self {
            Self::Fifo40 | Self::Fifo99 => REALTIME_LIMIT,
            Self::Idle
            | Self::Hogs
            | Self::Churn
            | Self::Timers
            | Self::HighResolution
            | Self::Memory
            | Self::FrozenBriefly
            | Self::Frozen => LIMIT,
        }
    }

    /// For how many deadtimes a daemon is frozen; `None` if none is.
    #[must_use]
    pub const fn freeze(self) -> Option<f64> {
        match self {
            Self::FrozenBriefly => Some(0.5),
            Self::Frozen => Some(3.0),
            Self::Idle
            | Self::Hogs
            | Self::Churn
            | Self::Timers
            | Self::HighResolution
            | Self::Memory
            | Self::Fifo40
            | Self::Fifo99 => None,
        }
    }

    /// Why it cannot be had here, if it cannot.
    #[must_use]
    pub fn obstacle(self) -> Option<&'static str> {
        let missing = self.stress(1).is_some() && !std::path::Path::new(STRESS).is_file();
        missing.then_some("stress-ng is not installed: run `cargo xtask setup --rivals`")
    }

    /// What stress-ng is asked for on a machine of so many processors, and how many workers that makes; `None` if it is
    /// not needed.
    fn stress(self, processors: usize) -> Option<(Vec<String>, usize)> {
        let of = |kinds: &[&str], each: usize, more: &[&str]| {
            let workers = processors * each;
            let wanted = kinds.iter().flat_map(|kind| [format!("--{kind}"), workers.to_string()]);
            let words = wanted.chain(more.iter().map(|word| (*word).to_owned())).collect();
            Some((words, workers * kinds.len()))
        };
        match self {
            Self::Idle | Self::FrozenBriefly | Self::Frozen => None,
            Self::Hogs => of(&["cpu"], 8, &[]),
            Self::Churn => of(&["switch", "pipe"], 4, &[]),
            Self::Timers => of(&["timer"], 2, &[]),
            Self::HighResolution => of(&["hrtimers"], 1, &[]),
            // Of what is available, all workers together: nobody has to be killed for lack of memory.
            Self::Memory => of(&["vm"], 1, &["--vm-bytes", "60%"]),
            Self::Fifo40 => of(&["cpu"], 1, &["--sched", "fifo", "--sched-prio", "40"]),
            Self::Fifo99 => of(&["cpu"], 1, &["--sched", "fifo", "--sched-prio", "99"]),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A step that is being stood on, until this is dropped. It has a PID namespace of its own, whose end is everybody's in
/// it, and which ends with the harness whatever becomes of that.
#[derive(Debug)]
pub struct Stress {
    step: Step,
    host: Host,
    _starter: HostProcess,
}

impl Stress {
    /// Does something while a step is stood on, on a thread with reserved time; with nothing, and on this thread, where
    /// nothing runs.
    pub fn during<T: Send>(step: Step, work: impl FnOnce(Option<&Self>) -> Result<T> + Send) -> Result<T> {
        let processors = thread::available_parallelism()?.get();
        let Some((wanted, workers)) = step.stress(processors) else {
            return work(None);
        };
        let stress = Self::prepare(step, &wanted)?;
        with_reserved_time(move || {
            stress.begin(processors, workers)?;
            work(Some(&stress))
        })
    }

    /// Starts it, as far as waiting for [`begin`](Self::begin). What starts a process is not on the thread that has
    /// reserved time, but shares its memory: once the hogs run it might be held off in the middle of changing that, and
    /// hold everybody.
    fn prepare(step: Step, wanted: &[String]) -> Result<Self> {
        let host = Host::create("stress")?;
        host.run_ok("mkfifo", &[GO])?;
        // A session of its own is a scheduling group of its own: sched(7), "The autogroup feature".
        let mut command = host.command("setsid");
        command.args(["--fork", "sh", "-c", &format!("read -r go <{GO}; exec \"$@\""), "sh"]);
        command.args([STRESS, "--quiet", "--timeout"]);
        command.arg(format!("{}s", step.limit().as_secs())).args(wanted);
        let starter = host.spawn(&mut command)?;
        Ok(Self {
            step,
            host,
            _starter: starter,
        })
    }

    /// Lets it go, and waits until it really runs.
    fn begin(&self, processors: usize, workers: usize) -> Result<()> {
        let go = format!("/proc/{}/root{GO}", self.host.pid());
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let waiting = poll(STARTING, || match options.open(&go) {
            Ok(go) => Ok(Some(go)),
            // Nobody reads it yet.
            Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => {
                pause(LOOK);
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("cannot open {go}")),
        })?;
        let mut waiting = waiting.with_context(|| format!("{}: does not start: {}", self.step, self.host.log()))?;
        writeln!(waiting)?;
        let filling = if self.step == Step::Memory { FILLING } else { 1 };
        let enough = RUNNING * u32::try_from(processors)? * filling;
        let running = poll(STARTING, || {
            let all = self.workers()?;
            let ran: Duration = all.iter().map(|worker| worker.ran).sum();
            if all.len() >= workers && ran >= enough {
                return Ok(Some(()));
            }
            pause(LOOK);
            Ok(None)
        })?;
        running.with_context(|| {
            format!(
                "{}: not {workers} workers that ran within {STARTING:?}: {:?}\n{}",
                self.step,
                self.workers(),
                self.host.log()
            )
        })
    }

    /// What ends it from any thread.
    pub fn ending(&self) -> Result<Ending> {
        Ok(Ending {
            step: self.step,
            first: Pid::from_raw(i32::try_from(self.host.pid())?),
            workers: self.workers()?.iter().map(|worker| worker.pid).collect(),
        })
    }

    /// Insists that it still goes on.
    pub fn ensure_running(&self) -> Result<()> {
        ensure!(
            !self.workers()?.is_empty(),
            "{}: has ended too early: {}",
            self.step,
            self.host.log()
        );
        Ok(())
    }

    fn workers(&self) -> Result<Vec<Process>> {
        let mut all = processes::of_host(&self.host)?;
        all.retain(|process| process.name.starts_with("stress-ng-"));
        Ok(all)
    }
}

/// Ends a step from a thread that is not held off the processor by it, as everybody else may be.
#[derive(Debug)]
pub struct Ending {
    step: Step,
    first: Pid,
    workers: Vec<Pid>,
}

impl Ending {
    /// Ends it, if it still goes on; that it does not is an error.
    pub fn end(&self) -> Result<()> {
        let mut workers = self.workers.iter();
        let goes_on = workers.any(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists());
        kill(self.first, Signal::SIGKILL)?;
        ensure!(goes_on, "{}: has ended too early", self.step);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
