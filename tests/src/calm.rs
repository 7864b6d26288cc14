//! Whether a cluster goes on as if nothing had happened, while something happens.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    expect::LIMIT,
    nodes::{Nodes, lan::name},
    stamp::{Stamp, What},
    status::Status,
};

/// Beats that everybody hears of everybody before anything counts as calm.
const CALM: u64 = 10;

/// What may not change while a cluster is calm.
#[derive(Debug, Eq, PartialEq)]
struct Seen {
    incarnation: String,
    /// By peer and address: beats lost, and beats refused.
    links: Vec<(Value, Value, u64, Value)>,
}

impl Seen {
    fn of(status: &Status) -> Result<Self> {
        let mut links = Vec::new();
        for peer in peers(status) {
            ensure!(peer["state"] == "up" && peer["hears_us"] == true, "{peer}");
            for link in peer["links"].as_array().context("no links")? {
                let lost = link["lost"].as_u64().context("no count of lost beats")?;
                links.push((
                    peer["name"].clone(),
                    link["address"].clone(),
                    lost,
                    link["rejected"].clone(),
                ));
            }
        }
        Ok(Self {
            incarnation: status.text("/incarnation")?.to_owned(),
            links,
        })
    }
}

fn accepted(status: &Status) -> u64 {
    let links = peers(status)
        .into_iter()
        .flat_map(|peer| peer["links"].as_array().cloned().unwrap_or_default());
    links.filter_map(|link| link["accepted"].as_u64()).min().unwrap_or(0)
}

/// A cluster as it was before something.
#[derive(Debug)]
pub struct Watch {
    seen: Vec<Seen>,
    /// So many calls of scripts there had been.
    pub calls: usize,
}

impl Watch {
    /// As it is now: all are up.
    pub fn start(nodes: &Nodes) -> Result<Self> {
        let all = 0..nodes.count();
        Ok(Self {
            seen: all.map(|node| Seen::of(&nodes.status(node)?)).collect::<Result<_>>()?,
            calls: moves(nodes)?.len(),
        })
    }

    /// Insists that since then nobody was restarted, no beat was lost or refused and everybody hears everybody, now and
    /// some beats later.
    pub fn ensure_heard(&self, nodes: &Nodes) -> Result<()> {
        for (node, seen) in self.seen.iter().enumerate() {
            let before = accepted(&nodes.status(node)?);
            nodes.wait_until("beats come", LIMIT, || {
                Ok(accepted(&nodes.status(node)?) >= before + CALM)
            })?;
            let now = Seen::of(&nodes.status(node)?)?;
            ensure!(*seen == now, "{}: {seen:?}, now {now:?}", name(node));
        }
        Ok(())
    }

    /// As [`ensure_heard`](Self::ensure_heard), and no script was called.
    pub fn ensure_calm(&self, nodes: &Nodes) -> Result<()> {
        self.ensure_heard(nodes)?;
        let called = called_since(nodes, self.calls)?;
        ensure!(called.is_empty(), "{called:?}");
        Ok(())
    }
}

/// Waits until these nodes see all their peers, whose configuration is theirs.
pub fn wait_until_met(nodes: &Nodes, mut all: impl Iterator<Item = usize> + Clone) -> Result<()> {
    nodes.wait_until("all see each other, and agree on the configuration", LIMIT, || {
        Ok(all.clone().all(|node| {
            nodes.status(node).is_ok_and(|status| {
                status.sees_all_peers() && peers(&status).iter().all(|peer| peer["config_matches"] == true)
            })
        }))
    })?;
    ensure!(all.next().is_some(), "nobody to wait for");
    Ok(())
}

/// The calls of scripts, but for `status`.
pub fn moves(nodes: &Nodes) -> Result<Vec<Stamp>> {
    let mut stamps = nodes.stamps()?;
    stamps.retain(|stamp| stamp.what != What::Status);
    Ok(stamps)
}

/// The begins of calls since then: `n1 web stop`.
pub fn called_since(nodes: &Nodes, before: usize) -> Result<Vec<String>> {
    let stamps = moves(nodes)?;
    let shown = |stamp: &Stamp| {
        let operation = match stamp.what {
            What::StartBegin => "start",
            What::StopBegin => "stop",
            What::StartEnd { .. } | What::StopEnd { .. } | What::Status | What::Lost => return None,
        };
        Some(format!("{} {} {operation}", stamp.host, stamp.resource))
    };
    Ok(stamps[before..].iter().filter_map(shown).collect())
}

fn peers(status: &Status) -> Vec<Value> {
    status.json["peers"].as_array().cloned().unwrap_or_default()
}
