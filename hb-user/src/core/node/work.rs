//! What becomes of a group's state when work on it begins and ends.

use super::{After, Memory, Node};
use crate::core::{Action, Cause, Contact, GroupState, Outcome, StuckPolicy};
use hb_ebpf::beat::Status;

impl Node {
    pub(super) fn finish(&mut self, work: u32, outcome: Outcome) -> Option<Action> {
        let (now, in_maintenance) = (self.now, self.in_maintenance());
        let retry = now.saturating_add(self.settings.start_retry);
        let index = self.groups.iter().position(|group| group.work == work)?;
        // Another node may have turned out to have it too, while it was stopped here.
        let is_restarting = self.status == Status::Up && self.may_act() && self.holders(index).next().is_none();
        let group = &mut self.groups[index];
        match (group.state, outcome) {
            (GroupState::Acquiring, Outcome::Done) => {
                group.memory = Memory::Nothing;
                let state = if group.claim {
                    GroupState::Claimed
                } else {
                    GroupState::Running
                };
                group.set(state, now);
            }
            (GroupState::Acquiring, Outcome::Failed) => {
                group.memory = Memory::Failed(retry);
                group.set(GroupState::Failed, now);
            }
            (GroupState::Releasing, Outcome::Done | Outcome::Failed) => match group.after {
                After::Restart if is_restarting => return Some(self.acquire(index, Cause::Sick, false)),
                After::Restart => group.set(group.idle(), now),
                After::Idle(memory) => {
                    if memory == Memory::Declined {
                        group.last_until = now.saturating_add(self.settings.deadtime);
                    }
                    group.memory = memory;
                    group.set(group.idle(), now);
                }
            },
            (GroupState::Acquiring | GroupState::Releasing, Outcome::Stuck) => {
                group.set(GroupState::Stuck, now);
                return match self.settings.stuck {
                    StuckPolicy::Reboot if in_maintenance => None,
                    StuckPolicy::Reboot => Some(Action::Reboot { group: index }),
                    StuckPolicy::Hold => None,
                };
            }
            // Nobody asked for any work.
            (
                GroupState::Released
                | GroupState::Wanting
                | GroupState::Asking
                | GroupState::Running
                | GroupState::Claimed
                | GroupState::Stuck
                | GroupState::Failed
                | GroupState::Declined,
                _,
            ) => {}
        }
        None
    }

    /// A group that is sick is restarted; if that was tried a short while ago, it is moved.
    pub(super) fn nurse(&mut self, index: usize) -> Option<Action> {
        let group = self.groups.get(index)?;
        if !group.state.runs() || self.status != Status::Up || !self.may_act() {
            return None;
        }
        let retry = self.now.saturating_add(self.settings.start_retry);
        let is_relapse = group
            .restarted
            .is_some_and(|restarted| self.now < restarted.saturating_add(self.settings.start_retry));
        let after = if is_relapse {
            After::Idle(Memory::Failed(retry))
        } else {
            After::Restart
        };
        self.groups[index].restarted = Some(self.now).filter(|_| !is_relapse);
        Some(self.release(index, Cause::Sick, after))
    }

    /// The node takes part as soon as it knows of every peer whether it is there.
    pub(super) fn settle(&mut self) {
        self.doubt = self.doubt.filter(|until| *until > self.now);
        let has_met = |node: usize| self.peers[node].contact != Contact::Unknown;
        if self.status == Status::Init && self.others().all(has_met) {
            self.status = Status::Up;
        }
        self.return_to();
        for group in &mut self.groups {
            if let Memory::Failed(until) = group.memory
                && until <= self.now
            {
                group.memory = Memory::Declined;
                if group.state == GroupState::Failed {
                    group.set(GroupState::Declined, self.now);
                }
            }
        }
    }

    /// Whether this node may touch anything now.
    pub(super) fn may_act(&self) -> bool {
        self.has_lease() && self.doubt.is_none() && !self.in_maintenance()
    }

    pub(super) fn next_work(&mut self) -> u32 {
        self.works = self.works.wrapping_add(1);
        self.works
    }

    pub(super) fn acquire(&mut self, index: usize, cause: Cause, reassert: bool) -> Action {
        let is_any_dead = self.peers.iter().any(|peer| peer.contact == Contact::Dead);
        let (work, now) = (self.next_work(), self.now);
        let group = &mut self.groups[index];
        if !reassert {
            group.claim = is_any_dead;
        }
        group.asked = false;
        group.provided.gave_way = false;
        group.work = work;
        group.set(GroupState::Acquiring, now);
        Action::Acquire {
            group: index,
            work,
            cause,
            reassert,
        }
    }

    pub(super) fn release(&mut self, index: usize, cause: Cause, after: After) -> Action {
        let (work, now) = (self.next_work(), self.now);
        let group = &mut self.groups[index];
        group.contested = None;
        group.claim = false;
        group.asked = false;
        group.after = after;
        group.work = work;
        group.set(GroupState::Releasing, now);
        Action::Release {
            group: index,
            work,
            cause,
        }
    }
}
