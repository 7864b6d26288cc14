//! Sees what really runs where, and knows what must not be.

mod addresses;
mod causes;
mod owners;
mod pauses;

use std::fmt;

use hb_ebpf::Nanos;
use hb_user::core::{Command, Outcome, Quorum};

use self::addresses::Addresses;
use super::host::{Host, Pairs};
use super::network::Network;
use super::plan::{GROUPS, NODES, Plan};
use super::pulse::News;
use super::scripts::{Job, Task};
use super::tally::Tally;
use super::trace::{Trace, name};
use super::{DEADTIME, INTERVAL, ms};

/// What must hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// 1. With fencing no group has two owners at any instant; with a majority only while a loser, whose lease has ended, is
    ///    about to end its `stop`; and nobody starts before that lease has ended and the room has passed.
    OneOwner,
    /// 2. Two nodes that have nobody to ask have two owners only while cut or frozen, and for [`super::CALM`] after; with
    ///    ping nodes not even then, where the loser is cut off from these as well.
    Partition,
    /// 3. [`super::SETTLED`] after the last fault every group that a healthy node can run runs on one, the right one, and stays.
    Settled,
    /// 4. Nothing moves, dies or lapses without a cause that is true.
    Cause,
    /// 5. One work at a time on a group of a node, and each only where it makes sense.
    Works,
    /// Nothing is started or stopped in maintenance.
    Maintenance,
    /// Who was frozen says nothing until it has heard the others, and starts nothing for a deadtime.
    Frozen,
    /// With a witness nobody takes anything from a silent node before the provider has answered, and who lost both its peer and
    /// the provider stops within [`super::WITNESSED`].
    Unwitnessed,
    /// With a witness an address that a living node took while it was silent is not taken back from it, or once at the most.
    Fight,
    /// Who has a group is asked for it only by a node that could start it, or by a person.
    Unready,
}

/// A rule that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// When, on the world's clock.
    pub at: Nanos,
    /// How.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at.as_micros();
        write!(
            f,
            "rule {:?} is broken at {}.{:03} ms: {}",
            self.rule,
            micros / 1000,
            micros % 1000,
            self.what
        )
    }
}

/// A group on a host, from outside.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Fact {
    /// From the first `start` to the end of the last `stop`.
    runs: bool,
    /// When it was started.
    since: Nanos,
    is_stuck: bool,
    /// The daemon has gone and left it behind: in maintenance, or since it could not stop it.
    is_orphan: bool,
    /// Scripts have ended, and the core does not know yet.
    is_unheard_of: bool,
    /// When it last ran, as far as its daemon knows, once it does not.
    last_ran: Nanos,
    /// What has happened to it here, ever.
    has_failed: bool,
    was_declined: bool,
    was_sick: bool,
}

pub(super) struct Judge {
    pub(super) tally: Tally,
    pub(super) trace: Trace,
    /// From now on nothing may move.
    pub(super) is_settled: bool,
    /// When a node's kernel last admitted a beat of another that answers this life.
    pub(super) heard: Pairs<Nanos>,
    nodes: usize,
    pings: usize,
    quorum: Quorum,
    fencing: bool,
    /// Whether who lost a node needs the provider's answer.
    needs_provider: bool,
    /// And for how long that counts.
    witness_lease: Nanos,
    /// How much later than the end of a lease others may start.
    room: Nanos,
    facts: [[Fact; GROUPS]; NODES],
    /// Of each group, the hosts on which it runs under a daemon.
    owners: [u8; GROUPS],
    /// With whom a node shared a group, since it last had it alone.
    shared: [Pairs<bool>; GROUPS],
    /// Who was found dead by whom, in this life.
    died: Pairs<bool>,
    was_told_to_leave: [bool; NODES],
    /// Whose daemon is there, if only to say farewell.
    is_there: [bool; NODES],
    /// When a daemon last began a life.
    booted: [Nanos; NODES],
    /// Who says farewell, frozen or not.
    has_left: [bool; NODES],
    /// Whose kernel has forgotten in this life what it had heard: to it, old packets are news.
    has_forgotten: [bool; NODES],
    /// Who said farewell in maintenance.
    leaves_things: [bool; NODES],
    was_told: [Told; NODES],
    in_maintenance: [bool; NODES],
    last_maintenance: Nanos,
    lapsed: [Nanos; NODES],
    stopped: [Nanos; NODES],
    thawed: [Nanos; NODES],
    /// Until when a node may say nothing, and until when it may start nothing.
    hushed: [Nanos; NODES],
    doubts: [Nanos; NODES],
    /// When all machines were stopped last, and when they ran on.
    paused: (Nanos, Nanos),
    /// Since when a node is cut off from all at one blow, ping nodes included.
    isolated: [Option<Nanos>; NODES],
    last_upheaval: Nanos,
    config_before: [usize; NODES],
    /// The version of the configuration in force in the last life.
    pub(super) last_config: [usize; NODES],
    last_reload: Option<Nanos>,
    /// Until when a daemon that restarts has asked each of the others to wait, in which of its lives.
    waits: Pairs<Option<(u64, Nanos)>>,
    addresses: Addresses,
}

/// Which commands a node was given, ever.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each command")]
struct Told {
    standby: bool,
    takeover: bool,
    cleanup: bool,
    reload: bool,
}

impl Judge {
    pub(super) fn new(plan: &Plan, is_traced: bool) -> Self {
        Self {
            tally: Tally::default(),
            trace: Trace::new(is_traced),
            is_settled: false,
            heard: Default::default(),
            nodes: plan.nodes,
            pings: plan.pings,
            quorum: plan.quorum,
            fencing: plan.fencing,
            needs_provider: plan.cloud.is_some_and(|cloud| cloud.witness) && plan.quorum != Quorum::Majority,
            witness_lease: plan.cloud.and_then(|cloud| cloud.lease).unwrap_or(Nanos::MAX),
            room: INTERVAL.saturating_add(plan.takeover_delay),
            facts: Default::default(),
            owners: [0; GROUPS],
            shared: Default::default(),
            died: Default::default(),
            was_told_to_leave: [false; NODES],
            is_there: [false; NODES],
            booted: Default::default(),
            has_left: [false; NODES],
            has_forgotten: [false; NODES],
            leaves_things: [false; NODES],
            was_told: Default::default(),
            in_maintenance: [false; NODES],
            last_maintenance: Nanos(0),
            lapsed: Default::default(),
            stopped: Default::default(),
            thawed: Default::default(),
            hushed: Default::default(),
            doubts: Default::default(),
            paused: Default::default(),
            isolated: [None; NODES],
            last_upheaval: Nanos(0),
            config_before: [0; NODES],
            last_config: [0; NODES],
            last_reload: None,
            waits: Default::default(),
            addresses: Addresses::default(),
        }
    }

    pub(super) fn count(&mut self, what: &'static str) {
        self.tally.count(what);
    }

    pub(super) fn longest_work(&mut self, span: Nanos) {
        self.tally.most("longest work, ms", span.0 / ms(1).0);
    }

    fn broken(rule: Rule, at: Nanos, what: String) -> Result<(), Violation> {
        Err(Violation { rule, at, what })
    }

    pub(super) fn runs(&self, host: usize, id: usize) -> bool {
        self.facts[host][id].runs
    }

    pub(super) fn config_before(&self, host: usize) -> usize {
        self.config_before[host]
    }

    pub(super) fn boots(&mut self, now: Nanos, host: &Host) {
        self.count("boots");
        for waits in &mut self.waits {
            waits[host.index] = None;
        }
        let (index, life) = (host.index, host.life.as_ref());
        self.trace.say(|| {
            let incarnation = life.map_or(0, |life| life.incarnation.0);
            format!("{} boots as {incarnation:012x}", name(index))
        });
        self.forget(index);
        self.last_upheaval = now;
        self.booted[index] = now;
        self.is_there[index] = true;
        self.config_before[index] = host.config;
        self.last_config[index] = host.config;
        // Whoever starts a daemon again has looked after what the last had left behind.
        for fact in &mut self.facts[index] {
            if fact.is_orphan {
                (fact.runs, fact.is_stuck, fact.is_orphan) = (false, false, false);
            }
        }
    }

    /// What only one life of the daemon is about.
    fn forget(&mut self, host: usize) {
        self.heard[host] = Default::default();
        (self.has_left[host], self.has_forgotten[host], self.is_there[host]) = (false, false, false);
        self.died[host] = Default::default();
        self.in_maintenance[host] = false;
        self.hushed[host] = Nanos(0);
        self.doubts[host] = Nanos(0);
        self.lapsed[host] = Nanos(0);
        self.addresses.forget(host);
        for shared in &mut self.shared {
            shared[host] = Default::default();
        }
    }

    /// A host without power runs nothing.
    pub(super) fn is_off(&mut self, now: Nanos, host: usize) {
        self.trace.say(|| format!("{} is off", name(host)));
        self.note_maintenance(now);
        self.forget(host);
        self.last_upheaval = now;
        for id in 0..GROUPS {
            let fact = &mut self.facts[host][id];
            if fact.runs {
                fact.last_ran = now;
            }
            (fact.runs, fact.is_stuck, fact.is_orphan) = (false, false, false);
            fact.is_unheard_of = false;
            self.owners[id] &= !(1 << host);
        }
    }

    /// The daemon has said farewell.
    pub(super) fn is_gone(&mut self, now: Nanos, host: &Host) {
        let index = host.index;
        self.trace.say(|| format!("{} has gone", name(index)));
        self.note_maintenance(now);
        let in_maintenance = std::mem::take(&mut self.leaves_things[index]);
        self.forget(index);
        self.last_upheaval = now;
        for id in 0..GROUPS {
            let fact = &mut self.facts[index][id];
            if fact.runs && (in_maintenance || fact.is_stuck) {
                fact.is_orphan = true;
                self.owners[id] &= !(1 << index);
                self.tally.count("orphans");
            }
        }
    }

    pub(super) fn leaves(&mut self, now: Nanos, host: &Host) {
        self.count("farewells");
        let node = host.life.as_ref().map(|life| &life.control.node);
        self.leaves_things[host.index] = node.is_some_and(hb_user::core::Node::in_maintenance);
        self.hushed[host.index] = Nanos(0);
        self.has_left[host.index] = true;
        self.note_maintenance(now);
    }

    pub(super) fn is_told_to_leave(&mut self, host: usize) {
        self.trace.say(|| format!("{} is told to leave", name(host)));
        self.was_told_to_leave[host] = true;
    }

    pub(super) fn is_sick(&mut self, host: usize, id: usize) {
        self.count("sick groups");
        self.trace.say(|| format!("g{id} is sick on {}", name(host)));
        self.facts[host][id].was_sick = true;
    }

    pub(super) fn is_commanded(&mut self, now: Nanos, host: usize, command: Command, ids: &[usize]) {
        self.trace
            .say(|| format!("{} is told {command:?}, about {ids:?}", name(host)));
        self.note_maintenance(now);
        let told = &mut self.was_told[host];
        match command {
            Command::Standby(_) => told.standby = true,
            Command::Takeover(_) => told.takeover = true,
            Command::Withdraw => {}
            Command::Maintenance(on) => {
                self.in_maintenance[host] = on;
                self.last_upheaval = now;
            }
            Command::Cleanup(_) => told.cleanup = true,
        }
        self.tally.count(match command {
            Command::Standby(_) => "standby commands",
            Command::Takeover(_) => "takeover commands",
            Command::Withdraw => "withdraw commands",
            Command::Maintenance(_) => "maintenance commands",
            Command::Cleanup(_) => "cleanup commands",
        });
    }

    fn note_maintenance(&mut self, now: Nanos) {
        if self.in_maintenance.contains(&true) {
            self.last_maintenance = now;
        }
    }

    pub(super) fn reloads(&mut self, now: Nanos, host: usize, old: usize, new: usize) {
        self.count("reloads");
        self.trace
            .say(|| format!("{} reloads, from version {old} to {new}", name(host)));
        self.config_before[host] = old;
        self.last_config[host] = new;
        self.was_told[host].reload = true;
        self.last_reload = Some(now);
        self.last_upheaval = now;
    }

    pub(super) fn sends(&mut self, now: Nanos, host: usize) -> Result<(), Violation> {
        if now < self.hushed[host] {
            return Self::broken(
                Rule::Frozen,
                now,
                format!("{} was frozen, and speaks at once", name(host)),
            );
        }
        Ok(())
    }

    pub(super) fn meets(&mut self, _host: usize, _node: usize) {
        self.count("news of peers");
    }

    /// What the pulse thread of a host tells.
    pub(super) fn hears(&mut self, now: Nanos, host: &Host, news: News, network: &Network) -> Result<(), Violation> {
        let index = host.index;
        match news {
            News::Dead { node } => {
                self.count("deaths");
                self.died[index][node] = true;
                self.addresses.lost(now, index, node);
                let heard = self.heard[index][node];
                let life = host.number().unwrap_or(0);
                if let Some((_, until)) =
                    self.waits[index][node].filter(|(other, until)| *other == life && now < *until)
                {
                    let micros = until.as_micros();
                    let what = format!(
                        "{} takes {} for dead, which restarts, before {}.{:03} ms",
                        name(index),
                        name(node),
                        micros / 1000,
                        micros % 1000
                    );
                    return Self::broken(Rule::Cause, now, what);
                }
                // What is heard of a new life is nothing to the old one, which may be found dead a grace later.
                let is_another = now.since(self.booted[node]) < Nanos(2 * DEADTIME.0);
                if now.since(heard) < DEADTIME && heard > Nanos(0) && !is_another && !self.has_forgotten[index] {
                    let what = format!("{} takes {} for dead, and heard it", name(index), name(node));
                    return Self::broken(Rule::Cause, now, what);
                }
                if self.were_stopped_together(index, node, heard, network) {
                    let what = format!(
                        "{} takes {} for dead, which was stopped with it",
                        name(index),
                        name(node)
                    );
                    return Self::broken(Rule::Cause, now, what);
                }
            }
            News::Lease { held: false } => {
                self.count("lapses");
                self.lapsed[index] = now;
            }
            News::Woke => self.count("woken"),
            News::Up { .. } | News::Lease { held: true } | News::Pings { .. } | News::Promised { .. } | News::Gone => {}
        }
        Ok(())
    }

    /// Which nodes are cut off from all others and from the ping nodes, at one blow, after quiet times.
    pub(super) fn is_cut(&mut self, now: Nanos, network: &Network, was_quiet: bool) {
        for host in 0..self.nodes {
            let is_isolated = network.is_isolated(host, self.nodes, self.pings);
            self.isolated[host] = match self.isolated[host] {
                _ if !is_isolated => None,
                None if was_quiet => Some(now),
                before => before,
            };
        }
    }

    /// The core hears of it that scripts have ended.
    pub(super) fn is_heard_of(&mut self, now: Nanos, host: usize, id: usize) {
        let fact = &mut self.facts[host][id];
        fact.is_unheard_of = false;
        if !fact.runs {
            fact.last_ran = now;
        }
    }

    pub(super) fn has_orphans(&self, host: usize) -> bool {
        self.facts[host].iter().any(|fact| fact.is_orphan)
    }

    /// Nodes that are off have a new configuration from now on; the others read it soon.
    pub(super) fn has_new_files(&mut self, now: Nanos) {
        self.last_reload = Some(now);
    }

    /// Scripts have ended.
    pub(super) fn ended(&mut self, now: Nanos, host: usize, id: usize, job: Job) {
        self.trace
            .say(|| format!("{} is done with {:?} of g{id}: {:?}", name(host), job.task, job.outcome));
        let fact = &mut self.facts[host][id];
        fact.is_unheard_of = job.work.is_some();
        match (job.task, job.outcome) {
            (Task::Start, Outcome::Done) => {}
            (Task::Stop, Outcome::Done | Outcome::Failed) => {
                fact.runs = false;
                fact.is_stuck = false;
            }
            (Task::Start, Outcome::Failed) => {
                fact.runs = false;
                fact.has_failed = true;
                self.tally.count("failed starts");
            }
            (Task::Start | Task::Stop, Outcome::Stuck) => {
                fact.is_stuck = true;
                self.tally.count("stuck groups");
            }
        }
        if !fact.runs {
            fact.last_ran = now;
            fact.is_orphan = false;
            self.owners[id] &= !(1 << host);
        }
    }
}
