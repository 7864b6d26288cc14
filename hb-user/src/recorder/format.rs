//! The lines of a recording. Written and read here only.

use std::borrow::Cow;

use hb_ebpf::Nanos;
use serde::{Deserialize, Serialize};

use super::Header;
use crate::core::{Event, Node};

/// The number of this format: another one, when a reader of this cannot read it.
pub(super) const FORMAT: u64 = 2;
/// The oldest that can be read: it has not what the provider of a floating IP says, and lacks nothing else.
pub(super) const OLDEST: u64 = 1;

/// What the numbers in events stand for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// The nodes, in the order of ha.cf.
    pub nodes: Vec<String>,
    /// The groups, in the order of haresources.
    pub groups: Vec<String>,
}

impl Names {
    /// The name of a node.
    #[must_use]
    pub fn node(&self, index: usize) -> Cow<'_, str> {
        name(&self.nodes, "node", index)
    }

    /// The name of a group.
    #[must_use]
    pub fn group(&self, index: usize) -> Cow<'_, str> {
        name(&self.groups, "group", index)
    }
}

fn name<'a>(names: &'a [String], kind: &str, index: usize) -> Cow<'a, str> {
    match names.get(index) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(format!("{kind} number {index}")),
    }
}

/// Why there is a header.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The daemon started.
    Start,
    /// The last file was full.
    NewFile,
    /// Events were lost.
    Lost,
    /// The configuration has changed.
    Reconfigured,
}

/// A header: all that a replay has to know to begin here.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The version of the hb that recorded.
    pub hb: String,
    pub(super) format: u64,
    /// Why it is here.
    pub why: Why,
    /// When the daemon started, in seconds since 1970.
    pub started_unix: u64,
    /// What the numbers stand for.
    pub names: Names,
    /// When it was written.
    pub at: Nanos,
    /// The state of the node before the next event.
    pub node: Node,
}

/// As [`Start`], of what belongs to others.
#[derive(Serialize)]
struct StartLine<'a> {
    hb: &'a str,
    format: u64,
    why: Why,
    started_unix: u64,
    names: &'a Names,
    at: Nanos,
    node: &'a Node,
}

#[derive(Serialize)]
struct EventLine<'a> {
    at: Nanos,
    event: &'a Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<&'a Names>,
}

/// An event, as it is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnedEvent {
    pub(super) at: Nanos,
    pub(super) event: Event,
    pub(super) names: Option<Names>,
}

/// A count of lost events.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lost {
    pub(super) lost: u64,
}

pub(super) fn start(why: Why, header: &Header, at: Nanos, node: &Node) -> String {
    line(&StartLine {
        hb: env!("CARGO_PKG_VERSION"),
        format: FORMAT,
        why,
        started_unix: header.started_unix,
        names: &header.names,
        at,
        node,
    })
}

/// `names` are those that hold after a change of the configuration.
pub(super) fn event(at: Nanos, event: &Event, names: Option<&Names>) -> String {
    line(&EventLine { at, event, names })
}

pub(super) fn lost(lost: u64) -> String {
    line(&Lost { lost })
}

fn line(value: &impl Serialize) -> String {
    // Structs of numbers and text with text for keys: there is nothing that JSON could not say.
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}
