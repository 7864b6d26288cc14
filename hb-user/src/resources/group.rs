//! A resource group: the scripts, addresses and floating IPs of one haresources line, started from left to right and stopped from right
//! to left.

mod floating_ip;

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::sleep;
use hb_ebpf::Nanos;

use super::address::Hands;
use super::cloud::{Clouds, Moved};
use super::scripts::{self, Call, Finished, Operation, Outcome, Script, ScriptDirs};
use crate::clock;
use crate::config::{Address, CloudAddress, InstanceId, Resource};
use crate::process::{Abort, last_lines};

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
    /// Variables of the daemon's that they find although their names are those of secrets.
    pub passed: Vec<String>,
    /// How long one call may take.
    pub limit: Duration,
    /// How often a failed `stop` is repeated: 10, as in Heartbeat. 0 means for ever, as in its `HA_STOPRETRYMAX`.
    pub stop_retries: u32,
    /// The pause before each repetition: 1 s, as in Heartbeat.
    pub stop_pause: Duration,
    /// What moves addresses, where there are any to be moved without a script.
    pub hands: Option<Hands>,
    /// What moves floating IPs, where there are any.
    pub clouds: Option<Clouds>,
    /// From whom floating IPs are taken.
    pub claims: Claims,
    /// Whether it is certain that no other node has anything of the group: it was fenced.
    pub is_certain: bool,
}

/// From whom each floating IP is taken, if not from whoever has it: from nobody, or from one of these instances.
pub type Claims = HashMap<CloudAddress, Vec<Option<InstanceId>>>;

impl Context {
    /// A context with Heartbeat's repetitions of a failed `stop`.
    #[must_use]
    pub fn new(dirs: ScriptDirs, env: Vec<(String, String)>, limit: Duration) -> Self {
        Self {
            dirs,
            env,
            passed: Vec::new(),
            limit,
            stop_retries: 10,
            stop_pause: Duration::from_secs(1),
            hands: None,
            is_certain: false,
            clouds: None,
            claims: Claims::default(),
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
    /// The start was aborted: nothing of the group is starting any more, and what runs of it is for [`release`] to stop.
    Aborted,
}

/// One call of one script, or one order about an address or floating IP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The resource, as haresources writes it.
    pub resource: String,
    /// What was asked of it.
    pub operation: Operation,
    /// When the script was about to be started, or the address to be moved.
    pub started: Nanos,
    /// When the script's end was seen, or the address was there and announced, or gone.
    pub ended: Nanos,
    /// How it ended.
    pub outcome: Outcome,
    /// The times on the way of a floating IP that was started here.
    pub moved: Option<Moved>,
}

/// Starts a group on this node.
///
/// From left to right each resource is asked for its `status`, and started unless it runs. `asked` is what the first
/// script has answered just now (see [`ask`]). With `reassert` nothing is asked and everything is started, for resources that somebody may have taken meanwhile while they still look fine
/// from here. When a start fails the whole group is stopped, the resources that were never started included. An address is
/// not asked for: one that is here already is announced again, and that is all. Nor is a floating IP: starting one begins
/// with reading its owner.
///
/// On an order to abort the script that runs is killed with its whole process group, and no other is called. When this
/// returns all of them are dead, so that a [`release`] after it never overlaps a start. A group that is being stopped
/// already, after a failed start, goes on being stopped.
///
/// Calls of one group never overlap within one future; not polling two futures on the same group at once is the
/// caller's part. Dropping the future kills the running script, too, but does not wait for its death: where anything is
/// to be done with the group afterwards, abort instead.
pub async fn acquire(
    group: &GroupScripts,
    context: &Context,
    reassert: bool,
    mut asked: Option<Finished>,
    abort: &Abort,
) -> GroupReport {
    let mut work = Work::new(context);
    for resource in &group.resources {
        if abort.is_given() {
            return work.report(GroupResult::Aborted);
        }
        let is_asked = !reassert && !resource.is_built_in();
        if is_asked {
            let status = match asked.take() {
                Some(status) => work.note(resource, Operation::Status, status, None),
                None => work.call(resource, Operation::Status, abort).await,
            };
            if says_running(&status) == Some(true) {
                tracing::info!(%resource, "runs here already");
                continue;
            }
        }
        if abort.is_given() {
            return work.report(GroupResult::Aborted);
        }
        let start = work.call(resource, Operation::Start, abort).await;
        if start.outcome.is_success() {
            continue;
        }
        if start.outcome == Outcome::Aborted {
            tracing::warn!(%resource, "start aborted");
            return work.report(GroupResult::Aborted);
        }
        let reason = describe(Operation::Start, &start);
        if let (true, Outcome::Unknown(_)) = (reassert, &start.outcome) {
            tracing::warn!(%resource, reason, "it is not known whether it is here: what runs goes on");
            continue;
        }
        tracing::error!(%resource, reason, "start failed: the whole group is given up");
        let result = match work.stop_all(group).await {
            Ok(()) => GroupResult::Failed {
                resource: resource.to_string(),
                reason,
            },
            Err(stuck) => GroupResult::Stuck {
                reason: format!("{} (after {resource}: {reason})", stuck.reason),
                resource: stuck.resource,
            },
        };
        return work.report(result);
    }
    if abort.is_given() {
        return work.report(GroupResult::Aborted);
    }
    work.report(GroupResult::Done)
}

/// Asks the first script of a group for its `status`: what [`acquire`] would begin with, done while another node still stops
/// the group. `None` if it has no script.
pub async fn ask(group: &GroupScripts, context: &Context, abort: &Abort) -> Option<Finished> {
    let first = group.resources.iter().find(|resource| !resource.is_built_in())?;
    Some(Work::new(context).call(first, Operation::Status, abort).await)
}

/// Stops a group on this node, whether or not it runs here.
///
/// From right to left each resource is stopped, without asking first. A `stop` that fails is repeated; when it never
/// succeeds `status` decides: a resource that says it is stopped counts as released. One that does not is stuck, and
/// the rest of the group is stopped all the same: an address must not stay behind because of a stuck server. A missing
/// script is not tried again: there is nothing that could succeed.
///
/// With `stop_retries` 0 this returns only when everything is stopped or a script is missing: what waits for it has to be
/// content with waiting for ever.
///
/// Dropping the future kills the running script and leaves the group half stopped.
pub async fn release(group: &GroupScripts, context: &Context) -> GroupReport {
    let mut work = Work::new(context);
    let result = match work.stop_all(group).await {
        Ok(()) => GroupResult::Done,
        Err(Stuck { resource, reason }) => GroupResult::Stuck { resource, reason },
    };
    work.report(result)
}

/// The first resource that could not be stopped.
struct Stuck {
    resource: String,
    reason: String,
}

/// The calls of one acquire, release or check.
pub(super) struct Work<'a> {
    context: &'a Context,
    steps: Vec<Step>,
}

impl<'a> Work<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
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

    async fn stop_all(&mut self, group: &GroupScripts) -> Result<(), Stuck> {
        let mut result = Ok(());
        for resource in group.resources.iter().rev() {
            let Err(reason) = self.stop(resource).await else {
                continue;
            };
            tracing::error!(%resource, reason, "stop failed: it may still run here");
            result = result.and(Err(Stuck {
                resource: resource.to_string(),
                reason,
            }));
        }
        result
    }

    async fn stop(&mut self, resource: &Resource) -> Result<(), String> {
        let never = Abort::never();
        let mut attempt = 0;
        let stop = loop {
            let stop = self.call(resource, Operation::Stop, &never).await;
            if stop.outcome.is_success() {
                return Ok(());
            }
            if let Outcome::NotStarted(reason) = &stop.outcome {
                tracing::warn!(%resource, reason, "nothing to stop it with");
                break stop;
            }
            let retries = self.context.stop_retries;
            if retries != 0 && attempt == retries {
                break stop;
            }
            attempt = attempt.saturating_add(1);
            tracing::warn!(%resource, outcome = %stop.outcome, attempt, "stop failed and is repeated");
            sleep(self.context.stop_pause).await;
        };
        let reason = describe(Operation::Stop, &stop);
        match says_running(&self.call(resource, Operation::Status, &never).await) {
            Some(false) => {
                // Where there is no script it has been said already.
                if !matches!(stop.outcome, Outcome::NotStarted(_)) {
                    tracing::error!(%resource, reason, "status says stopped: taken as released, but the script is at fault");
                }
                Ok(())
            }
            Some(true) => Err(format!("{reason}; status says that it runs")),
            None => Err(format!("{reason}; status gave no answer")),
        }
    }

    pub(super) async fn call(&mut self, resource: &Resource, operation: Operation, abort: &Abort) -> Finished {
        let name = resource.to_string();
        let mut moved = None;
        let finished = match (&resource.address, &resource.cloud) {
            (Some(address), _) => self.move_address(address, operation).await,
            (None, Some(address)) => floating_ip::call(self.context, address, operation, abort, &mut moved).await,
            (None, None) => self.run_script(resource, &name, operation, abort).await,
        };
        self.note(resource, operation, finished, moved)
    }

    fn note(
        &mut self,
        resource: &Resource,
        operation: Operation,
        finished: Finished,
        moved: Option<Moved>,
    ) -> Finished {
        self.steps.push(Step {
            resource: resource.to_string(),
            operation,
            started: finished.started,
            ended: finished.ended,
            outcome: finished.outcome.clone(),
            moved,
        });
        finished
    }

    /// It takes microseconds, and is not aborted.
    async fn move_address(&self, address: &Address, operation: Operation) -> Finished {
        match &self.context.hands {
            Some(hands) => {
                let context = self.context;
                hands.call(address, operation, context.limit, context.is_certain).await
            }
            None => not_called(Outcome::Failed("nothing here moves addresses".to_owned())),
        }
    }

    async fn run_script(&self, resource: &Resource, name: &str, operation: Operation, abort: &Abort) -> Finished {
        // Looked up each time: a script may have come or gone since.
        let path = match scripts::find(&self.context.dirs, &resource.name) {
            Ok(path) => path,
            Err(error) => return not_called(Outcome::NotStarted(error.to_string())),
        };
        let script = Script {
            path,
            args: resource.args.clone(),
        };
        let call = Call {
            resource: name,
            script: &script,
            operation,
            env: &self.context.env,
            passed: &self.context.passed,
            limit: self.context.limit,
        };
        scripts::call(&call, abort).await
    }
}

/// What a `status` says; `None` when it did not come to its end. A missing script is a resource that does not run.
#[must_use]
pub fn says_running(status: &Finished) -> Option<bool> {
    match status.outcome {
        Outcome::Exited(_) | Outcome::Done => Some(status.says_running),
        Outcome::NotStarted(_) => Some(false),
        Outcome::Signalled(_) | Outcome::TimedOut | Outcome::Aborted | Outcome::Failed(_) | Outcome::Unknown(_) => None,
    }
}

fn not_called(outcome: Outcome) -> Finished {
    let now = clock::now();
    Finished {
        outcome,
        started: now,
        ended: now,
        says_running: false,
        output_tail: String::new(),
    }
}

/// A failed call in one line, with the line of what the script printed that is likely to say why.
pub(super) fn describe(operation: Operation, finished: &Finished) -> String {
    let mut text = format!("{operation}: {}", finished.outcome);
    let line = telling_line(&finished.output_tail);
    if !line.is_empty() {
        text.push_str(": ");
        text.push_str(&line);
    }
    text
}

/// The last line that speaks of an error, else the last that says anything: many programs end with a hint at their `--help`.
fn telling_line(text: &str) -> String {
    let speaks_of_error = |line: &&str| line.to_ascii_lowercase().contains("error");
    last_lines(text.lines().rfind(speaks_of_error).unwrap_or(text), 1)
}

#[cfg(test)]
mod tests;
