//! What follows from a configuration when nodes fail, freeze or are cut off: for people, in numbers.

use std::time::Duration;

use super::{Cluster, StuckPolicy, Warning, time};

#[cfg(test)]
mod tests;

/// A lease ends one keepalive before the deadtime: with this many beats to a deadtime one lost beat is no matter.
const BEATS_PER_LEASE: u32 = 4;

impl Cluster {
    /// Whether ownership is a lease, because somebody could take it away: a majority, or a side that reaches more of the
    /// ping nodes.
    #[must_use]
    pub fn owns_by_lease(&self) -> bool {
        self.nodes.len() > 2 || (self.nodes.len() == 2 && !self.pings.targets.is_empty())
    }

    /// How long an owner that is cut off has to stop its groups before another node starts them. Means nothing without a
    /// lease.
    #[must_use]
    pub fn stop_room(&self) -> Duration {
        self.timers.keepalive + self.policy.takeover_delay
    }

    /// The most resources of any group.
    fn longest_group(&self) -> u32 {
        let most = self.groups.iter().map(|group| group.resources.len()).max().unwrap_or(0);
        u32::try_from(most).unwrap_or(u32::MAX)
    }

    /// What the configuration leads to: one sentence each.
    #[must_use]
    pub fn facts(&self) -> Vec<String> {
        let mut facts = Vec::new();
        if self.owns_by_lease() {
            facts.push(format!(
                "a cut-off owner has {} (keepalive {} + takeover_delay {}) to stop its groups before another node \
                 starts them; scripts that take longer overlap by the rest: raise takeover_delay",
                time::shown(self.stop_room()),
                time::shown(self.timers.keepalive),
                time::shown(self.policy.takeover_delay),
            ));
            let most = self.scripts.timeout * self.longest_group();
            let verdict = if most <= self.stop_room() {
                "is room enough"
            } else {
                "is more than there is room for"
            };
            facts.push(format!(
                "the longest stop that scripts.timeout allows is {} ({} for each of {} resources): that {verdict}",
                time::shown(most),
                time::shown(self.scripts.timeout),
                self.longest_group(),
            ));
        }
        if self.nodes.len() > 1 {
            facts.push(format!(
                "a silent node's groups are taken over after {} (deadtime {} + takeover_delay {}){}",
                time::shown(self.timers.deadtime + self.policy.takeover_delay),
                time::shown(self.timers.deadtime),
                time::shown(self.policy.takeover_delay),
                if self.stonith.is_empty() {
                    ""
                } else {
                    " and once it has been fenced"
                },
            ));
        }
        if self.nodes.len() > 2 {
            let nodes = self.nodes.len();
            facts.push(format!(
                "of {nodes} nodes {} must hear each other for any of them to own a group",
                nodes / 2 + 1
            ));
        }
        facts.push(match self.policy.stuck {
            _ if self.scripts.stop_retries == 0 => {
                "a stop that fails is repeated for ever (scripts.stop_retries 0)".to_owned()
            }
            StuckPolicy::Reboot => format!(
                "a stop that still fails after {} more tries reboots this host: {}",
                self.scripts.stop_retries,
                self.policy.reboot_command.join(" ")
            ),
            StuckPolicy::Hold => format!(
                "a group whose stop still fails after {} more tries stays here, and nobody takes it over{}",
                self.scripts.stop_retries,
                if self.stonith.is_empty() {
                    ""
                } else {
                    " unless this host is fenced"
                },
            ),
        });
        facts
    }

    /// What of it an operator should know before it happens.
    pub(super) fn dangers(&self) -> Vec<Warning> {
        let mut messages = Vec::new();
        let fenced = !self.stonith.is_empty();
        let pinged = !self.pings.targets.is_empty();
        match self.nodes.len() {
            2 if !pinged && !fenced => messages.push(
                "a cut between the two nodes makes both own everything; what closes the hole: a second link, fencing \
                 (stonith_host), or a ping node"
                    .to_owned(),
            ),
            2 if !fenced => messages.push(
                "when both nodes reach the ping nodes and not each other, nobody can tell that from a crash: both own \
                 everything; what closes the hole: a second link, fencing (stonith_host), or a third node"
                    .to_owned(),
            ),
            nodes if nodes > 2 && nodes.is_multiple_of(2) => messages.push(format!(
                "{} of {nodes} is no majority: where a cut makes two halves, neither owns anything; {} nodes survive as \
                 many failures",
                nodes / 2,
                nodes - 1
            )),
            _ => {}
        }
        if self.owns_by_lease() && self.timers.deadtime <= self.timers.keepalive * BEATS_PER_LEASE {
            messages.push(format!(
                "deadtime {} is not more than {BEATS_PER_LEASE} times keepalive {}: one lost beat may end an owner's \
                 lease, and stop its groups",
                time::shown(self.timers.deadtime),
                time::shown(self.timers.keepalive)
            ));
        }
        if fenced && self.nodes.len() > 1 {
            for (node, name) in self.nodes.iter().enumerate() {
                if !self
                    .stonith
                    .iter()
                    .any(|device| device.from.is_none_or(|from| from == node))
                {
                    messages.push(format!(
                        "no stonith line is for node {name}: it cannot fence the others"
                    ));
                }
            }
        }
        let warnings = messages.into_iter().map(|message| Warning {
            origin: "ha.cf".to_owned(),
            message,
        });
        warnings.collect()
    }
}
