//! Rule 3: once faults end, every group runs where it should.

use hb_ebpf::Nanos;
use hb_user::core::{Failback, GroupState, Quorum};

use super::{Step, World};
use crate::sim::judge::{Rule, Violation};
use crate::sim::trace::name;

impl World {
    pub(super) fn run_until_settled(&mut self, until: Nanos) -> Step {
        self.run(until)
    }

    pub(super) fn check_settled(&self) -> Step {
        let config = self.plan.configs.len() - 1;
        for (index, group) in self.plan.configs[config].groups.iter().enumerate() {
            if let Err(what) = self.is_settled(index, group.id, group.preferred) {
                let states: Vec<_> = (0..self.hosts.len()).map(|host| self.state(host, index)).collect();
                let waiting: Vec<_> = (0..self.hosts.len()).map(|host| self.waiting(host, index)).collect();
                return Err(Violation {
                    rule: Rule::Settled,
                    at: self.now,
                    what: format!(
                        "g{} of {}: {what}; {states:?}; {waiting:?}",
                        group.id,
                        name(group.preferred)
                    ),
                });
            }
        }
        Ok(())
    }

    fn state(&self, host: usize, index: usize) -> Option<GroupState> {
        let life = self.hosts[host].life.as_ref()?;
        life.control.node.group(index).map(|view| view.state)
    }

    fn waiting(&self, host: usize, index: usize) -> Option<hb_user::core::Waiting> {
        let life = self.hosts[host].life.as_ref()?;
        life.control.node.group(index)?.waiting
    }

    fn is_settled(&self, index: usize, id: usize, preferred: usize) -> Result<(), String> {
        let living: Vec<usize> = (0..self.hosts.len())
            .filter(|host| self.hosts[*host].life.is_some())
            .collect();
        let needed = match self.plan.quorum {
            Quorum::None | Quorum::Pings => 1,
            Quorum::Majority => self.plan.nodes / 2 + 1,
        };
        let owners: Vec<usize> = living
            .iter()
            .copied()
            .filter(|host| self.judge.runs(*host, id))
            .collect();
        if living.len() < needed {
            return if owners.is_empty() {
                Ok(())
            } else {
                Err("runs without a majority".into())
            };
        }
        // By what the core says of itself: rule 4 sees to it that no group counts as failed or declined for nothing.
        let state = |host: usize| self.state(host, index);
        if let Some(owner) = owners.first()
            && !state(*owner).is_some_and(GroupState::runs)
        {
            return Err(format!("{} runs it, and does not know", name(*owner)));
        }
        let is_able = |host: usize| !matches!(state(host), Some(GroupState::Failed | GroupState::Declined) | None);
        if let (Some(cloud), [owner]) = (&self.cloud, owners.as_slice())
            && cloud.owners[id] != Some(*owner)
        {
            return Err(format!(
                "{} runs it, and its address is {:?}'s",
                name(*owner),
                cloud.owners[id]
            ));
        }
        let is_right = match self.plan.configs[self.plan.configs.len() - 1].failback {
            Failback::Return if living.contains(&preferred) && is_able(preferred) => owners == [preferred],
            Failback::Return | Failback::Stay => owners.len() == 1,
        };
        if is_right {
            Ok(())
        } else {
            let owners: Vec<_> = owners.into_iter().map(name).collect();
            Err(format!("runs on {owners:?}"))
        }
    }
}
