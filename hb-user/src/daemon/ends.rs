//! What has ended: scripts, fencing, questions to resources.

use hb_ebpf::Nanos;

use super::Daemon;
use super::keeper::Seen;
use super::outside::Ended;
use super::work::{self, Finished, Task};
use crate::clock;
use crate::core::Event;
use crate::resources::group::GroupResult;
use crate::resources::monitor::Health;

impl Daemon {
    pub(super) fn finish(&mut self, finished: Finished) {
        let Finished {
            group: name,
            work,
            task,
            report,
        } = finished;
        let Some((outcome, problem)) = work::outcome(&report.result) else {
            tracing::warn!(group = %name, "{}: broken off", task.name());
            return;
        };
        match &problem {
            None => tracing::info!(group = %name, "{}: done", task.name()),
            Some(problem) => tracing::error!(group = %name, %problem, "{}: failed", task.name()),
        }
        let Some(work) = work else {
            if let (Some(problem), GroupResult::Stuck { .. }) = (problem, &report.result) {
                self.troubles.insert(
                    name,
                    format!("is no more in haresources, and could not be stopped: {problem}"),
                );
            }
            return;
        };
        if let Some(group) = self.cluster.groups.iter().position(|group| group.name() == name) {
            self.problems[group] = problem;
            if let (Task::Acquire { .. }, Some(record)) = (task, &mut self.records[group]) {
                record.finish(&report);
            }
        }
        self.feed(&Event::Finished { work, outcome });
    }

    /// Floating IPs are asked for where that is due, and the witness while a node is silent.
    pub(super) fn look_after(&mut self, now: Nanos) {
        let node = &self.node;
        self.keeper.ask(now, |group| node.holder(group));
        let due = node.witness_due();
        self.keeper.witness(due, now);
    }

    /// The core is told which groups could be started here, where that has changed.
    pub(super) fn tell_outlooks(&mut self) {
        for group in 0..self.cluster.groups.len() {
            let outlook = self.keeper.outlook(group);
            if self.node.group(group).is_some_and(|view| view.outlook != outlook) {
                self.feed(&Event::Outlook { group, outlook });
            }
        }
    }

    /// What a provider has answered.
    pub(super) fn learn(&mut self, seen: Seen) {
        let now = clock::now();
        match seen {
            Seen::Ready { address, readiness } => {
                let (was_ready, problems) = (self.keeper.is_ready(&address), readiness.problems());
                if was_ready != Some(problems.is_empty()) {
                    match problems.as_slice() {
                        [] => tracing::info!(%address, "could be taken over at any time"),
                        problems => {
                            tracing::warn!(%address, problems = problems.join("; "), "could not be taken over now");
                        }
                    }
                }
                let lost: Vec<usize> = self.node.rivals().collect();
                let nodes = self.peers.iter().map(|peer| (peer.index, lost.contains(&peer.index)));
                let nodes: Vec<(usize, bool)> = nodes.collect();
                let moved = self.keeper.learn(&address, readiness, &nodes, now);
                self.tell_outlooks();
                match moved {
                    Some((group, to)) => self.feed(&Event::Moved { group, to }),
                    None => self.look_after(now),
                }
            }
            Seen::Witness { asked, answers } => {
                // A question in vain changes nothing while the last answer counts, nor does another.
                let counts = self.node.needs_witness() && self.node.witness_answers();
                if !counts && (answers || !self.node.lacks_witness()) {
                    tracing::info!(answers, "the provider was asked who may own anything");
                } else {
                    tracing::debug!(answers, "the provider was asked again");
                }
                self.keeper.witnessed(now);
                self.feed(&Event::Witness { asked, answers });
            }
        }
    }

    pub(super) fn conclude(&mut self, ended: Ended) {
        match ended {
            Ended::Fenced { node: name, result } => {
                let key = format!("fence {name}");
                let done = match result {
                    Ok(()) => {
                        tracing::warn!(peer = %name, "fenced");
                        self.troubles.remove(&key);
                        true
                    }
                    Err(error) => {
                        let error = crate::causes::causes(&error);
                        tracing::error!(peer = %name, %error, "fencing failed: nothing is taken over from it");
                        self.troubles.insert(key, error);
                        false
                    }
                };
                if let Some(node) = self.cluster.nodes.iter().position(|node| *node == name) {
                    self.feed(&Event::Fenced { node, done });
                }
            }
            Ended::Rebooted { group, result } => match result {
                Ok(()) => tracing::warn!(%group, "the reboot command has ended"),
                Err(error) => {
                    let error = crate::causes::causes(&error);
                    tracing::error!(%group, %error, "this host cannot be rebooted: the group is held");
                    self.troubles.insert("reboot".to_owned(), error);
                }
            },
            Ended::Checked { group: name, health } => {
                let is_healthy = match &health {
                    Health::Healthy => true,
                    Health::Sick { resource, reason } => {
                        tracing::warn!(group = %name, %resource, reason, "does not run as it should");
                        false
                    }
                };
                let is_sick = self.outside.count(&name, is_healthy, clock::now());
                let group = self.cluster.groups.iter().position(|group| group.name() == name);
                if let Some(group) = group.filter(|_| is_sick) {
                    self.feed(&Event::Sick { group });
                }
            }
        }
    }
}
