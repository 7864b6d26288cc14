//! Rules 1, 2 and 5: who runs what, and what may be done to it.

use hb_ebpf::Nanos;
use hb_user::core::{Cause, Quorum};

use super::{Judge, Rule, Violation};
use crate::sim::host::Host;
use crate::sim::network::Network;
use crate::sim::plan::GROUPS;
use crate::sim::scripts::Task;
use crate::sim::trace::name;
use crate::sim::{CALM, REACTION, REBOOT, ms};

impl Judge {
    /// Checks an acquisition before it is done. `group`: its index, and which it is.
    #[expect(clippy::too_many_arguments, reason = "what there is to know of an action")]
    pub(in crate::sim) fn acquires(
        &mut self,
        now: Nanos,
        host: usize,
        group: (usize, usize),
        cause: Cause,
        reassert: bool,
        hosts: &[Host],
        network: &Network,
    ) -> Result<(), Violation> {
        let id = group.1;
        self.may_move(now, host, id, cause, hosts)?;
        if now < self.doubts[host] {
            let what = format!("{} was frozen, and starts g{id} at once", name(host));
            return Self::broken(Rule::Frozen, now, what);
        }
        let fact = self.facts[host][id];
        let job = hosts[host].jobs[id].filter(|job| job.work.is_some());
        let is_dropping = hosts[host].jobs[id].is_some() && job.is_none();
        if job.is_some() || fact.is_stuck || fact.runs != reassert && !fact.is_orphan && !is_dropping {
            let what = format!("{} starts g{id} (again: {reassert}) with {fact:?}, {job:?}", name(host));
            return Self::broken(Rule::Works, now, what);
        }
        self.check_cause_of_start(now, host, group, cause, hosts)?;
        self.check_losers(now, host, id, hosts, network)?;
        // What it has, or had a moment ago, it may start again.
        if !reassert && cause != Cause::Sick {
            self.check_witness(now, host, id, hosts)?;
        }
        self.count(cause.name());
        let fact = &mut self.facts[host][id];
        if reassert {
            self.tally.count("reasserted");
            for shared in &mut self.shared[id][host] {
                *shared = false;
            }
        } else {
            fact.since = now;
        }
        let fact = &mut self.facts[host][id];
        (fact.runs, fact.is_orphan) = (true, false);
        self.owners[id] |= 1 << host;
        Ok(())
    }

    /// Checks a release before it is done.
    pub(in crate::sim) fn releases(
        &mut self,
        now: Nanos,
        host: usize,
        group: (usize, usize),
        cause: Cause,
        hosts: &[Host],
    ) -> Result<(), Violation> {
        let id = group.1;
        self.may_move(now, host, id, cause, hosts)?;
        let fact = self.facts[host][id];
        let job = hosts[host].jobs[id];
        let is_stopping = job.is_some_and(|job| job.task == Task::Stop);
        // What the core does not know yet may have made this stop needless.
        let is_there = fact.runs || fact.is_stuck;
        let is_odd = !is_there || fact.is_stuck != (cause == Cause::Cleanup);
        if is_stopping || is_odd && !fact.is_unheard_of {
            let what = format!("{} stops g{id} with {fact:?}, {job:?}", name(host));
            return Self::broken(Rule::Works, now, what);
        }
        self.check_cause_of_stop(now, host, group, cause, hosts)?;
        self.count(cause.name());
        self.facts[host][id].is_unheard_of = false;
        Ok(())
    }

    /// A group that a new configuration does not name.
    pub(in crate::sim) fn drops(
        &mut self,
        now: Nanos,
        host: usize,
        id: usize,
        hosts: &[Host],
    ) -> Result<(), Violation> {
        self.count("dropped");
        let fact = self.facts[host][id];
        if !fact.runs && !fact.is_unheard_of {
            let what = format!("{} drops g{id} with {fact:?}", name(host));
            return Self::broken(Rule::Works, now, what);
        }
        self.may_move(now, host, id, Cause::Reload, hosts)
    }

    fn may_move(&self, now: Nanos, host: usize, id: usize, cause: Cause, hosts: &[Host]) -> Result<(), Violation> {
        if self.is_settled {
            let what = format!("{} touches g{id}, because: {cause:?}", name(host));
            return Self::broken(Rule::Settled, now, what);
        }
        let node = hosts[host].life.as_ref().map(|life| &life.control.node);
        if self.in_maintenance[host] || node.is_some_and(hb_user::core::Node::in_maintenance) {
            let what = format!("{} touches g{id}, because: {cause:?}", name(host));
            return Self::broken(Rule::Maintenance, now, what);
        }
        Ok(())
    }

    /// Nobody starts what another may still run with right.
    fn check_losers(
        &self,
        now: Nanos,
        host: usize,
        id: usize,
        hosts: &[Host],
        network: &Network,
    ) -> Result<(), Violation> {
        let _ = network;
        for loser in (0..self.nodes).filter(|loser| *loser != host) {
            let fact = self.facts[loser][id];
            if !fact.runs || fact.is_orphan || fact.is_stuck {
                continue;
            }
            let lapsed = self.lapsed[loser];
            let ends = hosts[loser].lease_ends(now);
            // Once over, it is over for what was owned then, even if another has begun.
            let over = if lapsed > fact.since { ends.min(lapsed) } else { ends };
            let (is_checked, room) = match self.quorum {
                Quorum::None => (false, Nanos(0)),
                Quorum::Pings => (self.isolated[loser].is_some(), Nanos(0)),
                Quorum::Majority => (true, self.room),
            };
            if is_checked && over.saturating_add(room) > now {
                let rule = if self.quorum == Quorum::Majority {
                    Rule::OneOwner
                } else {
                    Rule::Partition
                };
                let micros = over.as_micros();
                let what = format!(
                    "{} starts g{id}, and {}'s lease ends at {}.{:03} ms, with {} ms of room",
                    name(host),
                    name(loser),
                    micros / 1000,
                    micros % 1000,
                    room.0 / ms(1).0
                );
                return Self::broken(rule, now, what);
            }
        }
        Ok(())
    }

    /// Looks at what runs, after every happening.
    pub(in crate::sim) fn watch(&mut self, now: Nanos, hosts: &[Host], network: &Network) -> Result<(), Violation> {
        for id in 0..GROUPS {
            let owners = self.owners[id];
            if owners & owners.wrapping_sub(1) == 0 {
                continue;
            }
            for a in 0..self.nodes {
                for b in (a + 1..self.nodes).filter(|b| owners & (1 << a) != 0 && owners & (1 << *b) != 0) {
                    if !self.shared[id][a][b] {
                        self.count("overlaps");
                        self.trace.say(|| format!("both {} and {} run g{id}", name(a), name(b)));
                    }
                    self.shared[id][a][b] = true;
                    self.shared[id][b][a] = true;
                    self.check_overlap(now, (a, b), id, hosts, network)?;
                }
            }
        }
        Ok(())
    }

    fn check_overlap(
        &self,
        now: Nanos,
        (a, b): (usize, usize),
        id: usize,
        hosts: &[Host],
        network: &Network,
    ) -> Result<(), Violation> {
        let is_right = if self.fencing {
            false
        } else {
            match self.quorum {
                Quorum::None | Quorum::Pings => {
                    let trouble = self.last_trouble(now, (a, b), hosts, network);
                    now <= trouble.saturating_add(CALM) || self.facts[a][id].is_stuck || self.facts[b][id].is_stuck
                }
                Quorum::Majority => self.is_yielding(now, a, id, hosts) || self.is_yielding(now, b, id, hosts),
            }
        };
        if is_right {
            return Ok(());
        }
        let rule = if self.fencing || self.quorum == Quorum::Majority {
            Rule::OneOwner
        } else {
            Rule::Partition
        };
        Self::broken(rule, now, format!("both {} and {} run g{id}", name(a), name(b)))
    }

    /// When there was last a reason for two owners who have nobody to ask.
    fn last_trouble(&self, now: Nanos, (a, b): (usize, usize), hosts: &[Host], network: &Network) -> Nanos {
        let frozen = |host: usize| {
            if hosts[host].is_frozen() {
                now
            } else {
                self.thawed[host]
            }
        };
        let is_maintained = [a, b].iter().any(|host| {
            let life = hosts[*host].life.as_ref();
            life.is_some_and(|life| life.control.node.in_maintenance())
        });
        let maintenance = if is_maintained { now } else { self.last_maintenance };
        network
            .last_trouble(a, b, now)
            .max(network.last_trouble(b, a, now))
            .max(frozen(a))
            .max(frozen(b))
            .max(maintenance)
    }

    /// Whether a node is about to give up a group, or cannot: it is stopping it, could not stop it, is frozen, or has not had
    /// the time to notice that its lease has ended. In maintenance it must not.
    fn is_yielding(&self, now: Nanos, host: usize, id: usize, hosts: &[Host]) -> bool {
        let machine = &hosts[host];
        let Some(life) = &machine.life else { return false };
        let job = machine.jobs[id];
        let is_stopping = job.is_some_and(|job| job.task == Task::Stop);
        let is_stuck = self.facts[host][id].is_stuck;
        let ended = machine.lease_ends(now);
        let ended = if ended > now { Nanos(0) } else { ended }.max(self.lapsed[host]);
        let noticed = ended.max(self.thawed[host]).saturating_add(REACTION);
        is_stopping
            || is_stuck
            || machine.is_frozen()
            || life.control.node.in_maintenance()
            || self.leaves_things[host]
            || ended > self.facts[host][id].since && now <= noticed.saturating_add(ms(REBOOT))
    }
}
