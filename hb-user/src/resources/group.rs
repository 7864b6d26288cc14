//! A resource group: the scripts of one haresources line, started from left to right and stopped from right to left.

use std::time::Duration;

use crate::clock::sleep;
use hb_ebpf::Nanos;

use super::scripts::{self, Call, Finished, Operation, Outcome, Script, ScriptDirs};
use crate::clock;
use crate::config::Resource;

/// The resources of one haresources line, from left to right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupScripts {
    /// Never empty in a valid haresources file; a group of nothing is done at once.
    pub resources: Vec<Resource>,
}

/// How scripts are called.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where they are.
    pub dirs: ScriptDirs,
    /// What they find in their environment (see [`environment`](super::environment)).
    pub env: Vec<(String, String)>,
    /// How long one call may take.
    pub limit: Duration,
    /// How often a failed `stop` is repeated: 10, as in Heartbeat.
    pub stop_retries: u32,
    /// The pause before each repetition: 1 s, as in Heartbeat.
    pub stop_pause: Duration,
}

impl Context {
    /// A context with Heartbeat's repetitions of a failed `stop`.
    #[must_use]
    pub fn new(dirs: ScriptDirs, env: Vec<(String, String)>, limit: Duration) -> Self {
        Self {
            dirs,
            env,
            limit,
            stop_retries: 10,
            stop_pause: Duration::from_secs(1),
        }
    }
}

/// What came of working through a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupReport {
    /// The result.
    pub result: GroupResult,
    /// Every call that was made, in order.
    pub steps: Vec<Step>,
}

/// The end of an [`acquire`] or [`release`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GroupResult {
    /// Every resource runs here, or is stopped here, as was asked for.
    Done,
    /// A resource could not be started; the whole group has been stopped here, and may be started elsewhere.
    Failed {
        /// The resource, as haresources writes it.
        resource: String,
        /// What went wrong.
        reason: String,
    },
    /// A resource could not be stopped and may still run here: starting it elsewhere is dangerous.
    Stuck {
        /// The first such resource, as haresources writes it.
        resource: String,
        /// What went wrong, the failed start that led to the stop included.
        reason: String,
    },
}

/// One call of one script.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The resource, as haresources writes it.
    pub resource: String,
    /// What was asked of it.
    pub operation: Operation,
    /// When the script was about to be started.
    pub started: Nanos,
    /// When its end was seen.
    pub ended: Nanos,
    /// How it ended.
    pub outcome: Outcome,
}

/// Starts a group on this node.
///
/// From left to right each resource is asked for its `status`, and started unless it runs. With `reassert` nothing is
/// asked and everything is started, for resources that somebody may have taken meanwhile while they still look fine
/// from here. When a start fails the whole group is stopped, the resources that were never started included.
///
/// Calls of one group never overlap within one future; not polling two futures on the same group at once is the
/// caller's part. Dropping the future kills the running script and leaves the group half started: [`release`] it then.
pub async fn acquire(group: &GroupScripts, context: &Context, reassert: bool) -> GroupReport {
    let mut work = Work::new(context);
    for resource in &group.resources {
        if !reassert && work.is_running(resource).await == Some(true) {
            tracing::info!(%resource, "runs here already");
            continue;
        }
        let start = work.call(resource, Operation::Start).await;
        if start.outcome.is_success() {
            continue;
        }
        let reason = describe(Operation::Start, &start);
        tracing::error!(%resource, reason, "start failed: the whole group is given up");
        let result = match work.stop_all(group).await {
            GroupResult::Done => GroupResult::Failed {
                resource: resource.to_string(),
                reason,
            },
            GroupResult::Stuck {
                resource: stuck,
                reason: why,
            }
            | GroupResult::Failed {
                resource: stuck,
                reason: why,
            } => GroupResult::Stuck {
                resource: stuck,
                reason: format!("{why} (after {resource}: {reason})"),
            },
        };
        return work.report(result);
    }
    work.report(GroupResult::Done)
}

/// Stops a group on this node, whether or not it runs here.
///
/// From right to left each resource is stopped, without asking first. A `stop` that fails is repeated; when it never
/// succeeds `status` decides: a resource that says it is stopped counts as released. One that does not is stuck, and
/// the rest of the group is stopped all the same: an address must not stay behind because of a stuck server. A missing
/// script is not tried again: there is nothing that could succeed.
///
/// Dropping the future kills the running script and leaves the group half stopped: release it again.
pub async fn release(group: &GroupScripts, context: &Context) -> GroupReport {
    let mut work = Work::new(context);
    let result = work.stop_all(group).await;
    work.report(result)
}

/// The calls of one acquire or release.
struct Work<'a> {
    context: &'a Context,
    steps: Vec<Step>,
}

impl<'a> Work<'a> {
    fn new(context: &'a Context) -> Self {
        Self {
            context,
            steps: Vec::new(),
        }
    }

    fn report(self, result: GroupResult) -> GroupReport {
        GroupReport {
            result,
            steps: self.steps,
        }
    }

    async fn stop_all(&mut self, group: &GroupScripts) -> GroupResult {
        let mut result = GroupResult::Done;
        for resource in group.resources.iter().rev() {
            let Err(reason) = self.stop(resource).await else {
                continue;
            };
            tracing::error!(%resource, reason, "stop failed: it may still run here");
            if result == GroupResult::Done {
                result = GroupResult::Stuck {
                    resource: resource.to_string(),
                    reason,
                };
            }
        }
        result
    }

    async fn stop(&mut self, resource: &Resource) -> Result<(), String> {
        let mut stop = self.call(resource, Operation::Stop).await;
        for attempt in 1..=self.context.stop_retries {
            if stop.outcome.is_success() {
                return Ok(());
            }
            if let Outcome::NotStarted(reason) = &stop.outcome {
                tracing::warn!(%resource, reason, "nothing to stop it with");
                break;
            }
            tracing::warn!(%resource, outcome = %stop.outcome, attempt, "stop failed and is repeated");
            sleep(self.context.stop_pause).await;
            stop = self.call(resource, Operation::Stop).await;
        }
        if stop.outcome.is_success() {
            return Ok(());
        }
        let reason = describe(Operation::Stop, &stop);
        match self.is_running(resource).await {
            Some(false) => {
                tracing::error!(%resource, reason, "status says stopped: taken as released, but the script is at fault");
                Ok(())
            }
            Some(true) => Err(format!("{reason}; status says that it runs")),
            None => Err(format!("{reason}; status gave no answer")),
        }
    }

    /// What `status` says; `None` when it did not come to its end. A missing script is a resource that does not run.
    async fn is_running(&mut self, resource: &Resource) -> Option<bool> {
        let status = self.call(resource, Operation::Status).await;
        match status.outcome {
            Outcome::Exited(_) => Some(status.says_running),
            Outcome::NotStarted(_) => Some(false),
            Outcome::Signalled(_) | Outcome::TimedOut => None,
        }
    }

    async fn call(&mut self, resource: &Resource, operation: Operation) -> Finished {
        let name = resource.to_string();
        // Looked up each time: a script may have come or gone since.
        let finished = match scripts::find(&self.context.dirs, &resource.name) {
            Ok(path) => {
                let script = Script {
                    path,
                    args: resource.args.clone(),
                };
                let call = Call {
                    resource: &name,
                    script: &script,
                    operation,
                    env: &self.context.env,
                    limit: self.context.limit,
                };
                scripts::call(&call).await
            }
            Err(error) => {
                let now = clock::now();
                Finished {
                    outcome: Outcome::NotStarted(error.to_string()),
                    started: now,
                    ended: now,
                    says_running: false,
                    output_tail: String::new(),
                }
            }
        };
        self.steps.push(Step {
            resource: name,
            operation,
            started: finished.started,
            ended: finished.ended,
            outcome: finished.outcome.clone(),
        });
        finished
    }
}

/// A failed call in one line, with the last line that the script printed.
fn describe(operation: Operation, finished: &Finished) -> String {
    let last = finished
        .output_tail
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty());
    match last {
        Some(line) => format!(
            "{operation}: {}: {}",
            finished.outcome,
            line.chars().take(200).collect::<String>()
        ),
        None => format!("{operation}: {}", finished.outcome),
    }
}

#[cfg(test)]
mod tests;
