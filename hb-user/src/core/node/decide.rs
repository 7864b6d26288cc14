//! What should become of one group.

use hb_ebpf::beat::Status;

use super::{After, Contest, Memory, Node};
use crate::core::mutation::{Mutation, is_mutated};
use crate::core::{Action, Cause, Contact, Failback, GroupState};

/// What a node would like to do about a group that it does not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wish {
    Nothing,
    /// To start it, since nobody has it.
    Want,
    /// To have it, whoever has it.
    Ask,
}

impl Node {
    pub(super) fn decide(&mut self, index: usize) -> Option<Action> {
        let state = self.groups[index].state;
        if is_mutated(Mutation::StopsTwice) && self.status == Status::Leaving && state == GroupState::Releasing {
            return Some(self.release(index, Cause::Leave, After::Idle(Memory::Nothing)));
        }
        if self.in_maintenance() && !is_mutated(Mutation::TouchesAnyway) {
            if state.is_wanted() {
                self.wish(index, Wish::Nothing);
            }
            return None;
        }
        match (self.status, state) {
            (Status::Up | Status::Leaving, GroupState::Acquiring) if !self.has_lease() => {
                Some(self.release(index, Cause::Lease, After::Idle(Memory::Nothing)))
            }
            // Before we know our peers, and while scripts run, nothing is decided. What could not be stopped waits for a person.
            (Status::Init, _)
            | (_, GroupState::Releasing | GroupState::Stuck)
            | (Status::Up, GroupState::Acquiring) => None,
            // A start may take minutes, as that of a floating IP whose provider does not answer.
            (Status::Leaving, GroupState::Acquiring | GroupState::Running | GroupState::Claimed) => {
                Some(self.release(index, Cause::Leave, After::Idle(Memory::Nothing)))
            }
            (
                Status::Leaving,
                GroupState::Released
                | GroupState::Wanting
                | GroupState::Asking
                | GroupState::Failed
                | GroupState::Declined,
            ) => {
                self.wish(index, Wish::Nothing);
                None
            }
            (Status::Up, GroupState::Running | GroupState::Claimed) => self.decide_owned(index),
            (
                Status::Up,
                GroupState::Released
                | GroupState::Wanting
                | GroupState::Asking
                | GroupState::Failed
                | GroupState::Declined,
            ) => self.decide_free(index),
        }
    }

    fn decide_owned(&mut self, index: usize) -> Option<Action> {
        let idle = After::Idle(Memory::Nothing);
        if !self.has_lease() {
            return Some(self.release(index, Cause::Lease, idle));
        }
        if self.doubt.is_some() {
            // Whoever has it took it while we were frozen.
            let owner = self
                .holders(index)
                .find(|node| self.peers[*node].group(index).is_owned());
            return owner.map(|owner| self.release(index, Cause::Conflict(owner), idle));
        }
        let winner = self.holders(index).find(|other| self.yields_to(*other, index));
        if let Some(other) = winner {
            return Some(self.release(index, Cause::Conflict(other), idle));
        }
        let loser = self.holders(index).next();
        if let Some(other) = loser {
            let peer = self.peers[other];
            self.groups[index].contest(&peer, other, index);
            return None;
        }
        if let Some(Contest { with, ran }) = self.groups[index].contested.take() {
            // What the other has moved to itself we could not move back: it may have it again.
            let is_lost = ran && self.groups[index].provided.is_unready();
            return Some(if is_lost {
                self.release(index, Cause::Conflict(with), idle)
            } else {
                self.acquire(index, Cause::Conflict(with), true)
            });
        }
        let asker = self.asker(index)?;
        let preferred = self.settings.groups[index].preferred;
        Some(match self.settings.failback {
            Failback::Return if asker == preferred => self.release(index, Cause::FailBack(asker), idle),
            Failback::Return | Failback::Stay => {
                self.release(index, Cause::Takeover(asker), After::Idle(Memory::Declined))
            }
        })
    }

    /// Who asks us for a group that we have: the first in rank.
    fn asker(&self, index: usize) -> Option<usize> {
        let asks = |node: &usize| {
            let peer = &self.peers[*node];
            peer.is_up()
                && peer.is_readable()
                && peer.sight.status == Status::Up
                && peer.counts(self.settings.me)
                && peer.group(index) == GroupState::Asking
        };
        self.others().filter(asks).min_by_key(|node| self.rank(*node, index))
    }

    fn decide_free(&mut self, index: usize) -> Option<Action> {
        self.wish(index, self.wished(index));
        if !self.groups[index].state.is_wanted() || self.consent(index).is_err() {
            return None;
        }
        Some(self.acquire(index, self.cause(index), false))
    }

    fn wish(&mut self, index: usize, wish: Wish) {
        let (edition, now) = (self.next_edition(), self.now);
        let group = &mut self.groups[index];
        let state = match (wish, group.state) {
            (Wish::Nothing, _) => group.idle(),
            // What was asked for is wanted, too, and the others have heard of it already.
            (Wish::Want, GroupState::Asking) | (Wish::Ask, _) => GroupState::Asking,
            (
                Wish::Want,
                GroupState::Released
                | GroupState::Wanting
                | GroupState::Acquiring
                | GroupState::Running
                | GroupState::Claimed
                | GroupState::Releasing
                | GroupState::Stuck
                | GroupState::Failed
                | GroupState::Declined,
            ) => GroupState::Wanting,
        };
        if state != group.state {
            group.wanted = edition;
            group.set(state, now);
        }
    }

    fn wished(&self, index: usize) -> Wish {
        let (group, me) = (&self.groups[index], self.settings.me);
        let is_blind = self
            .others()
            .any(|node| self.peers[node].is_up() && !self.peers[node].is_readable());
        if !self.may_act() || is_blind {
            return Wish::Nothing;
        }
        if group.asked {
            return Wish::Ask;
        }
        if group.provided.gave_way {
            return Wish::Nothing;
        }
        let Some(holder) = self.holders(index).next() else {
            return if self.responsible(index) == Some(me) {
                Wish::Want
            } else {
                Wish::Nothing
            };
        };
        // Nobody who runs a group is asked for it by a node that could not start it.
        if self.returns_from(holder, index) && group.provided.is_ready() {
            Wish::Ask
        } else {
            Wish::Nothing
        }
    }

    /// Whether a group is to come back here from a node that has it.
    fn returns_from(&self, holder: usize, index: usize) -> bool {
        let is_ours = self.settings.groups[index].preferred == self.settings.me
            && self.groups[index].memory == Memory::Nothing
            && !is_mutated(Mutation::NeverReturns);
        match (self.settings.failback, self.peers[holder].group(index)) {
            // It will let go, or has begun to.
            (Failback::Return, GroupState::Running | GroupState::Claimed | GroupState::Releasing) => is_ours,
            (Failback::Return | Failback::Stay, _) => false,
        }
    }

    /// Whether a group would come back here, if only it could be started.
    pub(super) fn waits_for_readiness(&self, index: usize) -> bool {
        let holder = self.holders(index).next();
        self.may_act()
            && !self.groups[index].provided.is_ready()
            && holder.is_some_and(|holder| self.returns_from(holder, index))
    }

    /// The peers that have the group, or may have it.
    pub(super) fn holders(&self, index: usize) -> impl Iterator<Item = usize> {
        self.others().filter(move |node| self.peers[*node].holds(index))
    }

    /// Who of those that are there should have a group that nobody has: the preferred node, then ha.cf's order; but first
    /// those that have not declined it.
    pub(super) fn responsible(&self, index: usize) -> Option<usize> {
        let me = self.settings.me;
        let (ours, is_unready) = (self.groups[index].memory, self.groups[index].provided.is_unready());
        let is_candidate = |node: &usize| {
            if *node == me {
                !matches!(ours, Memory::Failed(_))
            } else {
                self.peers[*node].is_candidate(index)
            }
        };
        let has_declined = |node: usize| {
            if node == me {
                ours != Memory::Nothing || is_unready
            } else {
                self.peers[node].group(index) == GroupState::Declined
            }
        };
        let is_last = |node: usize| node == me && self.groups[index].last_until > self.now;
        let candidates = (0..self.settings.nodes).filter(is_candidate);
        candidates.min_by_key(|node| (is_last(*node), has_declined(*node), self.order(*node, index)))
    }

    /// The order of nodes for a group: the preferred one, then ha.cf's.
    pub(super) fn order(&self, node: usize, index: usize) -> (bool, usize) {
        (node != self.settings.groups[index].preferred, node)
    }

    /// Two nodes have the group: is it us who let go?
    fn yields_to(&self, other: usize, index: usize) -> bool {
        if is_mutated(Mutation::NobodyYields) {
            return false;
        }
        let peer = &self.peers[other];
        match (peer.group(index), peer.sight.status) {
            // It cannot let go, and better no owner than two.
            (GroupState::Stuck, _) => return true,
            // It is letting go, or will: if we did so too, nobody would be left.
            (
                GroupState::Releasing
                | GroupState::Released
                | GroupState::Wanting
                | GroupState::Asking
                | GroupState::Failed
                | GroupState::Declined,
                _,
            )
            | (GroupState::Acquiring | GroupState::Running | GroupState::Claimed, Status::Leaving) => return false,
            (GroupState::Acquiring | GroupState::Running | GroupState::Claimed, Status::Init | Status::Up) => {}
        }
        if !peer.sight.hears_us {
            // It cannot know of us, so it will not let go.
            return true;
        }
        if self.groups[index].provided.is_unready() && peer.group(index).runs() {
            // What it has moved to itself we could not move back. It may let go, too, and starts it again then.
            return true;
        }
        let (theirs, ours) = (self.order(other, index), self.order(self.settings.me, index));
        match self.settings.failback {
            Failback::Return => theirs < ours,
            Failback::Stay => {
                let (their_youth, our_youth) = (peer.group(index).youth(), self.groups[index].state.youth());
                (their_youth, theirs) < (our_youth, ours)
            }
        }
    }

    /// Why a group that nobody has falls to us.
    fn cause(&self, index: usize) -> Cause {
        let group = &self.groups[index];
        if is_mutated(Mutation::WrongCause) {
            return Cause::Retry;
        }
        if group.asked {
            return Cause::Takeover(self.settings.me);
        }
        if group.state == GroupState::Asking {
            return Cause::FailBack(self.settings.me);
        }
        let find =
            |is_it: &dyn Fn(&crate::core::PeerView) -> bool| self.others().find(|node| is_it(&self.peers[*node]));
        let is_dead = |peer: &crate::core::PeerView| peer.contact == Contact::Dead;
        if let Some(node) = find(&|peer| is_dead(peer) && peer.group(index).is_held()) {
            return Cause::PeerDied(node);
        }
        if let Some(node) = find(&|peer| peer.is_up() && peer.group(index) == GroupState::Failed) {
            return Cause::PeerFailed(node);
        }
        if group.memory != Memory::Nothing {
            return Cause::Retry;
        }
        if let Some(node) = find(&|peer| peer.is_up() && peer.group(index) == GroupState::Declined) {
            return Cause::PeerDeclined(node);
        }
        if let Some(node) = find(&|peer| peer.contact == Contact::Left || peer.is_up() && !peer.stays()) {
            return Cause::PeerLeft(node);
        }
        find(&is_dead).map_or(Cause::Start, Cause::PeerDied)
    }
}
