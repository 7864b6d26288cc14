//! The directives of Heartbeat that are not read, each with a way out, and how to refuse any other.

use super::super::error::{Fault, Quoted};
use super::super::similar::similar;

const READ: [&str; 20] = [
    "auto_failback",
    "deadping",
    "deadtime",
    "debug",
    "initdead",
    "keepalive",
    "logfacility",
    "logfile",
    "node",
    "ping",
    "ping6",
    "ping_group",
    "realtime",
    "rtprio",
    "stonith",
    "stonith_host",
    "ucast",
    "udpport",
    "warntime",
    "watchdog",
];

/// What Heartbeat 3.0.6 knows and hb does not read: why not, and what to do instead.
pub(super) const NOT_READ: [(&str, &str); 40] = [
    ("apiauth", CLIENTS),
    ("autojoin", NAMED),
    ("baud", SERIAL),
    ("bcast", BY_UCAST),
    (
        "cluster",
        "clusters on one network are told apart by their authkeys and udpport: leave it out",
    ),
    ("compression", SMALL),
    ("compression_threshold", SMALL),
    ("conn_logd_time", LOGD),
    ("coredumps", CORES),
    ("coreroot", CORES),
    ("crm", NO_CRM),
    ("crm_daemon_dir", NO_CRM),
    ("crmd_spawns_pengine", NO_CRM),
    (
        "debugfile",
        "debug messages go where the others go: use logfile, and debug for more of them",
    ),
    ("enable_config_writes", "hb never writes its files: leave it out"),
    (
        "env",
        "scripts find the environment of `hb run`: set it there (systemd: Environment=)",
    ),
    ("failfast", CLIENTS),
    ("hbaping", "Fibre Channel is not asked: use ping, ping6 or ping_group"),
    (
        "hbgenmethod",
        "a life of the daemon is numbered below --state-dir: leave it out",
    ),
    ("hopfudge", SERIAL),
    ("log_badpack", "what is refused is counted in `hb status`: leave it out"),
    (
        "max_rexmit_delay",
        "beats are not sent again, the next one says it all: leave it out",
    ),
    ("mcast", BY_UCAST),
    ("mcast6", BY_UCAST),
    (
        "memreserve",
        "all memory is locked when hb starts (realtime): leave it out",
    ),
    (
        "msgfmt",
        "beats have a format of their own (docs/PROTOCOL.md): leave it out",
    ),
    (
        "nice_failback",
        "expected auto_failback, its other way round: `auto_failback off` for `nice_failback on`",
    ),
    ("pacemaker", NO_CRM),
    (
        "quorum_server",
        "use ping nodes, or a third node, to settle a cut (docs/OWNERSHIP.md)",
    ),
    ("record_config_changes", NO_CRM),
    (
        "record_pengine_inputs",
        "[recorder] of hb.toml records what is decided, and why: leave it out",
    ),
    ("respawn", CLIENTS),
    ("serial", BY_UCAST),
    ("syslogmsgfmt", "messages have one format: leave it out"),
    ("traditional_compression", SMALL),
    ("ucast6", "beats go by IPv4 only: use ucast"),
    ("udp", BY_UCAST),
    ("use_apphbd", "hb watches itself with a watchdog: use watchdog"),
    ("use_logd", LOGD),
    ("uuidfrom", "nodes are known by their names: leave it out"),
];

const BY_UCAST: &str = "beats go from one address to another: use ucast, one line for each host's address";
const SERIAL: &str = "there are no serial links: leave it out, and use ucast, a second interface for a second link";
const NO_CRM: &str = "there is no cluster resource manager, hb reads haresources only: leave it out";
const LOGD: &str = "hb has a thread for its log, which nobody waits for: leave it out, and use logfile or logfacility";
const SMALL: &str = "a beat is one small packet: leave it out";
const NAMED: &str = "every node is named: leave it out, and write a node line for each";
const CORES: &str = "what becomes of a core is settled outside (ulimit, systemd: LimitCORE=): leave it out";
const CLIENTS: &str = "no other program is started, or may connect: leave it out";
const IPFAIL: &str = "ipfail is not needed, the ping and ping_group lines do it: leave it out";

/// Why `directive`, which nothing reads, is refused.
pub(super) fn refusal(line: u32, directive: &str, values: &[&str]) -> Fault {
    if let Some((_, advice)) = NOT_READ.iter().find(|(name, _)| *name == directive) {
        let is_ipfail = directive == "respawn" && values.iter().any(|value| value.ends_with("/ipfail"));
        let advice = if is_ipfail { IPFAIL } else { advice };
        return Fault::at(line, format!("{directive}: not supported: {advice}"));
    }
    let illegal = format!("illegal directive {}", Quoted(directive));
    if let Some((name, value)) = directive.split_once('=') {
        return Fault::at(line, format!("{illegal}: expected a blank and no `=` ({name} {value})"));
    }
    let lower = directive.to_ascii_lowercase();
    if READ.contains(&lower.as_str()) || NOT_READ.iter().any(|(name, _)| *name == lower) {
        return Fault::at(line, format!("{illegal}: expected lower case ({lower})"));
    }
    match similar(directive, READ) {
        Some(meant) => Fault::at(line, format!("{illegal}: did you mean `{meant}`?")),
        None => Fault::at(line, illegal),
    }
}
