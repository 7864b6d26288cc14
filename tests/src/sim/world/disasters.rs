//! What goes wrong, and ends.

use hb_ebpf::Nanos;
use hb_ebpf::beat::{MAX_GROUPS, Status};
use hb_user::core::{Command, Contact, Event, GroupState};

use super::{Happening, Step, World};
use crate::sim::cloud::STRANGER;
use crate::sim::host::Host;
use crate::sim::ms;
use crate::sim::plan::{Disaster, GROUPS};
use crate::sim::scripts::Task;

impl World {
    pub(super) fn boot(&mut self, index: usize) -> Step {
        let host = &mut self.hosts[index];
        if let Some(life) = &host.life {
            // A service manager starts a daemon again once it has ended.
            host.boots_when_off = life.control.node.advert().status == Status::Leaving;
            return Ok(());
        }
        if host.is_frozen() {
            host.deferred.push(Happening::Boot { host: index });
            return Ok(());
        }
        host.boot(&self.plan, self.dice.number(), self.now);
        self.last_fault = self.last_fault.max(self.now);
        self.judge.boots(self.now, &self.hosts[index]);
        self.round(index)?;
        self.feed(index, &Event::Begin)
    }

    pub(super) fn power_off(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        host.life = None;
        let starting: Vec<usize> = (0..GROUPS)
            .filter(|id| host.jobs[*id].is_some_and(|job| job.task == Task::Start))
            .collect();
        host.boots_when_off = false;
        let was_away = std::mem::take(&mut host.is_away);
        host.jobs = Default::default();
        host.deferred
            .retain(|what| matches!(what, Happening::Boot { .. } | Happening::Reload { .. }));
        if was_away && !host.is_frozen() {
            for what in std::mem::take(&mut host.deferred) {
                self.schedule(self.now, what);
            }
        }
        self.last_fault = self.last_fault.max(self.now);
        self.judge.is_off(self.now, index);
        for id in starting {
            self.haunt(index, id);
        }
    }

    pub(super) fn begin(&mut self, disaster: usize) -> Step {
        let planned = self.plan.disasters[disaster];
        self.judge.trace.say(|| format!("-- begins: {:?}", planned.disaster));
        match planned.disaster {
            Disaster::Cut(cut) => {
                self.judge.count("cuts");
                let was_quiet = self.network.was_quiet(self.plan.nodes, self.now);
                self.network.cut(&cut, true, self.now);
                self.judge.is_cut(self.now, &self.network, was_quiet);
            }
            Disaster::Storm { hears, links, weather } => {
                self.judge.count("storms");
                self.network.storm(hears, links, weather, true, self.now);
            }
            Disaster::Crash { host, .. } => {
                self.judge.count("crashes");
                self.power_off(host);
            }
            Disaster::Leave { host, .. } => {
                if self.hosts[host].life.is_some() && self.is_ready(host) {
                    self.judge.count("leaves");
                    self.judge.is_told_to_leave(host);
                    self.read(host)?;
                    return self.feed(host, &Event::Leave);
                }
            }
            Disaster::Freeze { host, machine } => {
                self.judge
                    .count(if machine { "frozen machines" } else { "frozen daemons" });
                self.freeze(host, machine);
            }
            Disaster::Pause => {
                self.judge.is_paused(self.now);
                for host in 0..self.hosts.len() {
                    self.freeze(host, true);
                }
            }
            Disaster::Slow { host } => self.hosts[host].slow += 1,
            Disaster::Scripts { host } => self.hosts[host].bad_scripts += 1,
            Disaster::Fencing { fails } => self.fence_fails = fails,
            Disaster::Step { host, seconds } => {
                self.judge.count("steps of wall time");
                self.hosts[host].wall += seconds;
            }
            Disaster::Sick { host } => return self.sicken(host),
            Disaster::Command { host, command } => {
                if self.is_ready(host) {
                    return self.command(host, command);
                }
            }
            Disaster::Restart { host } => return self.order_restart(host),
            Disaster::Gone { hosts } => {
                self.judge.count("providers out of reach");
                if let Some(cloud) = &mut self.cloud {
                    cloud.cut(hosts, true, self.now);
                }
            }
            Disaster::Stolen { id } => {
                self.judge.count("addresses stolen");
                self.lands(STRANGER, id);
            }
            Disaster::Reload => {
                self.read_config += 1;
                let config = self.read_config;
                self.judge.has_new_files(self.now);
                for host in 0..self.hosts.len() {
                    let at = self.now.saturating_add(self.dice.span(0, 600));
                    self.schedule(at, Happening::Reload { host, config });
                }
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self, disaster: usize) -> Step {
        let planned = self.plan.disasters[disaster];
        if planned.begins < planned.ends {
            self.judge.trace.say(|| format!("-- ends: {:?}", planned.disaster));
        }
        match planned.disaster {
            Disaster::Cut(cut) => {
                self.network.cut(&cut, false, self.now);
                self.judge.is_cut(self.now, &self.network, false);
            }
            Disaster::Storm { hears, links, weather } => {
                self.network.storm(hears, links, weather, false, self.now);
            }
            Disaster::Crash { host, returns } | Disaster::Leave { host, returns } => {
                if returns {
                    return self.boot(host);
                }
            }
            Disaster::Freeze { host, machine } => self.thaw(host, machine),
            Disaster::Pause => {
                self.judge.runs_on(self.now);
                for host in 0..self.hosts.len() {
                    self.thaw(host, true);
                }
            }
            Disaster::Slow { host } => self.hosts[host].slow -= 1,
            Disaster::Scripts { host } => self.hosts[host].bad_scripts -= 1,
            Disaster::Fencing { .. } => self.fence_fails = 0,
            Disaster::Gone { hosts } => {
                self.last_fault = self.last_fault.max(self.now);
                if let Some(cloud) = &mut self.cloud {
                    cloud.cut(hosts, false, self.now);
                }
            }
            Disaster::Step { .. }
            | Disaster::Stolen { .. }
            | Disaster::Sick { .. }
            | Disaster::Command { .. }
            | Disaster::Reload
            | Disaster::Restart { .. } => {}
        }
        Ok(())
    }

    fn freeze(&mut self, host: usize, machine: bool) {
        self.judge.freezes(self.now, host);
        let host = &mut self.hosts[host];
        if host.freezes == 0 {
            host.frozen_since = self.now;
        }
        host.freezes += 1;
        host.machine_freezes += u32::from(machine);
    }

    /// Everything that was held up happens in some order within a moment.
    fn thaw(&mut self, index: usize, machine: bool) {
        let now = self.now;
        let host = &mut self.hosts[index];
        host.freezes -= 1;
        host.machine_freezes -= u32::from(machine);
        if host.is_frozen() {
            return;
        }
        let frozen = now.since(host.frozen_since);
        let deferred = std::mem::take(&mut host.deferred);
        let number = host.number();
        self.judge.thaws(now, &self.hosts[index], frozen);
        for what in deferred {
            let at = now.saturating_add(Nanos(self.dice.below(ms(2).0)));
            self.schedule(at, what);
        }
        if let Some(life) = number {
            let at = now.saturating_add(Nanos(self.dice.below(ms(1).0)));
            self.schedule(at, Happening::Bell { host: index, life });
        }
    }

    /// Whether a daemon runs, and knows what its pulse thread does.
    pub(in crate::sim) fn is_ready(&self, host: usize) -> bool {
        !self.hosts[host].is_frozen() && !self.is_overdue(host)
    }

    /// Monitoring finds that a group does not run.
    fn sicken(&mut self, index: usize) -> Step {
        let host = &self.hosts[index];
        let Some(life) = host.life.as_ref().filter(|_| self.is_ready(index)) else {
            return Ok(());
        };
        let groups = self.plan.configs[life.control.config].ids.len();
        let runs = |group: &usize| life.control.node.group(*group).is_some_and(|view| view.state.runs());
        let Some(group) = (0..groups).find(runs) else {
            return Ok(());
        };
        let id = self.plan.configs[life.control.config].ids[group];
        self.judge.is_sick(index, id);
        self.feed(index, &Event::Sick { group })
    }

    /// All faults are over: from now on people repair what needs a person.
    ///
    /// A node that is off and whose last beats came from an older configuration is brought back: its lease may be longer
    /// than the others know, so they wait for it, or for its fencing. So is one that left something behind, or on which something was stuck.
    pub(super) fn repair(&mut self) -> Step {
        for host in 0..self.hosts.len() {
            let is_old = self.judge.last_config[host] + 1 < self.plan.configs.len();
            // Its last life may have been too short for anybody to hear of its configuration; or a group was stuck there.
            let is_waited_for = |other: &Host| {
                let Some(life) = &other.life else { return false };
                let peer = life.control.node.peer(host);
                let is_stuck = (0..MAX_GROUPS).any(|group| peer.group(group) == GroupState::Stuck);
                peer.contact == Contact::Dead && (peer.sight.differs.is_any() || is_stuck)
            };
            let is_missed = is_old || self.judge.has_orphans(host) || self.hosts.iter().any(is_waited_for);
            if self.hosts[host].life.is_none() && !self.hosts[host].is_frozen() && is_missed {
                self.judge.count("brought back by a person");
                self.boot(host)?;
            }
        }
        for host in 0..self.hosts.len() {
            let Some(life) = &self.hosts[host].life else { continue };
            if !self.is_ready(host) {
                continue;
            }
            let node = &life.control.node;
            let groups = self.plan.configs[life.control.config].ids.len();
            let stuck = |group: &usize| node.group(*group).is_some_and(|view| view.state == GroupState::Stuck);
            let stuck = (0..groups).find(stuck);
            if node.in_maintenance() {
                self.last_fault = self.last_fault.max(self.now);
                self.command(host, Command::Maintenance(false))?;
            } else if let Some(group) = stuck {
                self.last_fault = self.last_fault.max(self.now);
                self.command(host, Command::Cleanup(group))?;
            } else if let Some(command) = self.order_to_take(host) {
                self.last_fault = self.last_fault.max(self.now);
                self.command(host, command)?;
            }
        }
        let again = self.now.saturating_add(ms(100));
        self.schedule(again, Happening::Repair);
        Ok(())
    }
}
