//! What hb.toml sets, with the defaults in force where it does not.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::time::Duration;

use crate::realtime::{Priority, Programs};

/// How resource scripts are called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scripts {
    /// How long one call may take.
    pub timeout: Duration,
    /// How often a failed `stop` is repeated; 0 is for ever, as with Heartbeat's `HA_STOPRETRYMAX`.
    pub stop_retries: u32,
    /// The pause before each repetition.
    pub stop_pause: Duration,
    /// In which class they run, and whatever else the daemon starts.
    pub programs: Programs,
    /// Variables of the daemon's that they find although their names are those of secrets.
    pub pass_env: Vec<String>,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(1),
            // Heartbeat's numbers.
            stop_retries: 10,
            stop_pause: Duration::from_secs(1),
            programs: Programs::default(),
            pass_env: Vec::new(),
        }
    }
}

/// How the daemon's own threads are scheduled: ha.cf's `realtime` and `rtprio`, and `[realtime]` of hb.toml.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Realtime {
    /// Whether there is to be any real time, and locked memory.
    pub enabled: bool,
    /// The priority of the thread that beats, where it is `SCHED_FIFO`.
    pub priority: Priority,
    /// The class that is asked for first, if any is.
    pub preferred: Scheduling,
    /// The processors that the thread that beats stays on; none means all.
    pub cpus: Vec<u16>,
    /// Who watches the deadlines.
    pub deadlines: Deadlines,
}

impl Default for Realtime {
    fn default() -> Self {
        Self {
            enabled: true,
            priority: Priority::MIDDLE,
            preferred: Scheduling::Deadline,
            cpus: Vec::new(),
            deadlines: Deadlines::Kernel,
        }
    }
}

impl Realtime {
    /// What is asked for first, all in all.
    #[must_use]
    pub fn scheduling(&self) -> Scheduling {
        if self.enabled { self.preferred } else { Scheduling::None }
    }
}

/// A scheduling class that can be preferred.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheduling {
    /// `SCHED_DEADLINE`, and where that is refused `SCHED_FIFO`.
    Deadline,
    /// `SCHED_FIFO` only.
    Fifo,
    /// The normal class.
    None,
}

impl Display for Scheduling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deadline => "deadline",
            Self::Fifo => "fifo",
            Self::None => "none",
        })
    }
}

/// Who watches the deadlines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deadlines {
    /// The kernel's timers, where it has any, and the thread that beats beside them.
    Kernel,
    /// The thread alone.
    Thread,
}

impl Display for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Thread => "thread",
        })
    }
}

/// What the cluster does where Heartbeat leaves no choice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// How much longer than the deadtime a takeover waits after a death, so that a cut-off owner can stop.
    pub takeover_delay: Duration,
    /// When a group whose start failed is tried again.
    pub start_retry: Duration,
    /// What follows a stop that fails for good.
    pub stuck: StuckPolicy,
    /// What reboots this host: an absolute program and its arguments. Never empty.
    pub reboot_command: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            takeover_delay: Duration::ZERO,
            start_retry: Duration::from_mins(1),
            stuck: StuckPolicy::Reboot,
            reboot_command: vec!["/sbin/reboot".to_owned(), "-nf".to_owned()],
        }
    }
}

/// What follows a stop that fails for good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StuckPolicy {
    /// The host is rebooted, as by Heartbeat.
    Reboot,
    /// The group stays with this node, and nobody takes it over unless the node is fenced.
    Hold,
}

impl Display for StuckPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reboot => "reboot",
            Self::Hold => "hold",
        })
    }
}

/// How fencing devices are used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fencing {
    /// cluster-glue's `stonith`.
    pub program: PathBuf,
    /// How long one call may take.
    pub timeout: Duration,
    /// The pause after a failed attempt.
    pub retry: Duration,
}

impl Default for Fencing {
    fn default() -> Self {
        Self {
            program: PathBuf::from("/usr/sbin/stonith"),
            timeout: Duration::from_mins(1),
            retry: Duration::from_secs(10),
        }
    }
}

/// How the daemon is restarted in place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Restart {
    /// For how long the others are asked to wait for it.
    pub promise: Duration,
    /// Whether the XDP program stays on its interfaces meanwhile, pinned, and goes on hearing.
    pub pin: bool,
}

impl Restart {
    /// The longest promise: the others believe none that is longer (`MAX_PROMISE` of hb-ebpf).
    pub const LONGEST: Duration = Duration::from_secs(10);
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            promise: Duration::from_secs(2),
            pin: true,
        }
    }
}

/// How the addresses that hb moves itself are looked after.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addresses {
    /// How often one that is here is announced again; never where it is 0.
    pub refresh: Duration,
    /// How often it is looked for, and asked for on its network; never where it is 0.
    pub check: Duration,
    /// What is done when another machine uses it, too.
    pub conflict: ConflictPolicy,
    /// How long an answer to a probe is waited for.
    pub probe: Duration,
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            refresh: Duration::from_mins(1),
            check: Duration::from_secs(10),
            conflict: ConflictPolicy::Log,
            probe: Duration::from_millis(200),
        }
    }
}

/// What is done when another machine uses an address of ours, too (RFC 5227).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConflictPolicy {
    /// Nobody listens.
    Ignore,
    /// The address is taken at once, and whoever answers beside it is told of.
    Log,
    /// It is asked for first, and not taken when somebody answers.
    Refuse,
}

impl Display for ConflictPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ignore => "ignore",
            Self::Log => "log",
            Self::Refuse => "refuse",
        })
    }
}

/// How a running group is watched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Monitor {
    /// How often its resources are asked for their `status`.
    pub interval: Duration,
    /// How many failures in a row are a failure of the group. Never 0.
    pub failures: u32,
}

impl Default for Monitor {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            failures: 3,
        }
    }
}

/// Where the inputs of the core are recorded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recorder {
    /// The file, an absolute path.
    pub file: PathBuf,
    /// How many bytes it may grow to.
    pub max_bytes: u64,
}
