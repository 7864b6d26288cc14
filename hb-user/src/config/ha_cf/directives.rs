//! The directives of Heartbeat that are not read yet, and how to refuse any that is not read.

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

/// Heartbeat 3.0.6 knows these.
pub(super) const NOT_YET: [&str; 40] = [
    "apiauth",
    "autojoin",
    "baud",
    "bcast",
    "cluster",
    "compression",
    "compression_threshold",
    "conn_logd_time",
    "coredumps",
    "coreroot",
    "crm",
    "crm_daemon_dir",
    "crmd_spawns_pengine",
    "debugfile",
    "enable_config_writes",
    "env",
    "failfast",
    "hbaping",
    "hbgenmethod",
    "hopfudge",
    "log_badpack",
    "max_rexmit_delay",
    "mcast",
    "mcast6",
    "memreserve",
    "msgfmt",
    "nice_failback",
    "pacemaker",
    "quorum_server",
    "record_config_changes",
    "record_pengine_inputs",
    "respawn",
    "serial",
    "syslogmsgfmt",
    "traditional_compression",
    "ucast6",
    "udp",
    "use_apphbd",
    "use_logd",
    "uuidfrom",
];

/// Why `directive`, which nothing reads, is refused.
pub(super) fn refusal(line: u32, directive: &str) -> Fault {
    if NOT_YET.contains(&directive) {
        return Fault::at(line, format!("{directive}: not supported yet"));
    }
    let illegal = format!("illegal directive {}", Quoted(directive));
    if let Some((name, value)) = directive.split_once('=') {
        return Fault::at(line, format!("{illegal}: expected a blank and no `=` ({name} {value})"));
    }
    let lower = directive.to_ascii_lowercase();
    if READ.contains(&lower.as_str()) || NOT_YET.contains(&lower.as_str()) {
        return Fault::at(line, format!("{illegal}: expected lower case ({lower})"));
    }
    match similar(directive, READ) {
        Some(meant) => Fault::at(line, format!("{illegal}: did you mean `{meant}`?")),
        None => Fault::at(line, illegal),
    }
}
