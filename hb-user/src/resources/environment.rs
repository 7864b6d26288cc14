//! The environment variables that a resource script finds.

use std::path::Path;

/// What the variables are made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// This node's name.
    pub me: &'a str,
    /// The directory of ha.cf, usually `/etc/ha.d`.
    pub dir: &'a Path,
    /// `logfile`, where ha.cf sets it.
    pub logfile: Option<&'a str>,
    /// `debugfile`, where ha.cf sets it.
    pub debugfile: Option<&'a str>,
    /// `logfacility`, where ha.cf sets it.
    pub logfacility: Option<&'a str>,
    /// Whether `auto_failback` is `legacy`.
    pub legacy_failback: bool,
    /// Whether no other node is up.
    pub alone: bool,
    /// ha.cf: every directive and its text, in the file's order.
    pub directives: &'a [(String, String)],
}

/// Directives whose every line adds something; Heartbeat keeps no value of these, so no script ever saw one.
const NOT_PARAMETERS: [&str; 16] = [
    "node",
    "ucast",
    "ucast6",
    "bcast",
    "mcast",
    "mcast6",
    "serial",
    "ping",
    "ping6",
    "ping_group",
    "ping_ifmib",
    "stonith",
    "stonith_host",
    "respawn",
    "apiauth",
    "nice_failback",
];

/// Returns what Heartbeat adds to its own environment for a script, each name once.
#[must_use]
pub fn variables(facts: &Facts<'_>) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::with_capacity(facts.directives.len() + 20);
    let mut set = |name: &str, value: &str| {
        if let Some(old) = variables.iter_mut().find(|(known, _)| known == name) {
            value.clone_into(&mut old.1);
        } else {
            variables.push((name.to_owned(), value.to_owned()));
        }
    };
    // Of a directive given twice the later one counts, as for Heartbeat itself.
    for (directive, text) in facts.directives {
        if !NOT_PARAMETERS.contains(&directive.as_str()) {
            set(&format!("HA_{directive}"), text);
        }
    }

    let below = |name: &str| facts.dir.join(name).to_string_lossy().into_owned();
    set("HA_CURHOST", facts.me);
    set("HA_DIR", &facts.dir.to_string_lossy());
    set("HA_RCDIR", &below("rc.d"));
    set("HA_RESOURCEDIR", &below("resource.d"));
    set("HA_FUNCS", &below("shellfuncs"));
    set("HA_BIN", "/usr/lib/heartbeat");
    set("HA_DATEFMT", "%Y/%m/%d_%T");
    set("HA_DOCDIR", "/usr/share/doc/heartbeat");
    set("HA_LOGD", "no");
    set("LC_ALL", "C");
    set("OCF_ROOT", "/usr/lib/ocf");
    set("OCF_AGENTS", "/usr/lib/ocf/resource.d/heartbeat");
    let optional = [
        ("HA_LOGFILE", facts.logfile),
        ("HA_DEBUGLOG", facts.debugfile),
        ("HA_LOGFACILITY", facts.logfacility),
        ("HA_NICEFAILBACK", (!facts.legacy_failback).then_some("yes")),
        ("HA_DONTASK", facts.alone.then_some("yes")),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            set(name, value);
        }
    }
    variables
}

#[cfg(test)]
mod tests;
