//! What operators ask for.

use hb_ebpf::Nanos;
use hb_ebpf::beat::Status;

use super::{After, Memory, Node};
use crate::core::{Action, Cause, Command, GroupState, Which};

/// Why a command is not carried out. With the group or the node that it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// This node has not settled with its peers yet, or is leaving.
    NotUp,
    /// Nothing is to be touched.
    Maintenance,
    /// Too few others hear us.
    Lease,
    /// No other node is there to have this group.
    NobodyElse(usize),
    /// This group is still being started or stopped.
    Busy(usize),
    /// There is no group of this number.
    NoGroup(usize),
    /// Nothing is wrong with this group.
    NothingWrong(usize),
}

/// How far a command is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// It has happened.
    Done,
    /// It is happening.
    Pending,
    /// It will not happen, because of this group.
    Failed(usize),
    /// It will not happen, because of what this node says.
    Overruled(usize),
}

impl Node {
    /// The groups that a command is about, or why it cannot be carried out.
    pub fn plan(&self, command: Command) -> Result<Vec<usize>, Refusal> {
        match command {
            Command::Standby(which) => self.plan_standby(which),
            Command::Takeover(which) => self.plan_takeover(which),
            Command::Withdraw | Command::Maintenance(_) => Ok(Vec::new()),
            Command::Cleanup(index) => self.plan_cleanup(index),
        }
    }

    /// How far a command is that was planned for these groups.
    #[must_use]
    pub fn progress(&self, command: Command, groups: &[usize]) -> Progress {
        let each: fn(&Self, usize) -> Progress = match command {
            Command::Standby(_) => Self::given_up,
            Command::Takeover(_) => Self::taken,
            Command::Maintenance(on) => return self.maintained(on),
            Command::Withdraw => return Progress::Done,
            Command::Cleanup(_) => Self::cleaned,
        };
        let mut sum = Progress::Done;
        for progress in groups.iter().map(|index| each(self, *index)) {
            match progress {
                Progress::Done => {}
                Progress::Pending => sum = Progress::Pending,
                Progress::Failed(_) | Progress::Overruled(_) => return progress,
            }
        }
        sum
    }

    pub(super) fn obey(&mut self, command: Command) -> Vec<Action> {
        // What was possible when it was asked may not be any more.
        let Ok(groups) = self.plan(command) else {
            return Vec::new();
        };
        match command {
            Command::Standby(_) => {
                let after = After::Idle(Memory::Declined);
                groups
                    .into_iter()
                    .map(|index| self.release(index, Cause::Standby, after))
                    .collect()
            }
            Command::Takeover(_) => {
                for index in groups {
                    let group = &mut self.groups[index];
                    group.asked = true;
                    group.memory = Memory::Nothing;
                }
                Vec::new()
            }
            Command::Withdraw => {
                self.groups.iter_mut().for_each(|group| group.asked = false);
                Vec::new()
            }
            Command::Maintenance(on) => {
                self.maintenance = on;
                if !on {
                    // What those said who are gone: nobody else can take it back.
                    self.overridden = self
                        .others()
                        .filter(|node| !self.peers[*node].is_up())
                        .fold(0, |mask, node| mask | 1 << node);
                }
                Vec::new()
            }
            Command::Cleanup(index) => {
                let (now, group) = (self.now, &mut self.groups[index]);
                (group.memory, group.last_until) = (Memory::Nothing, Nanos(0));
                if group.state == GroupState::Stuck {
                    return vec![self.release(index, Cause::Cleanup, After::Idle(Memory::Nothing))];
                }
                group.restarted = None;
                group.provided.gave_way = false;
                group.provided.taken_back.forget();
                if !group.state.runs() {
                    group.set(group.idle(), now);
                }
                Vec::new()
            }
        }
    }

    fn check_able(&self) -> Result<(), Refusal> {
        if self.status != Status::Up || self.doubt.is_some() {
            return Err(Refusal::NotUp);
        }
        if self.in_maintenance() {
            return Err(Refusal::Maintenance);
        }
        if self.has_lease() { Ok(()) } else { Err(Refusal::Lease) }
    }

    fn plan_standby(&self, which: Which) -> Result<Vec<usize>, Refusal> {
        self.check_able()?;
        let mut groups = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            let can_have = |node: usize| {
                let peer = &self.peers[node];
                peer.is_candidate(index) && peer.is_readable() && peer.counts(self.settings.me)
            };
            let preferred = self.settings.groups[index].preferred;
            let is_meant = match which {
                Which::All => true,
                Which::Local => preferred == self.settings.me,
                Which::Foreign => preferred != self.settings.me,
                Which::Failback => preferred != self.settings.me && can_have(preferred),
            };
            if !is_meant || !group.state.is_held() {
                continue;
            }
            if !group.state.runs() {
                return Err(Refusal::Busy(index));
            }
            if !self.others().any(can_have) {
                return Err(Refusal::NobodyElse(index));
            }
            groups.push(index);
        }
        Ok(groups)
    }

    fn plan_takeover(&self, which: Which) -> Result<Vec<usize>, Refusal> {
        self.check_able()?;
        let is_meant = |index: &usize| {
            let is_local = self.settings.groups[*index].preferred == self.settings.me;
            match which {
                Which::All => true,
                Which::Local => is_local,
                Which::Foreign | Which::Failback => !is_local,
            }
        };
        let meant = (0..self.groups.len()).filter(is_meant);
        let ours: Vec<usize> = meant.filter(|index| !self.groups[*index].state.runs()).collect();
        match ours.iter().find(|index| self.groups[**index].state.is_held()) {
            Some(index) => Err(Refusal::Busy(*index)),
            None => Ok(ours),
        }
    }

    fn plan_cleanup(&self, index: usize) -> Result<Vec<usize>, Refusal> {
        if self.status != Status::Up {
            return Err(Refusal::NotUp);
        }
        match self.groups.get(index).map(|group| (group.state, group.memory)) {
            None => Err(Refusal::NoGroup(index)),
            Some((GroupState::Stuck, _)) if self.in_maintenance() => Err(Refusal::Maintenance),
            Some((GroupState::Stuck | GroupState::Failed | GroupState::Declined, _)) => Ok(vec![index]),
            Some((GroupState::Acquiring | GroupState::Releasing, _)) => Err(Refusal::Busy(index)),
            Some(_) if self.is_held_off(index) => Ok(vec![index]),
            Some((
                GroupState::Released
                | GroupState::Wanting
                | GroupState::Asking
                | GroupState::Running
                | GroupState::Claimed,
                _,
            )) => Err(Refusal::NothingWrong(index)),
        }
    }

    fn given_up(&self, index: usize) -> Progress {
        let group = &self.groups[index];
        if group.state.is_owned() || group.state == GroupState::Stuck {
            return Progress::Failed(index);
        }
        if self.holders(index).any(|node| self.peers[node].group(index).runs()) {
            Progress::Done
        } else {
            Progress::Pending
        }
    }

    fn taken(&self, index: usize) -> Progress {
        let group = &self.groups[index];
        if group.state.runs() {
            return Progress::Done;
        }
        if group.asked || group.state.is_owned() {
            Progress::Pending
        } else {
            Progress::Failed(index)
        }
    }

    fn maintained(&self, on: bool) -> Progress {
        let against = self.others().find(|node| self.asks_for_maintenance(*node));
        match (on, against) {
            (false, Some(node)) => Progress::Overruled(node),
            _ if self.maintenance != on => Progress::Pending,
            (true | false, _) => {
                let has_heard = |node: usize| {
                    let peer = &self.peers[node];
                    !peer.is_up() || peer.sight.confirmed == self.advertised.edition
                };
                if self.others().all(has_heard) {
                    Progress::Done
                } else {
                    Progress::Pending
                }
            }
        }
    }

    fn cleaned(&self, index: usize) -> Progress {
        match self.groups[index].state {
            GroupState::Releasing => Progress::Pending,
            GroupState::Stuck => Progress::Failed(index),
            GroupState::Released
            | GroupState::Wanting
            | GroupState::Asking
            | GroupState::Acquiring
            | GroupState::Running
            | GroupState::Claimed
            | GroupState::Failed
            | GroupState::Declined => Progress::Done,
        }
    }
}
