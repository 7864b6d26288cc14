//! Monitoring, which Heartbeat lacks: asks the resources of a group that runs here whether they still do.

use super::group::{Context, GroupScripts, Work, describe};
use super::scripts::{Operation, Outcome};
use crate::process::Abort;

/// What the resources of a group say of themselves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Health {
    /// All of them run.
    Healthy,
    /// One does not, or does not say so.
    Sick {
        /// The first such resource, as haresources writes it.
        resource: String,
        /// What its `status` did instead.
        reason: String,
    },
}

/// Asks the resources for their `status`, from left to right, up to the first that is sick.
///
/// An answer is judged as at a start: by the text on stdout ([`is_running`](super::is_running)) and no exit code. A script
/// that says nothing is sick by that, a call at its time limit, killed by a signal or impossible is sick, too: only groups
/// whose scripts all know `status` can be monitored.
///
/// A floating IP is never sick: whose it is is read by the daemon all the time, and what that means is for the core, which knows
/// who is silent. Taking it back from here would be one side of a fight.
///
/// It only asks, so that the future may be dropped at any time; a `status` under way is killed then.
pub async fn check(group: &GroupScripts, context: &Context) -> Health {
    let mut work = Work::new(context);
    for resource in &group.resources {
        let status = work.call(resource, Operation::Status, &Abort::never()).await;
        let problem = match &status.outcome {
            Outcome::Exited(_) | Outcome::Done if status.says_running => continue,
            Outcome::Failed(reason) | Outcome::Unknown(reason) if resource.cloud.is_some() => {
                tracing::warn!(%resource, reason, "not known to be here");
                continue;
            }
            Outcome::Done if resource.cloud.is_some() => {
                tracing::warn!(%resource, "is not here");
                continue;
            }
            Outcome::Exited(_) => "does not say that it runs: ",
            Outcome::Signalled(_)
            | Outcome::TimedOut
            | Outcome::Aborted
            | Outcome::NotStarted(_)
            | Outcome::Done
            | Outcome::Failed(_)
            | Outcome::Unknown(_) => "",
        };
        return Health::Sick {
            resource: resource.to_string(),
            reason: format!("{problem}{}", describe(Operation::Status, &status)),
        };
    }
    Health::Healthy
}

#[cfg(test)]
mod tests;
