//! Scheduling classes: what each thread of the daemon asks for, and what the kernel grants (sched(7)).
//!
//! `SCHED_DEADLINE` comes first: it preempts every `SCHED_FIFO` thread, of whatever priority, and it bounds us. The kernel
//! lets a thread wait that has used up what it reserved, where a limit of real time (`RLIMIT_RTTIME`) kills the process.
//! With `SCHED_FLAG_RECLAIM` what is reserved is guaranteed, and what nobody else has reserved may be used, too: time that
//! a hypervisor steals from us counts as ours.
//!
//! What threads start is of the normal class (`SCHED_FLAG_RESET_ON_FORK`), but for programs: see [`Programs`].

mod memory;

use std::fmt::{self, Display};
use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

pub use memory::{lock, touch_stack};

use crate::config::{self, Scheduling};

/// The longest period of the thread that beats. With a shorter interval between beats it is that interval.
const PULSE_PERIOD: Duration = Duration::from_millis(5);
/// The least that it reserves of each period: enough for a beat to each of 15 peers.
const PULSE_RUNTIME: Duration = Duration::from_micros(250);
/// The others' periods are longer, so that of two threads that are due the one that beats goes first.
const HANDS: Policy = Policy::Deadline {
    runtime: Duration::from_millis(1),
    period: Duration::from_millis(10),
};
const CONTROLLER: Policy = Policy::Deadline {
    runtime: Duration::from_millis(2),
    period: Duration::from_millis(20),
};
/// For TLS: what it needs beyond that it takes from what nobody has reserved.
const CLOUD: Policy = Policy::Deadline {
    runtime: Duration::from_millis(1),
    period: Duration::from_millis(20),
};
const SPAWNER: Policy = Policy::Deadline {
    runtime: Duration::from_millis(1),
    period: Duration::from_millis(20),
};
/// The controller's priority, unless that of the thread that beats is hardly higher.
const LOW: u8 = 10;

/// A priority among `SCHED_FIFO` threads: 1 to 99.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Priority(u8);

impl Priority {
    /// The middle, as Heartbeat's `rtprio`.
    pub const MIDDLE: Self = Self(50);

    /// A priority, if there is one of this number.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (1..=99).contains(&number).then_some(Self(number))
    }

    /// So much lower, or the lowest.
    fn below(self, by: u8) -> Self {
        Self(self.0.saturating_sub(by).max(1))
    }
}

impl Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A scheduling class, and what belongs to it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Policy {
    /// `SCHED_DEADLINE`: so much of every period, before everything else.
    Deadline {
        /// How much.
        runtime: Duration,
        /// Of which time.
        period: Duration,
    },
    /// `SCHED_FIFO`.
    Fifo(Priority),
    /// `SCHED_OTHER`.
    #[default]
    Normal,
}

impl Policy {
    /// The class's name in the C library.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Deadline { .. } => "SCHED_DEADLINE",
            Self::Fifo(_) => "SCHED_FIFO",
            Self::Normal => "SCHED_OTHER",
        }
    }
}

/// `deadline 1ms/5ms`, `fifo 50` or `normal`.
impl Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline { runtime, period } => write!(f, "deadline {runtime:?}/{period:?}"),
            Self::Fifo(priority) => write!(f, "fifo {priority}"),
            Self::Normal => f.write_str("normal"),
        }
    }
}

/// What a thread asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wanted {
    /// The classes to try, the best first; when all are refused, or there are none, it is the normal one.
    policies: Vec<Policy>,
    /// The processors to stay on; none means all.
    cpus: Vec<u16>,
}

/// The thread that beats.
///
/// One that is pinned to processors cannot be `SCHED_DEADLINE` (the kernel admits by all processors of a cpuset), so with
/// `cpus` it asks for `SCHED_FIFO` only.
#[must_use]
pub fn pulse(settings: &config::Realtime, interval: Duration) -> Wanted {
    let period = PULSE_PERIOD.min(interval);
    let deadline = Policy::Deadline {
        runtime: (period / 5).max(PULSE_RUNTIME).min(period),
        period,
    };
    let mut wanted = wanted(settings, deadline, settings.priority);
    if !settings.cpus.is_empty() {
        wanted.policies.retain(|policy| matches!(policy, Policy::Fifo(_)));
        wanted.cpus.clone_from(&settings.cpus);
    }
    wanted
}

/// The thread that moves local addresses: 1 ms of every 10, or a priority next to that of the thread that beats.
#[must_use]
pub fn hands(settings: &config::Realtime) -> Wanted {
    wanted(settings, HANDS, settings.priority.below(1))
}

/// The thread that talks to the providers of floating IPs: 1 ms of every 20, or a low priority.
#[must_use]
pub fn cloud(settings: &config::Realtime) -> Wanted {
    wanted(settings, CLOUD, low(settings.priority))
}

/// The controller, which decides: 2 ms of every 20, or a low priority. That alone would not do: against a hog of
/// `SCHED_FIFO` a lower priority has nothing at all, where the normal class has the 5 % that the kernel keeps for it.
#[must_use]
pub fn controller(settings: &config::Realtime) -> Wanted {
    wanted(settings, CONTROLLER, low(settings.priority))
}

fn low(pulse: Priority) -> Priority {
    pulse.below(2).min(Priority(LOW))
}

fn wanted(settings: &config::Realtime, deadline: Policy, priority: Priority) -> Wanted {
    let policies = match settings.scheduling() {
        Scheduling::Deadline => vec![deadline, Policy::Fifo(priority)],
        Scheduling::Fifo => vec![Policy::Fifo(priority)],
        Scheduling::None => Vec::new(),
    };
    Wanted {
        policies,
        cpus: Vec::new(),
    }
}

/// What the kernel granted to a thread.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Granted {
    /// The class.
    pub policy: Policy,
    /// What was asked for before that, and why it was refused.
    pub passed_over: Vec<String>,
    /// Why it does not stay on the processors that it should stay on.
    pub affinity_refused: Option<String>,
}

impl Granted {
    /// Why the thread has no real-time class, if it should have one.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        let is_refused = self.policy == Policy::Normal && !self.passed_over.is_empty();
        is_refused.then(|| self.passed_over.join(", "))
    }

    /// Why it has not got the best class that it asked for, if it has another.
    #[must_use]
    pub fn second_best(&self) -> Option<String> {
        let is_other = self.policy != Policy::Normal && !self.passed_over.is_empty();
        is_other.then(|| self.passed_over.join(", "))
    }
}

/// Asks for the calling thread. A refusal is an answer, not an error.
#[must_use]
pub fn ask(wanted: &Wanted) -> Granted {
    let mut granted = Granted {
        affinity_refused: pin(&wanted.cpus).err().map(|errno| {
            let cpus: Vec<_> = wanted.cpus.iter().map(ToString::to_string).collect();
            format!("cpus {}: {}", cpus.join(" "), errno.desc())
        }),
        ..Granted::default()
    };
    for policy in &wanted.policies {
        match set(*policy, 0, Children::Normal) {
            Ok(()) => {
                granted.policy = *policy;
                break;
            }
            Err(error) => granted
                .passed_over
                .push(format!("{}: {}", policy.class(), explained(*policy, &error))),
        }
    }
    if granted.policy == Policy::Normal && !is_normal() {
        // A process that was another before has what that had. To give it up is always allowed.
        let _ = set(Policy::Normal, 0, Children::Normal);
    }
    granted
}

fn is_normal() -> bool {
    // SAFETY: 0 is the calling thread; nothing is written. The flag of what children inherit comes with the class.
    let class = unsafe { libc::sched_getscheduler(0) };
    class & !libc::SCHED_RESET_ON_FORK == libc::SCHED_OTHER
}

/// What the kernel's answer means for this class.
fn explained(policy: Policy, error: &io::Error) -> String {
    let why = match (policy, error.raw_os_error()) {
        (Policy::Deadline { .. }, Some(libc::EBUSY)) => {
            " (others have reserved too much, or too few processors are left)"
        }
        (Policy::Deadline { .. }, Some(libc::EPERM)) => {
            " (CAP_SYS_NICE is missing, or the process is pinned to processors)"
        }
        (Policy::Deadline { .. }, Some(libc::EINVAL)) => " (sched_deadline_period_min_us and _max_us do not allow it)",
        (Policy::Fifo(_), Some(libc::EPERM)) => " (CAP_SYS_NICE is missing)",
        (Policy::Deadline { .. } | Policy::Fifo(_) | Policy::Normal, _) => "",
    };
    format!("{error}{why}")
}

/// How programs run that the daemon starts, and whatever they start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Programs {
    /// `SCHED_FIFO` of this priority; the normal class without one.
    pub priority: Option<Priority>,
    /// Their nice value in the normal class.
    pub nice: i8,
}

/// Makes the calling thread one whose children run like that: they inherit it, so that there is no moment at which they
/// are anything else, and pass it on.
///
/// Children of the normal class at nice 0 need no model: a real-time thread that is told so leaves just that to them. So
/// the thread is one, and does not wait when there is something to start.
pub fn become_parent(programs: Programs, settings: &config::Realtime) -> io::Result<()> {
    match programs {
        Programs {
            priority: Some(priority),
            ..
        } => set(Policy::Fifo(priority), 0, Children::Same),
        Programs {
            priority: None,
            nice: 0,
        } => {
            let granted = ask(&wanted(settings, SPAWNER, low(settings.priority)));
            if granted.policy == Policy::Normal {
                set(Policy::Normal, 0, Children::Same)?;
            }
            Ok(())
        }
        Programs { priority: None, nice } => set(Policy::Normal, nice, Children::Same),
    }
}

/// What a thread's children are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Children {
    /// Of the normal class.
    Normal,
    /// What it is itself.
    Same,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_sign_loss,
    reason = "small constants of the C library, in the kernel's types"
)]
fn set(policy: Policy, nice: i8, children: Children) -> io::Result<()> {
    let flags = match children {
        Children::Normal => libc::SCHED_FLAG_RESET_ON_FORK,
        Children::Same => 0,
    };
    let mut attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0),
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: flags as u64,
        sched_nice: i32::from(nice),
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    match policy {
        Policy::Deadline { runtime, period } => {
            attributes.sched_policy = libc::SCHED_DEADLINE as u32;
            attributes.sched_flags |= libc::SCHED_FLAG_RECLAIM as u64;
            attributes.sched_runtime = nanos(runtime);
            attributes.sched_deadline = nanos(period);
            attributes.sched_period = nanos(period);
        }
        Policy::Fifo(priority) => {
            attributes.sched_policy = libc::SCHED_FIFO as u32;
            attributes.sched_priority = u32::from(priority.0);
        }
        Policy::Normal => {}
    }
    // SAFETY: 0 is the calling thread, the attributes have the size that they say, and are read during the call.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn pin(cpus: &[u16]) -> Result<(), Errno> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    cpus.iter().try_for_each(|cpu| set.set(usize::from(*cpu)))?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

#[cfg(test)]
mod tests;
