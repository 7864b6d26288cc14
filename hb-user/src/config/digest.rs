//! Names and configurations as 32-bit numbers that every node computes alike.

use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};

use super::Cluster;

#[cfg(test)]
mod tests;

/// The number that stands for a node in a beat: the first four bytes, big-endian, of the SHA-1 of its lower-cased name;
/// 1 where that is 0, for 0 means nobody.
#[must_use]
pub fn node_id(name: &str) -> u32 {
    first_word(&name.to_ascii_lowercase()).max(1)
}

impl Cluster {
    /// The number by which nodes notice that their configurations differ: the first four bytes, big-endian, of the SHA-1
    /// of a canonical text. Its lines end in LF and hold, in this order:
    ///
    /// ```text
    /// node NAME                      one a node, sorted by name
    /// keepalive MS                   the timers in force, in milliseconds
    /// deadtime MS
    /// warntime MS
    /// initdead MS
    /// auto_failback on|off|legacy
    /// group NODE RESOURCE...         one a group, in the file's order: the preferred node, NAME::ARG::ARG...
    /// ```
    ///
    /// What may differ from node to node is left out: which of them we are, links, logging, keys, time limits of scripts.
    #[must_use]
    pub fn digest(&self) -> u32 {
        first_word(&self.canonical_text())
    }

    fn canonical_text(&self) -> String {
        let mut nodes: Vec<&str> = self.nodes.iter().map(String::as_str).collect();
        nodes.sort_unstable();
        let timers = [
            ("keepalive", self.timers.keepalive),
            ("deadtime", self.timers.deadtime),
            ("warntime", self.timers.warntime),
            ("initdead", self.timers.initdead),
        ];

        let mut text = String::new();
        for node in nodes {
            line(&mut text, &format_args!("node {node}"));
        }
        for (name, time) in timers {
            line(&mut text, &format_args!("{name} {}", time.as_millis()));
        }
        line(&mut text, &format_args!("auto_failback {}", self.auto_failback));
        for group in &self.groups {
            let preferred = self.nodes.get(group.preferred).map_or("", String::as_str);
            let resources: Vec<String> = group.resources.iter().map(ToString::to_string).collect();
            line(&mut text, &format_args!("group {preferred} {}", resources.join(" ")));
        }
        text
    }
}

fn line(text: &mut String, line: &std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{line}");
}

fn first_word(text: &str) -> u32 {
    let [a, b, c, d, ..]: [u8; 20] = Sha1::digest(text.as_bytes()).into();
    u32::from_be_bytes([a, b, c, d])
}
