//! What `hb status --json` says. All knowledge of its shape is here.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use hb_user::control;
use serde::Deserialize;
use serde_json::Value;

use crate::{clock::Moment, host::Host};

/// A node's view of the cluster.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// The node's name.
    pub node: String,
    /// Its resource groups.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// The other nodes.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// The last time that it took over a group.
    #[serde(default)]
    pub last_takeover: Option<Takeover>,
    /// All of it.
    #[serde(skip)]
    pub json: Value,
}

/// A resource group.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The node that owns it, if any does.
    pub owner: Option<String>,
    /// What this node does with it.
    #[serde(default)]
    pub state: String,
}

/// Another node.
#[derive(Clone, Debug, Deserialize)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Whether it is up.
    pub state: String,
    /// Whether it hears us.
    pub hears_us: bool,
}

/// A takeover, in microseconds since the last beat of the peer from which the group was taken.
#[derive(Clone, Debug, Deserialize)]
pub struct Takeover {
    /// Why.
    #[serde(default)]
    pub cause: String,
    /// When that last beat came, or without one the decision, in microseconds of `CLOCK_MONOTONIC`.
    pub origin_monotonic_us: u64,
    /// That last beat, if there was one: 0.
    #[serde(default)]
    pub last_beat_us: Option<i64>,
    /// When the peer's next beat was due at the latest.
    #[serde(default)]
    pub deadline_us: Option<i64>,
    /// When it was seen to be missing.
    #[serde(default)]
    pub detected_us: Option<i64>,
    /// By whom: the kernel or the thread.
    #[serde(default)]
    pub detected_by: Option<String>,
    /// When it was decided to take over.
    #[serde(default)]
    pub decided_us: Option<i64>,
    /// What was done.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// One resource's part in a takeover.
#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    /// The resource.
    pub resource: String,
    /// What was asked of it.
    pub operation: String,
    /// When its script was started.
    pub started_us: i64,
    /// When it ended.
    #[serde(default)]
    pub ended_us: Option<i64>,
    /// When the provider of a floating IP accepted its move.
    #[serde(default)]
    pub accepted_us: Option<i64>,
    /// When the provider said that it was done.
    #[serde(default)]
    pub completed_us: Option<i64>,
    /// When it was read back as this node's.
    #[serde(default)]
    pub verified_us: Option<i64>,
}

impl Status {
    /// What the daemon on a host says: what `hb status --json` prints, without a process for each look.
    pub fn of_host(host: &Host) -> Result<Self> {
        let ask = || control::ask(Path::new(control::RUN_DIR), &control::Request::Status);
        match host.enter(ask)?? {
            control::Reply::Status(status) => Self::new(*status),
            other @ (control::Reply::Error(_)
            | control::Reply::Done { .. }
            | control::Reply::Refused { .. }
            | control::Reply::Failed { .. }
            | control::Reply::Pending { .. }) => bail!("{}: no status: {other:?}", host.name()),
        }
    }

    /// What a daemon answered.
    pub fn new(answer: hb_user::control::Status) -> Result<Self> {
        Self::of(serde_json::to_value(answer)?)
    }

    /// Reads what `hb status --json` wrote.
    pub fn parse(text: &str) -> Result<Self> {
        Self::of(serde_json::from_str(text).with_context(|| format!("hb status wrote no JSON: {text:?}"))?)
    }

    fn of(json: Value) -> Result<Self> {
        let status = Self::deserialize(&json).with_context(|| format!("hb status wrote something else: {json}"))?;
        Ok(Self { json, ..status })
    }

    /// The number at a JSON pointer (RFC 6901), such as `/peers/0/links/0/accepted`.
    pub fn number(&self, pointer: &str) -> Result<u64> {
        let number = self.json.pointer(pointer).and_then(Value::as_u64);
        number.with_context(|| format!("no number at {pointer} in {}", self.json))
    }

    /// The text at a JSON pointer.
    pub fn text(&self, pointer: &str) -> Result<&str> {
        let text = self.json.pointer(pointer).and_then(Value::as_str);
        text.with_context(|| format!("no text at {pointer} in {}", self.json))
    }

    /// What an operator has to act on.
    #[must_use]
    pub fn alarms(&self) -> Vec<&str> {
        let alarms = self.json.pointer("/alarms").and_then(Value::as_array);
        alarms.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether there is an alarm that begins with `what` and names `whom`.
    #[must_use]
    pub fn has_alarm(&self, what: &str, whom: &str) -> bool {
        let is_it = |alarm: &&str| alarm.starts_with(what) && alarm.contains(whom);
        self.alarms().iter().any(is_it)
    }

    /// How many frames got a verdict, put down to the first link of the first peer or to none.
    #[must_use]
    pub fn verdict(&self, name: &str) -> u64 {
        ["/verdicts", "/peers/0/links/0/rejected"]
            .iter()
            .filter_map(|place| self.json.pointer(place)?.get(name)?.as_u64())
            .sum()
    }

    /// How many beats of the first peer were admitted.
    pub fn accepted(&self) -> Result<u64> {
        self.number("/peers/0/links/0/accepted")
    }

    /// Whether every peer is up and hears us.
    #[must_use]
    pub fn sees_all_peers(&self) -> bool {
        !self.peers.is_empty() && self.peers.iter().all(|peer| peer.state == "up" && peer.hears_us)
    }

    /// Whether no group is being started or stopped here. A script's work shows before the daemon knows that the script has ended.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let is_at_work = |group: &Group| ["acquiring", "releasing"].contains(&group.state.as_str());
        !self.groups.iter().any(is_at_work)
    }

    /// The owner of the first group, which in the tutorial's cluster is the only one.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.groups.first()?.owner.as_deref()
    }
}

impl Takeover {
    /// The moment that lies so many microseconds after [`origin_monotonic_us`](Self::origin_monotonic_us).
    #[must_use]
    pub fn moment(&self, micros: i64) -> Option<Moment> {
        let since_zero = self.origin_monotonic_us.checked_add_signed(micros)?;
        Some(Moment::from_clock(Duration::from_micros(since_zero)))
    }

    /// When the last beat came, if the takeover was from a node that fell silent.
    #[must_use]
    pub fn last_beat(&self) -> Option<Moment> {
        self.moment(self.last_beat_us?)
    }

    /// The step that gave this node the floating IP, once it has ended.
    #[must_use]
    pub fn start(&self) -> Option<&Step> {
        self.steps
            .iter()
            .rfind(|step| step.operation == "start" && step.ended_us.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemons_json_is_read() -> Result<()> {
        let status = Status::parse(
            r#"{"node": "secondary", "incarnation": 7,
                "groups": [{"name": "floatip", "preferred": "primary", "owner": "secondary", "state": "started", "since_ms": 12}],
                "peers": [{"name": "primary", "state": "up", "hears_us": true, "links": []}],
                "last_takeover": {"group": "floatip", "peer": "primary", "cause": "dead", "origin_monotonic_us": 77, "last_beat_us": 0,
                    "deadline_us": 500000, "detected_us": 500090, "decided_us": 500120,
                    "steps": [{"resource": "floatip", "operation": "start", "started_us": 501000, "ended_us": 640000, "outcome": "ok"}]}}"#,
        )?;
        assert_eq!(status.owner(), Some("secondary"));
        assert!(status.sees_all_peers());
        let takeover = status.last_takeover.context("no takeover")?;
        assert_eq!(takeover.start().map(|step| step.started_us), Some(501_000));
        assert_eq!(takeover.origin_monotonic_us, 77);
        assert_eq!(takeover.last_beat(), takeover.moment(0));
        Ok(())
    }
}
