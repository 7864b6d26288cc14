//! ha.cf, authkeys, haresources and hb.toml, read into one validated `Cluster` value.
//!
//! Each format has its file, a pure function from bytes to a value. [`Cluster::load`] reads the files, and is the only
//! place here that does.

mod address;
mod authkeys;
pub(crate) mod cloud;
pub mod differences;
mod digest;
mod error;
mod facts;
mod ha_cf;
mod haresources;
mod hb_toml;
mod host;
mod load;
mod options;
mod similar;
#[cfg(test)]
pub(crate) mod testing;
mod text;
mod time;
mod timers;

use std::fmt::{self, Display};
use std::net::IpAddr;
use std::path::PathBuf;

pub use address::{Address, Broadcast};
pub use authkeys::{Key, Keys};
pub(crate) use cloud::api_url;
pub use cloud::{CloudAddress, CloudKind, CloudSettings, CloudTarget, Identity, InstanceId, SecretSource};
pub use digest::node_id;
pub use error::ConfigError;
pub use ha_cf::{Facility, PingTarget, Pings, Stonith, StonithParameters};
pub use haresources::{Group, MAX_GROUPS, Resource};
pub use host::Host;
pub use load::{Loaded, load_clouds};
pub(crate) use load::{is_executable, outer_name, read_credential, read_secret};
pub use options::{
    Addresses, ConflictPolicy, Deadlines, Fencing, Monitor, Policy, Realtime, Recorder, Restart, Scheduling, Scripts,
    StuckPolicy,
};
pub use time::{TimeError, parse_toml as parse_time};
pub use timers::Timers;

/// Everything that the configuration files say, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Where the files were read from.
    pub dir: PathBuf,
    /// The nodes' names, lower-cased, each once, in ha.cf's order.
    pub nodes: Vec<String>,
    /// Which of `nodes` this host is.
    pub me: usize,
    /// The ways to the other nodes: the `ucast` lines that do not name this host. At least one leads to each.
    pub links: Vec<Link>,
    /// How often a beat is sent, and how long a silence means what.
    pub timers: Timers,
    /// The port that beats are sent to.
    pub udp_port: u16,
    /// Whether groups return to their preferred node.
    pub auto_failback: AutoFailback,
    /// Where and how much is logged.
    pub logging: Logging,
    /// The keys that sign and verify beats.
    pub keys: Keys,
    /// The resource groups, in haresources' order.
    pub groups: Vec<Group>,
    /// Hosts outside the cluster that settle who is cut off.
    pub pings: Pings,
    /// The devices that turn a node off, in ha.cf's order.
    pub stonith: Vec<Stonith>,
    /// How they are used.
    pub fencing: Fencing,
    /// The kernel's watchdog device, where it is to be fed.
    pub watchdog: Option<PathBuf>,
    /// The providers of floating IPs, in the order of [`CloudKind::ALL`].
    pub clouds: Vec<CloudSettings>,
    /// How resource scripts are called.
    pub scripts: Scripts,
    /// How the daemon's own threads are scheduled.
    pub realtime: Realtime,
    /// What is done where Heartbeat leaves no choice.
    pub policy: Policy,
    /// Where the inputs of the core are recorded, if anywhere.
    pub recorder: Option<Recorder>,
    /// How the daemon is restarted in place.
    pub restart: Restart,
    /// How the addresses that move without a script are looked after.
    pub addresses: Addresses,
    /// The ha.cf parameters that scripts see as `HA_<directive>`, with the text given: those that are set, and the
    /// defaults of keepalive, deadtime, udpport and `auto_failback`. Directives that repeat by nature (`node`, `ucast`)
    /// are not among them.
    pub directives: Vec<(String, String)>,
}

/// One `ucast` line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// The node that it leads to, an index into the cluster's nodes.
    pub node: usize,
    /// The interface that beats leave and arrive by.
    pub interface: String,
    /// That node's address on it.
    pub peer: IpAddr,
    /// The line of ha.cf.
    pub line: u32,
}

/// Whether a group returns to its preferred node when that comes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AutoFailback {
    /// It does.
    On,
    /// It stays where it is.
    Off,
    /// Heartbeat's default, the behaviour before the option existed: it does, when the preferred node asks.
    Legacy,
}

impl Display for AutoFailback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Legacy => "legacy",
        })
    }
}

/// Where and how much is logged.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Logging {
    /// A file that messages are appended to.
    pub logfile: Option<PathBuf>,
    /// The syslog facility, unless none is wanted.
    pub facility: Option<Facility>,
    /// 0 is silent about details; more is more.
    pub debug: u8,
}

/// Something accepted that an operator should look at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// The file, and the line where there is one: `ha.cf:3`.
    pub origin: String,
    /// What is odd, and what it leads to.
    pub message: String,
}

impl Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// One setting in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// The directive of ha.cf, or the key of hb.toml: `scripts.timeout`.
    pub name: String,
    /// The value in force.
    pub value: String,
    /// The file and line that set it (`ha.cf:3`), or `default`.
    pub origin: String,
}

impl Setting {
    /// Whether no file sets it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.origin == "default"
    }
}
