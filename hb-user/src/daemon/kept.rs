//! What a daemon begins with: nothing, or what a former process has left.

use std::collections::BTreeMap;

use hb_ebpf::Nanos;

use super::handover::Handover;
use super::restart::Past;
use super::{keeper, settings};
use crate::config::Cluster;
use crate::control::Takeover;
use crate::core::{Node, Silence};
use crate::pulse::Snapshot;
use crate::resources::address::Held;

/// What the controller knows at its start.
pub(super) struct Kept {
    pub(super) started: Nanos,
    pub(super) node: Node,
    pub(super) problems: Vec<Option<String>>,
    pub(super) silences: Vec<Option<Silence>>,
    pub(super) troubles: BTreeMap<String, String>,
    pub(super) takeover: Option<Takeover>,
    pub(super) held: Vec<Held>,
    pub(super) keeper: keeper::Past,
    pub(super) past: Past,
}

impl Kept {
    pub(super) fn nothing(cluster: &Cluster, now: Nanos) -> Self {
        Self {
            started: now,
            node: Node::new(settings::ownership(cluster), now),
            problems: vec![None; cluster.groups.len()],
            silences: vec![None; cluster.nodes.len()],
            troubles: BTreeMap::new(),
            takeover: None,
            held: Vec::new(),
            keeper: keeper::Past::default(),
            past: Past::default(),
        }
    }

    /// What a former process has left, and what is the pulse's of it.
    pub(super) fn of(former: Handover) -> (Snapshot, Self) {
        let kept = Self {
            started: former.started,
            node: former.node,
            problems: former.problems,
            silences: former.silences,
            troubles: former.troubles,
            takeover: former.last_takeover,
            held: former.addresses,
            keeper: former.keeper,
            past: Past {
                count: former.restarts,
                ..Past::default()
            },
        };
        (former.pulse, kept)
    }
}
