//! Seeded disasters on real hosts: what the simulator does to the core, shorter, and to all of hb.
//!
//! [`run`] lets a seed choose what goes wrong and for how long, ends all faults, insists that the cluster settles, and
//! judges what the scripts' own stamps tell by what [`faults`] remembers.

pub mod faults;
mod walk;

use std::{fmt::Write as _, time::Duration};

use anyhow::{Result, anyhow, ensure};

use crate::{
    clock::Moment,
    expect::LIMIT,
    nodes::{
        Files, Nodes,
        lan::{GATEWAY_IP, name},
    },
    ownership::Ownership,
    stamp::{self, Fault},
};
use faults::Faults;
use walk::Walk;

/// deadtime. Long enough for a busy machine.
pub const DEADTIME: Duration = Duration::from_millis(800);
/// keepalive.
const INTERVAL: Duration = Duration::from_millis(50);
/// initdead, in seconds.
const INITDEAD: u64 = 2;
/// How much longer than the deadtime a takeover waits, so that stops have the time.
const TAKEOVER_DELAY: Duration = Duration::from_millis(400);
/// Of what begins to stop an interval before anybody may take over.
const ROOM: Duration = INTERVAL.saturating_add(TAKEOVER_DELAY);
/// How long the script of [`SLOW`] stops: longer than there is room.
const SLOW_STOP: Duration = Duration::from_millis(700);
/// Longest that everything may take, after the last fault, to be where it belongs. A start after initdead, the end of a
/// lease, and two moves of the slow group are a third of it; the rest is for a busy machine.
pub const SETTLED: Duration = Duration::from_secs(15);

/// The resources, each a group, and the nodes that prefer them; the last node has two in a cluster of two.
const GROUPS: [&str; 3] = ["web", "db", SLOW];
/// The resource whose stop takes longer than there is room for.
const SLOW: &str = "slow";

/// What decides a partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Three nodes.
    Majority,
    /// Two nodes and the gateway, which answers pings.
    Pings,
    /// Two nodes: nothing does.
    Nothing,
}

impl Kind {
    fn nodes(self) -> usize {
        match self {
            Self::Majority => 3,
            Self::Pings | Self::Nothing => 2,
        }
    }

    fn files(self) -> Files {
        let mut ha_cf = format!(
            "keepalive {}ms\ndeadtime {}ms\ninitdead {INITDEAD}\nauto_failback on\n",
            INTERVAL.as_millis(),
            DEADTIME.as_millis()
        );
        if self == Self::Pings {
            // Writing to a string does not fail.
            let _ = writeln!(ha_cf, "ping {GATEWAY_IP}\ndeadping {}ms", DEADTIME.as_millis());
        }
        let groups = GROUPS.iter().enumerate();
        let lines = groups.map(|(index, group)| format!("{} {}::{group}\n", name(self.preferred(index)), stamp::NAME));
        Files::of(self.nodes(), &ha_cf)
            .haresources(&lines.collect::<String>())
            .hb_toml(&format!(
                "[cluster]\ntakeover_delay = \"{}ms\"\n",
                TAKEOVER_DELAY.as_millis()
            ))
    }

    fn preferred(self, group: usize) -> usize {
        group.min(self.nodes() - 1)
    }
}

/// What a run saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Faults, orders, starts and stops.
    pub deeds: usize,
    /// Groups that were started.
    pub starts: usize,
    /// How long groups had two owners, all together, all of it excused.
    pub excused: Duration,
    /// How long it took until everything was settled.
    pub settled: Duration,
}

/// One run. An error tells the seed, and who did what when.
pub fn run(kind: Kind, seed: u64, lasting: Duration) -> Result<Tally> {
    let mut nodes = Nodes::create(kind.nodes(), |_| kind.files())?;
    let mut faults = Faults::new(kind);
    let told = disaster(kind, seed, lasting, &mut nodes, &mut faults);
    told.map_err(|error| {
        let story = nodes
            .ownership()
            .map_or_else(|error| format!("{error:#}"), |owned| faults.story(&owned));
        nodes.explained(&anyhow!(
            "{kind:?}, seed {seed}, {lasting:?}: {error:#}\n==== what happened, in seconds\n{story}"
        ))
    })
}

fn disaster(kind: Kind, seed: u64, lasting: Duration, nodes: &mut Nodes, faults: &mut Faults) -> Result<Tally> {
    for node in 0..nodes.count() {
        stamp::spoil(nodes.host(node), SLOW, "stop", Fault::Takes(SLOW_STOP))?;
    }
    nodes.start_all()?;
    nodes.wait_until("everything is settled at first", LIMIT, || {
        Ok(is_settled(kind, nodes)? && is_at_home(kind, nodes)?)
    })?;
    let begun = Moment::now();
    let mut walk = Walk::new(kind, seed, nodes, faults)?;
    walk.wander(begun + lasting)?;
    let quiet = walk.end_all_faults()?;
    let lives = walk.lives();
    nodes.wait_until("everything is settled at last", SETTLED, || is_settled(kind, nodes))?;
    let settled = Moment::now() - quiet;
    // Operators may have moved groups, and they stay where they were moved to.
    if faults.is_ordered() {
        for node in 0..nodes.count() {
            // Who was frozen until a moment ago obeys nothing yet.
            nodes.wait_until("a takeover is obeyed at last", SETTLED, || {
                Ok(nodes.run(node, &["takeover", "local"])?.code == Some(0))
            })?;
        }
    }
    nodes.wait_until("everything is at home at last", SETTLED, || {
        Ok(is_settled(kind, nodes)? && is_at_home(kind, nodes)?)
    })?;
    for (node, life) in lives.iter().enumerate() {
        let now = nodes.status(node)?.text("/incarnation")?.to_owned();
        ensure!(
            life.as_ref().is_none_or(|life| *life == now),
            "{} was not started again, and its incarnation {life:?} is {now}",
            name(node)
        );
    }
    let ownership = nodes.ownership()?;
    let excused = faults.judge(&nodes.stamps()?, &ownership, &GROUPS)?;
    Ok(Tally {
        deeds: faults.deeds(),
        starts: count_starts(&ownership),
        excused,
        settled,
    })
}

fn count_starts(ownership: &Ownership) -> usize {
    ownership.intervals().len()
}

/// Whether all see each other, each group runs on exactly one node, and all agree on that.
fn is_settled(kind: Kind, nodes: &Nodes) -> Result<bool> {
    for (index, group) in GROUPS.iter().enumerate() {
        let [owner] = nodes.runs_on(group)?[..] else {
            return Ok(false);
        };
        for node in 0..kind.nodes() {
            // It may not answer yet.
            let Ok(status) = nodes.status(node) else {
                return Ok(false);
            };
            let view = &status.groups[index];
            let is_at_rest = view.state != "acquiring" && view.state != "releasing";
            if !status.sees_all_peers() || !is_at_rest || view.owner.as_deref() != Some(name(owner).as_str()) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn is_at_home(kind: Kind, nodes: &Nodes) -> Result<bool> {
    for (index, group) in GROUPS.iter().enumerate() {
        if nodes.runs_on(group)? != [kind.preferred(index)] {
            return Ok(false);
        }
    }
    Ok(true)
}
