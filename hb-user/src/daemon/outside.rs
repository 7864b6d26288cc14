//! What else is done outside: fencing, rebooting, and asking resources whether they run.

use std::collections::BTreeMap;
use std::sync::Arc;

use hb_ebpf::Nanos;
use tokio::task::{AbortHandle, JoinSet};

use super::settings::{self, nanos};
use crate::config::Cluster;
use crate::fencing::{Device, FenceError, Fencer};
use crate::reboot::{self, RebootError};
use crate::resources::group::{Context, GroupScripts};
use crate::resources::monitor::{self, Health};

/// Something that has ended.
#[derive(Debug)]
pub(super) enum Ended {
    Fenced {
        node: String,
        result: Result<(), FenceError>,
    },
    Rebooted {
        group: String,
        result: Result<(), RebootError>,
    },
    Checked {
        group: String,
        health: Health,
    },
}

/// What is under way outside.
#[derive(Debug)]
pub(super) struct Outside {
    fencer: Fencer,
    devices: Arc<Vec<Device>>,
    reboot: Vec<String>,
    /// What the reboot's command finds of the environment's secrets.
    passed: Vec<String>,
    tasks: JoinSet<Ended>,
    /// The last fencing of each node.
    fencing: BTreeMap<String, AbortHandle>,
    watched: Vec<Watched>,
}

/// A group whose `status` is asked every so often.
#[derive(Debug)]
struct Watched {
    group: String,
    interval: Nanos,
    failures: u32,
    failed: u32,
    /// When to ask next; `None` while it does not run here.
    due: Option<Nanos>,
    asking: Option<AbortHandle>,
}

impl Outside {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let (fencer, devices) = settings::fencing(cluster);
        Self {
            fencer,
            devices: Arc::new(devices),
            reboot: cluster.policy.reboot_command.clone(),
            passed: cluster.scripts.pass_env.clone(),
            tasks: JoinSet::new(),
            fencing: BTreeMap::new(),
            watched: watched(cluster),
        }
    }

    /// Goes on with another configuration. What is under way goes on; groups are watched anew.
    pub(super) fn reconfigure(&mut self, cluster: &Cluster) {
        let (fencer, devices) = settings::fencing(cluster);
        self.fencer = fencer;
        self.devices = Arc::new(devices);
        self.reboot.clone_from(&cluster.policy.reboot_command);
        self.passed.clone_from(&cluster.scripts.pass_env);
        for watched in &mut self.watched {
            watched.rest();
        }
        self.watched = watched(cluster);
    }

    /// Resets a node.
    pub(super) fn fence(&mut self, node: String) {
        let (fencer, devices) = (self.fencer.clone(), self.devices.clone());
        self.spare(&node);
        let name = node.clone();
        let task = self.tasks.spawn(async move {
            let result = fencer.fence(&devices, &node).await;
            Ended::Fenced { node, result }
        });
        self.fencing.insert(name, task);
    }

    /// A node is back: a fencing under way is broken off, and says nothing of the node's next death.
    pub(super) fn spare(&mut self, node: &str) {
        if let Some(task) = self.fencing.remove(node) {
            task.abort();
        }
    }

    /// Reboots this host.
    pub(super) fn reboot(&mut self, group: String) {
        let (command, passed) = (self.reboot.clone(), self.passed.clone());
        self.tasks.spawn(async move {
            let result = reboot::reboot(&command, &passed).await;
            Ended::Rebooted { group, result }
        });
    }

    /// A group runs here now, or does not: it is watched, or left alone.
    pub(super) fn watch(&mut self, group: &str, runs: bool, now: Nanos) {
        let Some(watched) = self.watched.iter_mut().find(|watched| watched.group == group) else {
            return;
        };
        match (runs, watched.due) {
            (true, None) => watched.due = Some(now.saturating_add(watched.interval)),
            (true, Some(_)) => {}
            (false, _) => watched.rest(),
        }
    }

    /// When [`Outside::ask`] is due.
    pub(super) fn deadline(&self) -> Option<Nanos> {
        self.watched
            .iter()
            .filter(|watched| watched.asking.is_none())
            .filter_map(|watched| watched.due)
            .min()
    }

    /// Asks the resources of all groups for which it is time.
    pub(super) fn ask(&mut self, now: Nanos, find: impl Fn(&str) -> Option<(Arc<GroupScripts>, Arc<Context>)>) {
        for watched in &mut self.watched {
            let is_due = watched.asking.is_none() && watched.due.is_some_and(|due| due <= now);
            let Some((scripts, context)) = Some(&watched.group).filter(|_| is_due).and_then(|group| find(group)) else {
                continue;
            };
            let group = watched.group.clone();
            watched.asking = Some(self.tasks.spawn(async move {
                let health = monitor::check(&scripts, &context).await;
                Ended::Checked { group, health }
            }));
        }
    }

    /// Counts an answer. True when the group has failed as often as it may.
    pub(super) fn count(&mut self, group: &str, is_healthy: bool, now: Nanos) -> bool {
        let found = self
            .watched
            .iter_mut()
            .find(|watched| watched.group == group && watched.asking.is_some());
        let Some(watched) = found else { return false };
        watched.asking = None;
        watched.due = watched.due.map(|_| now.saturating_add(watched.interval));
        watched.failed = if is_healthy {
            0
        } else {
            watched.failed.saturating_add(1)
        };
        let is_sick = watched.failed >= watched.failures;
        if is_sick {
            watched.failed = 0;
        }
        is_sick
    }

    /// What is under way that cannot be broken off.
    pub(super) fn at_work(&self) -> Option<String> {
        let asked = self.watched.iter().filter(|watched| watched.asking.is_some()).count();
        let fencing = self.fencing.iter().find(|(_, task)| !task.is_finished());
        if let Some((node, _)) = fencing {
            return Some(format!("{node} is being fenced"));
        }
        (self.tasks.len() > asked).then(|| "this host is being rebooted".to_owned())
    }

    /// Breaks off all questions to resources, and waits for their ends. They are asked again when they are due.
    pub(super) async fn rest(&mut self) {
        for watched in &mut self.watched {
            watched.rest();
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// The next to end; never, while nothing is under way.
    pub(super) async fn next(&mut self) -> Ended {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(ended)) => return ended,
                // Nobody wants to know any more.
                Some(Err(error)) if error.is_cancelled() => {}
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                None => std::future::pending().await,
            }
        }
    }
}

impl Watched {
    /// Stops asking; dropping the question kills the script.
    fn rest(&mut self) {
        self.due = None;
        self.failed = 0;
        if let Some(asking) = self.asking.take() {
            asking.abort();
        }
    }
}

fn watched(cluster: &Cluster) -> Vec<Watched> {
    let groups = cluster.groups.iter();
    let watched = groups.filter_map(|group| {
        let monitor = group.monitor.as_ref()?;
        Some(Watched {
            group: group.name(),
            interval: nanos(monitor.interval),
            failures: monitor.failures.max(1),
            failed: 0,
            due: None,
            asking: None,
        })
    });
    watched.collect()
}
