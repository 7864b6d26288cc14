//! Scripts at work: one task a group at most, groups side by side.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::config::{AutoFailback, Cluster, Facility};
use crate::core::Outcome;
use crate::process::Abort;
use crate::resources::environment::{self, Facts};
use crate::resources::group::{self, Context, GroupReport, GroupResult, GroupScripts};
use crate::resources::scripts::ScriptDirs;

/// Where init scripts are.
const INIT_D: &str = "/etc/init.d";

/// What is done with a group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Task {
    Acquire { reassert: bool },
    Release,
}

impl Task {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Acquire { reassert: false } => "acquiring",
            Self::Acquire { reassert: true } => "asserting again",
            Self::Release => "releasing",
        }
    }
}

/// A task that has ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) group: usize,
    pub(super) work: u32,
    pub(super) task: Task,
    pub(super) report: GroupReport,
}

/// The tasks under way.
#[derive(Debug)]
pub(super) struct Works {
    groups: Vec<Arc<GroupScripts>>,
    alone: Arc<Context>,
    together: Arc<Context>,
    tasks: JoinSet<Finished>,
}

impl Works {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let groups = cluster.groups.iter().map(|group| GroupScripts {
            resources: group.resources.clone(),
        });
        Self {
            groups: groups.map(Arc::new).collect(),
            alone: Arc::new(context(cluster, true)),
            together: Arc::new(context(cluster, false)),
            tasks: JoinSet::new(),
        }
    }

    /// Begins a task. The core asks for the next of a group only when the last has ended.
    pub(super) fn begin(&mut self, group: usize, work: u32, task: Task, alone: bool) {
        let scripts = self.groups[group].clone();
        let context = if alone {
            self.alone.clone()
        } else {
            self.together.clone()
        };
        self.tasks.spawn(async move {
            let report = match task {
                Task::Acquire { reassert } => group::acquire(&scripts, &context, reassert, &Abort::never()).await,
                Task::Release => group::release(&scripts, &context).await,
            };
            Finished {
                group,
                work,
                task,
                report,
            }
        });
    }

    /// The next task to end; never, while there is none.
    pub(super) async fn next(&mut self) -> Finished {
        match self.tasks.join_next().await {
            Some(Ok(finished)) => finished,
            // Tasks are not aborted, and one that panics ends the daemon: it is better dead than wrong.
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => std::future::pending().await,
        }
    }
}

fn context(cluster: &Cluster, alone: bool) -> Context {
    let logfile = cluster.logging.logfile.as_ref().map(|path| path.display().to_string());
    let env = environment::variables(&Facts {
        me: &cluster.nodes[cluster.me],
        dir: &cluster.dir,
        logfile: logfile.as_deref(),
        debugfile: None,
        logfacility: cluster.logging.facility.map(Facility::name),
        legacy_failback: cluster.auto_failback == AutoFailback::Legacy,
        alone,
        directives: &cluster.directives,
    });
    let dirs = ScriptDirs {
        resource_d: cluster.dir.join("resource.d"),
        init_d: INIT_D.into(),
    };
    Context {
        stop_retries: cluster.scripts.stop_retries,
        stop_pause: cluster.scripts.stop_pause,
        ..Context::new(dirs, env, cluster.scripts.timeout)
    }
}

/// What the core and the status make of a result.
pub(super) fn outcome(result: &GroupResult) -> (Outcome, Option<String>) {
    match result {
        GroupResult::Done => (Outcome::Done, None),
        GroupResult::Failed { resource, reason } => (Outcome::Failed, Some(format!("{resource}: {reason}"))),
        GroupResult::Stuck { resource, reason } => (Outcome::Stuck, Some(format!("{resource}: {reason}"))),
        // Nobody aborts yet. Who does has to release the group: until then something of it may run here.
        GroupResult::Aborted => (Outcome::Stuck, Some("its start was aborted".to_owned())),
    }
}
