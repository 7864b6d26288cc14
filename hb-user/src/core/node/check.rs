//! Whether what was read from a file can be a node at all: the rest of the core counts on it.

use hb_ebpf::beat::{MAX_GROUPS, MAX_NODES};

use super::Node;
use crate::core::Settings;

impl Settings {
    /// Refuses, with what was expected, settings that no configuration leads to.
    pub fn check(&self) -> Result<(), String> {
        let Self { nodes, me, .. } = *self;
        if !(1..=MAX_NODES).contains(&nodes) {
            return Err(format!("{nodes} nodes: expected 1 to {MAX_NODES}"));
        }
        if me >= nodes {
            return Err(format!("this node is number {me}: expected less than {nodes}"));
        }
        if self.fenced.len() != nodes {
            let found = self.fenced.len();
            return Err(format!("fencing of {found} nodes: expected it of {nodes}"));
        }
        if self.groups.len() > MAX_GROUPS {
            let found = self.groups.len();
            return Err(format!("{found} groups: expected at most {MAX_GROUPS}"));
        }
        match self.groups.iter().find(|group| group.preferred >= nodes) {
            Some(group) => Err(format!(
                "a group prefers node {}: expected less than {nodes}",
                group.preferred
            )),
            None => Ok(()),
        }
    }
}

impl Node {
    /// Refuses, with what was expected, a state whose parts do not fit together.
    pub fn check(&self) -> Result<(), String> {
        self.settings.check()?;
        let counts = [
            ("peers", self.peers.len(), self.settings.nodes),
            ("groups", self.groups.len(), self.settings.groups.len()),
        ];
        match counts.into_iter().find(|(_, found, expected)| found != expected) {
            Some((what, found, expected)) => Err(format!("the state of {found} {what}: expected {expected}")),
            None => Ok(()),
        }
    }
}
