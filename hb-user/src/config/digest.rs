//! Names and configurations as 32-bit numbers that every node computes alike.

use std::fmt::{self, Write as _};

use sha1::{Digest as _, Sha1};

use super::Cluster;

#[cfg(test)]
mod tests;

const NODES_BITS: u32 = 10;
const SETTINGS_BITS: u32 = 10;
const GROUPS_BITS: u32 = 32 - NODES_BITS - SETTINGS_BITS;

/// The number that stands for a node in a beat: the first four bytes, big-endian, of the SHA-1 of its lower-cased name;
/// 1 where that is 0, for 0 means nobody.
#[must_use]
pub fn node_id(name: &str) -> u32 {
    first_word(&name.to_ascii_lowercase()).max(1)
}

impl Cluster {
    /// The number by which nodes notice that their configurations differ, and in what. It has three parts, from the top:
    /// 12 bits for the groups, 10 for the nodes, 10 for settings. Each is the first bits of the SHA-1 of a text of its
    /// own, whose lines end in LF and hold, in this order:
    ///
    /// ```text
    /// group NODE RESOURCE...         one a group, in the file's order: the preferred node, NAME::ARG::ARG...
    /// ```
    /// ```text
    /// node NAME                      one a node, in ha.cf's order
    /// ```
    /// ```text
    /// keepalive MS                   the timers in force, in milliseconds
    /// deadtime MS
    /// warntime MS
    /// initdead MS
    /// auto_failback on|off|legacy
    /// takeover_delay MS
    /// stuck reboot|hold
    /// ping NAME                      one a ping node or group of them, sorted by name
    /// fencing on|off
    /// ```
    ///
    /// What may differ from node to node is left out: which of them we are, links, logging, keys, time limits of scripts.
    #[must_use]
    pub fn digest(&self) -> u32 {
        let part = |text: &str, bits: u32| first_word(text) >> (32 - bits);
        let groups = part(&self.groups_text(), GROUPS_BITS) << (NODES_BITS + SETTINGS_BITS);
        let nodes = part(&self.nodes_text(), NODES_BITS) << SETTINGS_BITS;
        groups | nodes | part(&self.settings_text(), SETTINGS_BITS)
    }

    fn groups_text(&self) -> String {
        let mut text = String::new();
        for group in &self.groups {
            let preferred = self.nodes.get(group.preferred).map_or("", String::as_str);
            let resources: Vec<String> = group.resources.iter().map(ToString::to_string).collect();
            line(&mut text, &format_args!("group {preferred} {}", resources.join(" ")));
        }
        text
    }

    fn nodes_text(&self) -> String {
        let mut text = String::new();
        for node in &self.nodes {
            line(&mut text, &format_args!("node {node}"));
        }
        text
    }

    fn settings_text(&self) -> String {
        let timers = [
            ("keepalive", self.timers.keepalive),
            ("deadtime", self.timers.deadtime),
            ("warntime", self.timers.warntime),
            ("initdead", self.timers.initdead),
        ];
        let mut pings: Vec<&str> = self.pings.targets.iter().map(|target| target.name.as_str()).collect();
        pings.sort_unstable();

        let mut text = String::new();
        for (name, time) in timers {
            line(&mut text, &format_args!("{name} {}", time.as_millis()));
        }
        line(&mut text, &format_args!("auto_failback {}", self.auto_failback));
        let delay = self.policy.takeover_delay.as_millis();
        line(&mut text, &format_args!("takeover_delay {delay}"));
        line(&mut text, &format_args!("stuck {}", self.policy.stuck));
        for name in pings {
            line(&mut text, &format_args!("ping {name}"));
        }
        let fencing = if self.stonith.is_empty() { "off" } else { "on" };
        line(&mut text, &format_args!("fencing {fencing}"));
        if self.has_witness() {
            line(&mut text, &format_args!("witness provider"));
        }
        text
    }
}

fn line(text: &mut String, line: &fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{line}");
}

fn first_word(text: &str) -> u32 {
    let [a, b, c, d, ..]: [u8; 20] = Sha1::digest(text.as_bytes()).into();
    u32::from_be_bytes([a, b, c, d])
}
