//! What `hb status --json` prints: docs/STATUS.md describes it, and it changes only by addition.
//!
//! Fields that end in `_ms` or `_us` are whole milliseconds or microseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a node stands.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// The version of hb.
    pub version: String,
    /// The node's name.
    pub node: String,
    /// `init`, `up` or `leaving`.
    pub status: String,
    /// This life of the daemon, as 16 hexadecimal digits.
    pub incarnation: String,
    /// The digest of the configuration, as 8 hexadecimal digits.
    pub config_digest: String,
    /// How long the daemon runs.
    pub uptime_ms: u64,
    /// keepalive.
    pub interval_us: u64,
    /// deadtime.
    pub deadtime_us: u64,
    /// What an operator has to act on. Each says what it is about before its first colon.
    pub alarms: Vec<String>,
    /// Whether nothing is to be touched.
    pub maintenance: bool,
    /// The nodes that want it so.
    pub maintenance_by: Vec<String>,
    /// What decides a partition: `none`, `pings` or `majority`.
    pub quorum: String,
    /// Whether this node may own anything.
    pub lease_held: bool,
    /// How many others have to hear this node, so that it may.
    pub lease_needed: usize,
    /// How many ping nodes, or groups of them, this node reaches.
    pub pings_reached: u8,
    /// How many ha.cf names.
    pub pings_named: usize,
    /// What the kernel granted to the pulse thread.
    pub realtime: RealtimeStatus,
    /// The pulse thread's own figures.
    pub pulse: PulseStatus,
    /// Who watches the deadlines.
    pub detection: DetectionStatus,
    /// Restarts in place.
    #[serde(default)]
    pub restart: RestartStatus,
    /// How the XDP program runs on each interface.
    pub datapath: Vec<DatapathStatus>,
    /// Frames that could not be put down to a link, by verdict.
    pub verdicts: BTreeMap<String, u64>,
    /// The other nodes.
    pub peers: Vec<PeerStatus>,
    /// The resource groups.
    pub groups: Vec<GroupStatus>,
    /// The addresses that move without a script.
    #[serde(default)]
    pub addresses: Vec<AddressStatus>,
    /// The floating IPs that are moved through a provider's API.
    #[serde(default)]
    pub floating_ips: Vec<FloatingIpStatus>,
    /// Whether the provider, where it is a witness, has answered since a node fell silent; `null` where it is none, or all are
    /// heard.
    #[serde(default)]
    pub witness: Option<bool>,
    /// The group that was taken over last, if one was.
    pub last_takeover: Option<Takeover>,
}

/// A floating IP that is moved through a provider's API, and how ready this host is to take it over.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FloatingIpStatus {
    /// As haresources has it: `digitalocean::203.0.113.10`.
    pub address: String,
    /// Its group.
    pub group: String,
    /// This host, as its provider calls it; `null` while that is not known.
    pub identity: Option<String>,
    /// The instance that has the address, as it was read last; `null` for nobody, or while that is not known.
    pub owner: Option<String>,
    /// Whether it is this host's; `null` while that is not known.
    pub ours: Option<bool>,
    /// Whether the metadata service shows it here; `null` where it does not tell.
    pub active: Option<bool>,
    /// Whether this host could take it over now; `null` before that was asked.
    pub ready: Option<bool>,
    /// What stands in the way.
    pub problems: Vec<String>,
    /// How long ago that was asked.
    pub checked_ms: Option<u64>,
    /// How long the answers took.
    pub answer_us: Option<u64>,
    /// The requests that the API still takes, where it tells.
    pub requests_left: Option<u64>,
    /// Of how many.
    pub requests_limit: Option<u64>,
    /// How often it was found to be somebody else's while the group ran here.
    pub moved_away: u64,
    /// How often the group was started again for that.
    pub taken_back: u32,
    /// In how long it may be taken back again, having been taken too often.
    pub held_off_ms: Option<u64>,
}

/// An address that moves without a script.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AddressStatus {
    /// The address.
    pub address: String,
    /// The interface that it is on, or would be put on; `null` where there is none for it now.
    pub interface: Option<String>,
    /// Whether this node has added it.
    pub held: bool,
    /// What came of the last question whether another machine has it: `none` (not asked), `needless` (after fencing),
    /// `waiting`, `free` or `taken`.
    pub probe: String,
    /// How often it was missing, and was put back.
    pub repairs: u64,
    /// How long ago that was.
    pub last_repair_ms: Option<u64>,
    /// Why it is not here although it should be.
    pub missing: Option<String>,
    /// How often another machine was heard that uses it, too.
    pub conflicts: u64,
    /// The Ethernet address of that machine, while it is heard.
    pub conflict_mac: Option<String>,
    /// How long ago it was heard.
    pub conflict_ago_ms: Option<u64>,
    /// How many of its announcements were not sent since it came, as of the last check.
    #[serde(default)]
    pub announce_errors: u64,
    /// Why the last one was not, if it was not.
    #[serde(default)]
    pub announce_error: Option<String>,
    /// For how long nothing has been said of it, since this host was frozen; `null`: it is announced.
    #[serde(default)]
    pub quiet_ms: Option<u64>,
}

/// What the kernel granted: `null` where it refused nothing.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RealtimeStatus {
    /// The pulse thread's class: `deadline 1ms/5ms` (so much of each period), `fifo 50` or `normal`.
    pub pulse: String,
    /// The controller's.
    pub controller: String,
    /// That of the thread that moves addresses, if there are any to be moved without a script.
    pub hands: Option<String>,
    /// Why the pulse thread has not got the best class that it asked for, but another of real time.
    pub second_best: Option<String>,
    /// Why the pulse thread has no real-time class.
    pub scheduling_refused: Option<String>,
    /// Why it does not stay on the processors that hb.toml names.
    pub affinity_refused: Option<String>,
    /// Why memory is not locked.
    pub locking_refused: Option<String>,
}

/// The pulse thread's own figures.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PulseStatus {
    /// Beats sent, all links together.
    pub sent: u64,
    /// Beats that the kernel refused to send.
    pub send_errors: u64,
    /// Why it refused the last of them.
    pub last_send_error: Option<String>,
    /// How often the thread woke.
    pub wakes: u64,
    /// How late it woke at the worst.
    pub worst_lateness_us: u64,
    /// How late it woke.
    pub lateness: LatenessStatus,
}

/// How late the pulse thread woke, whenever it had slept to the time that it meant to wake at.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LatenessStatus {
    /// How often that was.
    pub counted: u64,
    /// How long that has been counted.
    pub since_ms: u64,
    /// The median, from a histogram in powers of two.
    pub p50_us: Option<u64>,
    /// 99 of 100 were less, from the same histogram.
    pub p99_us: Option<u64>,
    /// The worst.
    pub max_us: Option<u64>,
    /// How long ago that was.
    pub max_ago_ms: Option<u64>,
}

/// Who watches the deadlines, and what stood in the way.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct DetectionStatus {
    /// `kernel`: its timers do, and the pulse thread beside them; `thread`: that alone.
    pub by: String,
    /// Why not the kernel.
    pub reason: Option<String>,
    /// How often a peer was given a deadtime more, because its silence might have been this node's fault.
    pub graces: u64,
    /// How often the machine was stopped for more than a quarter of the deadtime, as the kernel's timer saw it.
    pub machine_gaps: Option<u64>,
    /// The longest delay of that timer.
    pub machine_latest_us: Option<u64>,
}

/// Restarts in place of this life of the daemon.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RestartStatus {
    /// How many there were.
    pub count: u32,
    /// For how long this node sent nothing, the last time.
    pub silence_us: Option<u64>,
    /// For how long its peers are asked to wait.
    pub promise_ms: u64,
    /// Why the XDP program does not stay on its interfaces meanwhile, although it should.
    pub pins_refused: Option<String>,
}

/// How the XDP program runs on an interface.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct DatapathStatus {
    /// The interface.
    pub interface: String,
    /// `native` or `generic`.
    pub mode: String,
    /// Why not natively.
    pub reason: Option<String>,
    /// Whether it stays there while the daemon restarts in place.
    #[serde(default)]
    pub pinned: bool,
}

/// Another node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// `unknown`, `up`, `leaving`, `left` or `dead`.
    pub state: String,
    /// Whether our beats reach it.
    pub hears_us: bool,
    /// Whether its configuration is ours; `null` before it was heard.
    pub config_matches: Option<bool>,
    /// In what it differs from ours.
    pub differs: DiffersStatus,
    /// Whether it was fenced since it fell silent: `none`, `running`, `failed` or `done`.
    pub fencing: String,
    /// How many ping nodes it reaches, as last heard.
    pub pings: u8,
    /// The ways to it.
    pub links: Vec<LinkStatus>,
}

/// In what the configurations of two nodes differ.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct DiffersStatus {
    /// haresources.
    pub groups: bool,
    /// The list of nodes.
    pub nodes: bool,
    /// The timers and rules.
    pub settings: bool,
}

/// One way to a peer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LinkStatus {
    /// The interface.
    pub interface: String,
    /// The peer's address.
    pub address: String,
    /// `up`: heard within the deadtime; else `down`.
    pub state: String,
    /// The time since the newest beat.
    pub last_seen_ms: Option<u64>,
    /// The peer's incarnation, as 16 hexadecimal digits.
    pub incarnation: Option<String>,
    /// The number of the newest beat.
    pub sequence: Option<u64>,
    /// Beats admitted.
    pub accepted: u64,
    /// Beats that never came.
    pub lost: u64,
    /// Beats that came once more.
    pub duplicates: u64,
    /// The median time between two beats, from a histogram in powers of two.
    pub gap_p50_us: Option<u64>,
    /// 99 of 100 were shorter, from the same histogram.
    pub gap_p99_us: Option<u64>,
    /// The longest.
    pub gap_max_us: Option<u64>,
    /// Beats refused, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// A resource group.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct GroupStatus {
    /// Its name: its first resource.
    pub name: String,
    /// The node that should have it.
    pub preferred: String,
    /// The node that has it, as far as this one knows.
    pub owner: Option<String>,
    /// What this node does with it: `released`, `wanting`, `asking`, `acquiring`, `running`, `claimed`, `releasing`,
    /// `stuck`, `failed` or `declined`.
    pub state: String,
    /// For how long.
    pub since_ms: u64,
    /// What went wrong with it last on this node.
    pub problem: Option<String>,
    /// Why this node does not start it, if nobody has it or this node wants it.
    pub waiting: Option<String>,
    /// The node that is waited for.
    pub waiting_for: Option<String>,
    /// In how long a start that failed may be tried here again.
    pub retry_ms: Option<u64>,
}

/// A group that was taken over. Times are relative to the last beat of the node that died, or else to the decision.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Takeover {
    /// What the others are relative to, in microseconds of `CLOCK_MONOTONIC`.
    pub origin_monotonic_us: u64,
    /// The group.
    pub group: String,
    /// The node that had it, or whose doing it is.
    pub peer: Option<String>,
    /// `start`, `peer_died`, `peer_left`, `peer_failed`, `peer_declined`, `fail_back`, `takeover`, `conflict`, `sick` or
    /// `retry`.
    pub cause: String,
    /// The last beat: 0.
    pub last_beat_us: Option<i64>,
    /// When the next had to be here.
    pub deadline_us: Option<i64>,
    /// When that was noticed.
    pub detected_us: Option<i64>,
    /// Who noticed first: `kernel` (its timer) or `thread` (the pulse).
    #[serde(default)]
    pub detected_by: Option<String>,
    /// Why the peer had been given a deadtime more before: `late` (this node was late itself) or `alone` (all peers fell
    /// silent at once).
    #[serde(default)]
    pub graced: Option<String>,
    /// How late this node was itself, if that is why.
    #[serde(default)]
    pub own_lateness_us: Option<u64>,
    /// When it was decided to take over.
    pub decided_us: i64,
    /// The scripts that ran.
    pub steps: Vec<StepStatus>,
    /// Whether they are done, and how: `running`, `done`, `failed` or `stuck`.
    pub result: String,
}

/// One call of a script.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StepStatus {
    /// The resource.
    pub resource: String,
    /// `status`, `start` or `stop`.
    pub operation: String,
    /// When it started.
    pub started_us: i64,
    /// When it ended.
    pub ended_us: i64,
    /// How.
    pub outcome: String,
    /// When a provider accepted the move of a floating IP, if that was seen.
    #[serde(default)]
    pub accepted_us: Option<i64>,
    /// When the provider said that the move was done.
    #[serde(default)]
    pub completed_us: Option<i64>,
    /// When the floating IP was read back as this host's.
    #[serde(default)]
    pub verified_us: Option<i64>,
}

#[cfg(test)]
mod tests;
