//! What the commands for floating IPs answer to a program (`--json`): one object, whatever comes of it.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::ip::{micros, say, since};
use super::{Exit, Failure};
use crate::clock;
use crate::config::ConfigError;
use crate::resources::cloud::{self, CloudError, FloatingIp, InstanceId, MoveError, Owner, Progress, Watch};

/// The fields of an object.
pub(super) type Fields = Map<String, Value>;

/// A command that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// What kind of failure it is, in one word.
    class: &'static str,
    /// What is known all the same.
    known: Fields,
}

impl Failed {
    pub(super) fn new(failure: Failure, class: &'static str) -> Self {
        Self {
            failure,
            class,
            known: Fields::new(),
        }
    }

    /// The arguments do not fit together, or not what hb.toml says.
    pub(super) fn usage(complaint: String) -> Self {
        Self::new(Failure::new(Exit::WrongUsage, anyhow::anyhow!(complaint)), SETTING)
    }

    /// Of a move or a question, with what the failure itself tells.
    pub(super) fn refused(error: MoveError) -> Self {
        let (exit, class) = kind(&error);
        let known = facts(&error);
        Self {
            failure: Failure::new(exit, error),
            class,
            known,
        }
    }

    /// Adds what was known before. What the failure tells is newer.
    pub(super) fn knowing(mut self, mut known: Fields) -> Self {
        known.append(&mut self.known);
        self.known = known;
        self
    }

    /// The failure as the command's end, after the object was printed where a program wants it. `asked` are the fields that
    /// say what was asked for.
    pub(super) fn told(self, json: bool, asked: Fields) -> Failure {
        if json && self.failure.exit != Exit::WrongUsage {
            say(&Value::Object(self.object(asked)).to_string());
        }
        self.failure
    }

    pub(super) fn object(&self, mut asked: Fields) -> Fields {
        asked.extend(self.known.clone());
        asked.insert("error".to_owned(), format!("{:#}", self.failure.error).into());
        asked.insert("class".to_owned(), self.class.into());
        asked
    }
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self::new(error.into(), SETTING)
    }
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        Self::new(error.into(), SETTING)
    }
}

impl From<CloudError> for Failed {
    fn from(error: CloudError) -> Self {
        Self::new(Failure::new(Exit::of_cloud(&error), error), SETTING)
    }
}

/// Nothing was asked of anybody: the command, hb.toml or the token is at fault.
pub(super) const SETTING: &str = "setting";
pub(super) const NOT_OURS: &str = "not_ours";
pub(super) const NOT_ACTIVE: &str = "not_active";
/// The address is ours, and something would stand in the way of a takeover.
pub(super) const NOT_READY: &str = "not_ready";

fn kind(error: &MoveError) -> (Exit, &'static str) {
    match error {
        MoveError::Failed(cloud::Failure::Unauthorised { .. }) => (Exit::NotPermitted, "unauthorised"),
        MoveError::Failed(cloud::Failure::Pending { .. }) => (Exit::Failed, "pending"),
        MoveError::Failed(cloud::Failure::Throttled { .. }) => (Exit::Failed, "throttled"),
        MoveError::Failed(cloud::Failure::Refused { .. }) => (Exit::Failed, "refused"),
        MoveError::Failed(cloud::Failure::Passing { .. }) => (Exit::Failed, "passing"),
        MoveError::Failed(cloud::Failure::Setting { .. }) => (Exit::Failed, SETTING),
        MoveError::Action { .. } => (Exit::Failed, "action"),
        MoveError::NotOurs { .. } => (Exit::NotOurs, NOT_OURS),
        MoveError::NotActive => (Exit::NotOurs, NOT_ACTIVE),
        MoveError::Contended { .. } => (Exit::NotOurs, "contended"),
        MoveError::Deadline { .. } => (Exit::NotInTime, "deadline"),
    }
}

fn facts(error: &MoveError) -> Fields {
    match error {
        MoveError::Failed(cloud::Failure::Unauthorised { status, .. } | cloud::Failure::Refused { status, .. }) => {
            fields(json!({ "status": status }))
        }
        MoveError::Failed(cloud::Failure::Throttled { wait, .. }) => {
            fields(json!({ "retry_after_s": wait.as_secs_f64() }))
        }
        MoveError::NotOurs { owner } | MoveError::Contended { owner } => owner_fields(owner),
        MoveError::Failed(
            cloud::Failure::Pending { .. } | cloud::Failure::Passing { .. } | cloud::Failure::Setting { .. },
        )
        | MoveError::Action { .. }
        | MoveError::NotActive
        | MoveError::Deadline { .. } => Fields::new(),
    }
}

pub(super) fn owner_fields(owner: &Owner) -> Fields {
    fields(json!({
        "owner": owner.instance.as_ref().map(InstanceId::as_str),
        "changing": owner.is_changing,
    }))
}

/// Which address.
pub(super) fn address_field(ip: &FloatingIp) -> Fields {
    fields(json!({ "address": ip.address().to_string() }))
}

/// The fields of what is written as an object.
pub(super) fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Fields::new(),
    }
}

/// What a move did on its way, for who learns that it failed.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted(Arc<Mutex<Fields>>);

impl Noted {
    /// Notes what `watch` is told, too.
    pub(super) fn watch(&self, watch: Watch) -> Watch {
        let (noted, begun) = (self.0.clone(), clock::now());
        Arc::new(move |progress: &Progress| {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            match progress {
                Progress::Found { owner, .. } => {
                    noted.extend(fields(
                        json!({ "from": owner.instance.as_ref().map(InstanceId::as_str) }),
                    ));
                }
                Progress::Accepted { action, at } => noted.extend(fields(json!({
                    "action": action.as_ref().map(cloud::ActionId::as_str),
                    "accepted_us": micros(since(begun, *at)),
                }))),
                Progress::Completed { at, .. } => {
                    noted.extend(fields(json!({ "completed_us": micros(since(begun, *at)) })));
                }
                Progress::Verified { .. } | Progress::Retrying { .. } => {}
            }
            watch(progress);
        })
    }

    pub(super) fn known(&self) -> Fields {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests;
