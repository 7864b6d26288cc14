//! What tests of a cluster do again and again: wait for a state of its daemons, insist on one.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::{Files, Nodes, lan::name};
use crate::{
    clock::Moment,
    expect::LIMIT,
    stamp::{Stamp, What},
    status::Status,
};

/// The resource of [`Files::of`].
pub const WEB: &str = "web";

impl Nodes {
    /// A cluster of these files that is up and running: the first node has its group, and all know.
    pub fn settled(nodes: usize, files: impl Fn(usize) -> Files) -> Result<Self> {
        let mut cluster = Self::create(nodes, files)?;
        cluster.start_all()?;
        cluster.wait_for_owner(WEB, 0, LIMIT)?;
        cluster.wait_until_agreed(0)?;
        cluster.wait_until_everybody_counts()?;
        Ok(cluster)
    }

    /// Waits until no lease hangs on one node alone. Where a majority decides, who is met by one that wants a group already counts
    /// for its lease a deadtime later (hb-user/src/core/lease.rs): were another cut off before, the group would be given up.
    pub fn wait_until_everybody_counts(&self) -> Result<()> {
        if self.count() < 3 {
            return Ok(());
        }
        let deadtime = Duration::from_micros(self.status(0)?.number("/deadtime_us")?);
        let met = Moment::now();
        self.wait_until("everybody counts", LIMIT, || Ok(met.elapsed() > deadtime))
    }

    /// Waits until all see all, and all say that a node has the first group, that nothing is under way, and nothing wrong.
    pub fn wait_until_agreed(&self, owner: usize) -> Result<()> {
        let owner = name(owner);
        for node in 0..self.count() {
            self.wait_for_status(node, &format!("it is at peace, and {owner} has it"), |status| {
                let is_calm = status.is_at_rest() && status.alarms().is_empty();
                Ok(status.sees_all_peers() && status.owner() == Some(&owner) && is_calm)
            })?;
        }
        Ok(())
    }

    /// Waits until a node's status is as wanted.
    pub fn wait_for_status(&self, node: usize, what: &str, wanted: impl Fn(&Status) -> Result<bool>) -> Result<Status> {
        let mut last = None;
        let held = self.wait_until(&format!("of the status of {}: {what}", name(node)), LIMIT, || {
            // It may not answer yet.
            let Ok(status) = self.status(node) else {
                return Ok(false);
            };
            let is_wanted = wanted(&status)?;
            last = Some(status);
            Ok(is_wanted)
        });
        held.with_context(|| {
            let json = last.as_ref().map(|status| status.json.to_string());
            format!("the last status: {}", json.unwrap_or_default())
        })?;
        last.context("no status")
    }

    /// Waits for an alarm of a node's that begins with `what` and names `whom`.
    pub fn wait_for_alarm(&self, node: usize, what: &str, whom: &str) -> Result<Status> {
        self.wait_for_status(node, &format!("the alarm {what:?} about {whom:?}"), |status| {
            Ok(status.has_alarm(what, whom))
        })
    }

    /// Lets a node send so many beats more: it looks at everything anew meanwhile.
    pub fn let_pass(&self, node: usize, beats: u64) -> Result<()> {
        let sent = self.status(node)?.number("/pulse/sent")?;
        self.wait_for_status(node, &format!("{beats} beats more"), |status| {
            Ok(status.number("/pulse/sent")? >= sent + beats)
        })?;
        Ok(())
    }

    /// What was called on a node of a resource since a moment: starts and stops, not `status`.
    pub fn calls(&self, node: usize, resource: &str, since: Moment) -> Result<Vec<Stamp>> {
        let mut stamps = self.stamps()?;
        stamps.retain(|stamp| {
            stamp.host == name(node) && stamp.resource == resource && stamp.at >= since && stamp.what != What::Status
        });
        Ok(stamps)
    }

    /// Insists that nothing was started or stopped on a node since a moment.
    pub fn ensure_untouched(&self, node: usize, resource: &str, since: Moment) -> Result<()> {
        let calls = self.calls(node, resource, since)?;
        ensure!(
            calls.is_empty(),
            "{}",
            self.explained(&anyhow!("{} was called: {calls:?}", name(node)))
        );
        Ok(())
    }

    /// The lives of all daemons.
    pub fn incarnations(&self) -> Result<Vec<String>> {
        (0..self.count())
            .map(|node| Ok(self.status(node)?.text("/incarnation")?.to_owned()))
            .collect()
    }

    /// Insists that what `hb status` prints on a node has these words.
    pub fn ensure_shown(&self, node: usize, words: &[&str]) -> Result<()> {
        let ran = self.run(node, &["status"])?;
        ensure!(ran.code == Some(0), "{ran:?}");
        for word in words {
            ensure!(ran.out.contains(word), "it does not say {word:?}: {}", ran.out);
        }
        Ok(())
    }
}
