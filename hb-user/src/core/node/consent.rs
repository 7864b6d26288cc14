//! Whether a group may be started: who has to agree, and what stands in the way.
//!
//! Two nodes must never start one group because each thought that it was its turn. So a node says that it wants the
//! group, and starts it when every peer has either taken in that very word and does not object by what it does itself,
//! or is gone. Of two that want, the first in rank goes on (the exclusion of Ricart and Agrawala, 1981, with echoes for
//! replies). A peer is gone when it is silent and a majority says so; with two nodes, what [`Quorum`] says.

use super::{Memory, Node};
use crate::core::mutation::{Mutation, is_mutated};
use crate::core::peer::Fencing;
use crate::core::{Action, Contact, GroupState, PeerView, Quorum, StuckPolicy};
use hb_ebpf::Nanos;
use hb_ebpf::beat::Status;
use serde::Serialize;

/// Why a group that is nobody's is not started here. With the node that it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// This node has not settled with its peers.
    Start,
    /// Nothing is to be touched.
    Maintenance,
    /// This node was frozen, or reaches ping nodes again, and listens first.
    Doubt,
    /// Too few others hear us.
    Lease,
    /// The start failed here, and is not tried again yet.
    Retry,
    /// It would come back here, but could not be started now.
    Readiness,
    /// Its configuration is another, so what it does is not known.
    Differs(usize),
    /// Not met yet.
    Unmet(usize),
    /// It has it.
    Held(usize),
    /// It wants it, too, and comes first.
    Outranked(usize),
    /// It has not answered yet.
    Unconfirmed(usize),
    /// It is silent, but not for so long that we may take over.
    Delay(usize),
    /// It is silent, and we reach no ping node, or fewer than it did.
    Pings(usize),
    /// It is silent, and the provider has not answered us since.
    Witness(usize),
    /// It is silent for us, and not for a majority.
    Majority(usize),
    /// It has to be fenced first.
    Fence(usize),
    /// It could not stop it, and was not fenced.
    Stuck(usize),
}

impl Waiting {
    /// The name in `hb status`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Maintenance => "maintenance",
            Self::Doubt => "doubt",
            Self::Lease => "lease",
            Self::Retry => "retry",
            Self::Readiness => "readiness",
            Self::Differs(_) => "differs",
            Self::Unmet(_) => "unmet",
            Self::Held(_) => "held",
            Self::Outranked(_) => "outranked",
            Self::Unconfirmed(_) => "unconfirmed",
            Self::Delay(_) => "delay",
            Self::Pings(_) => "pings",
            Self::Witness(_) => "witness",
            Self::Majority(_) => "majority",
            Self::Fence(_) => "fence",
            Self::Stuck(_) => "stuck",
        }
    }

    /// The node that is waited for.
    #[must_use]
    pub fn peer(self) -> Option<usize> {
        match self {
            Self::Differs(node)
            | Self::Unmet(node)
            | Self::Held(node)
            | Self::Outranked(node)
            | Self::Unconfirmed(node)
            | Self::Delay(node)
            | Self::Pings(node)
            | Self::Witness(node)
            | Self::Majority(node)
            | Self::Fence(node)
            | Self::Stuck(node) => Some(node),
            Self::Start | Self::Maintenance | Self::Doubt | Self::Lease | Self::Retry | Self::Readiness => None,
        }
    }
}

impl Node {
    /// Whether a group that we want may be started.
    pub(super) fn consent(&self, index: usize) -> Result<(), Waiting> {
        if is_mutated(Mutation::NobodyIsAsked) {
            return Ok(());
        }
        self.others().try_for_each(|node| self.consent_of(node, index))
    }

    fn consent_of(&self, node: usize, index: usize) -> Result<(), Waiting> {
        let peer = &self.peers[node];
        match peer.contact {
            Contact::Unknown => Err(Waiting::Unmet(node)),
            Contact::Up if !peer.is_readable() => Err(Waiting::Differs(node)),
            Contact::Up if peer.group(index).is_held() => Err(Waiting::Held(node)),
            // In this life it takes nothing any more, and may not be there to answer.
            Contact::Up if peer.sight.status == Status::Leaving => Ok(()),
            Contact::Up if self.outranks(node, index) => Err(Waiting::Outranked(node)),
            Contact::Up if self.has_agreed(peer, index) => Ok(()),
            Contact::Up => Err(Waiting::Unconfirmed(node)),
            Contact::Left | Contact::Dead => self.gone(node, index),
        }
    }

    /// Whether a peer that is up has taken in that we want the group, and counts us as up.
    fn has_agreed(&self, peer: &PeerView, index: usize) -> bool {
        peer.counts(self.settings.me) && !is_before(peer.sight.confirmed, self.groups[index].wanted)
    }

    /// The order among those that want a group. Both sides have to come to the same, so it says nothing that beats do not.
    pub(super) fn rank(&self, node: usize, index: usize) -> (bool, (bool, usize)) {
        let state = if node == self.settings.me {
            self.groups[index].state
        } else {
            self.peers[node].group(index)
        };
        (state != GroupState::Asking, self.order(node, index))
    }

    fn outranks(&self, node: usize, index: usize) -> bool {
        self.peers[node].group(index).is_wanted() && self.rank(node, index) < self.rank(self.settings.me, index)
    }

    /// Whether a node that we do not hear cannot have the group, nor take it.
    pub(super) fn gone(&self, node: usize, index: usize) -> Result<(), Waiting> {
        let peer = &self.peers[node];
        let is_dead = peer.contact == Contact::Dead;
        if !self.is_gone_for_us(node) {
            return Err(Waiting::Delay(node));
        }
        if is_dead && peer.fencing != Fencing::Done && !self.has_witness(peer) {
            return Err(Waiting::Witness(node));
        }
        match self.settings.quorum {
            Quorum::Pings if is_dead && !self.reaches_as_many(peer) => return Err(Waiting::Pings(node)),
            // When a cut heals, a ping node may answer before the peer is heard.
            Quorum::Pings if self.listens_until() > self.now => return Err(Waiting::Doubt),
            Quorum::Majority if self.votes_against(node, index) < self.settings.majority() => {
                return Err(Waiting::Majority(node));
            }
            Quorum::None | Quorum::Pings | Quorum::Majority => {}
        }
        if !is_dead || peer.fencing == Fencing::Done {
            return Ok(());
        }
        // Its lease may be longer than we know. An operator who wants the group here knows better.
        if self.settings.is_leased() && !peer.keeps_our_time() && !self.groups[index].asked {
            return Err(Waiting::Differs(node));
        }
        if self.must_fence(node, index) {
            return Err(Waiting::Fence(node));
        }
        match self.settings.stuck {
            StuckPolicy::Hold if peer.group(index) == GroupState::Stuck => Err(Waiting::Stuck(node)),
            // What is stuck there may be this one.
            StuckPolicy::Hold if !peer.is_readable() && peer.has_any_stuck() => Err(Waiting::Stuck(node)),
            StuckPolicy::Hold | StuckPolicy::Reboot => Ok(()),
        }
    }

    /// Whether a node has been silent for long enough, for us.
    pub(super) fn is_gone_for_us(&self, node: usize) -> bool {
        let peer = &self.peers[node];
        match peer.contact {
            Contact::Unknown | Contact::Up => false,
            Contact::Left => true,
            Contact::Dead => peer.silent_since.saturating_add(self.settings.takeover_delay) <= self.now,
        }
    }

    /// Until when a peer that is silent may only not have been heard yet.
    pub(super) fn listens_until(&self) -> Nanos {
        match self.settings.quorum {
            Quorum::Pings => self.leased.saturating_add(self.settings.deadtime),
            Quorum::None | Quorum::Majority => Nanos(0),
        }
    }

    fn reaches_as_many(&self, peer: &PeerView) -> bool {
        self.pings > 0 && self.pings >= peer.sight.pings
    }

    /// How many say that a node is gone, ourselves included. What was said before we wanted the group, or too long ago,
    /// does not count: it may have changed.
    fn votes_against(&self, node: usize, index: usize) -> usize {
        let votes = |voter: &usize| {
            let peer = &self.peers[*voter];
            *voter != node
                && peer.is_up()
                && peer.keeps_our_time()
                && self.has_agreed(peer, index)
                && peer.sight.heard_us.saturating_add(self.settings.lease()) > self.now
                && !peer.counts(node)
        };
        1 + self.others().filter(votes).count()
    }

    /// Whether a dead node has to be reset before we take a group. With a majority on our side all the time it can have got
    /// nothing since we heard it, so only what it had or wanted counts.
    fn must_fence(&self, node: usize, index: usize) -> bool {
        let peer = &self.peers[node];
        let is_known = peer.sight.heard_us > Nanos(0) && !self.may_have_missed(peer);
        let (had, is_majority) = (peer.group(index), self.settings.quorum == Quorum::Majority);
        let may_have = !is_majority || !is_known || !peer.is_readable() || had.is_held() || had.is_wanted();
        self.settings.fenced.get(node).copied().unwrap_or(false) && may_have
    }

    /// Whether a silent peer may have got something without our knowing, since others counted us as gone: our lease has ended
    /// since we last heard it, which was a deadtime before its silence at the most.
    fn may_have_missed(&self, peer: &PeerView) -> bool {
        self.leased.saturating_add(self.settings.deadtime) >= peer.silent_since
    }

    /// The nodes to fence now: those on which nothing but this is waited for.
    pub(super) fn fences(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for index in 0..self.groups.len() {
            if self.status != Status::Up || !self.groups[index].state.is_wanted() {
                continue;
            }
            let verdicts: Vec<_> = self
                .others()
                .filter_map(|node| self.consent_of(node, index).err())
                .collect();
            if !verdicts.iter().all(|waiting| matches!(waiting, Waiting::Fence(_))) {
                continue;
            }
            for node in verdicts.into_iter().filter_map(Waiting::peer) {
                let now = self.now;
                let fencing = &mut self.peers[node].fencing;
                let is_due = match *fencing {
                    Fencing::None => true,
                    Fencing::Failed(until) => until <= now,
                    Fencing::Running | Fencing::Done => false,
                };
                if is_due {
                    *fencing = Fencing::Running;
                    actions.push(Action::Fence { node });
                }
            }
        }
        actions
    }

    /// Why a group that nobody has, and that falls to us, is not started.
    pub(super) fn waiting(&self, index: usize) -> Option<Waiting> {
        let group = &self.groups[index];
        if group.state.is_held() {
            return None;
        }
        if self.holders(index).next().is_some() && !group.state.is_wanted() {
            return Some(Waiting::Readiness).filter(|_| self.waits_for_readiness(index));
        }
        if self.in_maintenance() {
            return Some(Waiting::Maintenance);
        }
        match self.status {
            Status::Init => return Some(Waiting::Start),
            Status::Leaving => return None,
            Status::Up => {}
        }
        if !self.has_lease() {
            return Some(Waiting::Lease);
        }
        if self.doubt.is_some() {
            return Some(Waiting::Doubt);
        }
        if matches!(group.memory, Memory::Failed(_)) {
            return Some(Waiting::Retry);
        }
        let other = self
            .others()
            .find(|node| self.peers[*node].is_up() && !self.peers[*node].is_readable());
        if let Some(node) = other {
            return Some(Waiting::Differs(node));
        }
        self.consent(index).err().filter(|_| group.state.is_wanted())
    }
}

/// Whether edition `a` comes before `b`.
fn is_before(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) < 1 << 31
}

#[cfg(test)]
mod tests;
