//! A change of the configuration while running.

use hb_ebpf::beat::{Groups, MAX_NODES};

use super::{After, Group, Memory, Node, Refusal};
use crate::core::{Action, Carry, Cause, PeerView, Reconfiguration};

impl Node {
    /// Whether a change of the configuration can be carried out now: in maintenance none that would stop something.
    pub fn plan_reconfigure(&self, new: &Reconfiguration) -> Result<(), Refusal> {
        let is_kept = |index: usize| new.groups.contains(&Carry::Kept(index));
        let would_stop = |(index, group): (usize, &Group)| group.state.is_held() && !is_kept(index);
        if self.in_maintenance() && self.groups.iter().enumerate().any(would_stop) {
            Err(Refusal::Maintenance)
        } else {
            Ok(())
        }
    }

    /// Goes on with new settings. Who is known stays known, and what has not changed is not touched.
    ///
    /// What peers said of groups was about the old ones: it counts as known of those that are kept, and those peers are not
    /// understood until they are met again, with [`Event::Peer`](crate::core::Event::Peer) and the new digest.
    pub(super) fn reconfigure(&mut self, new: &Reconfiguration) -> Vec<Action> {
        let old = std::mem::replace(&mut self.settings, new.settings.clone());
        self.renew_witness(&old);
        if old.is_leased() != self.settings.is_leased() {
            // The lease that we are told of next counts; until then we go on as we were.
            self.lease = self.lease || !self.settings.is_leased();
        }
        let peers = new
            .nodes
            .iter()
            .map(|from| from.and_then(|from| self.peers.get(from).copied()));
        self.peers = peers.map(|peer| peer.unwrap_or_else(PeerView::default)).collect();
        self.peers.resize(self.settings.nodes, PeerView::default());
        let overridden = std::mem::take(&mut self.overridden);
        for (node, from) in new.nodes.iter().enumerate().take(self.settings.nodes) {
            // A recording may name nodes that no cluster has.
            if from.is_some_and(|from| from < MAX_NODES && overridden & (1 << from) != 0) {
                self.overridden |= 1 << node;
            }
        }
        let has_moved = |(node, from): (usize, &Option<usize>)| *from != Some(node);
        if new.nodes.iter().enumerate().any(has_moved) || old.nodes != self.settings.nodes {
            // What they say of nodes is said of other numbers, until they are met again.
            for peer in self.peers.iter_mut().filter(|peer| peer.is_up()) {
                peer.sight.differs.nodes = true;
            }
        }

        if new
            .groups
            .iter()
            .enumerate()
            .any(|(index, carry)| *carry != Carry::Kept(index))
            || old.groups != self.settings.groups
        {
            for peer in &mut self.peers {
                if !peer.sight.differs.groups {
                    peer.sight.groups = carried(peer.sight.groups, &new.groups);
                }
                peer.sight.differs.groups = true;
            }
        }
        let before = std::mem::take(&mut self.groups);
        let mut actions = Vec::new();
        let is_carried = |index: usize| {
            new.groups.iter().any(|carry| match carry {
                Carry::New => false,
                Carry::Kept(from) | Carry::Changed(from) => *from == index,
            })
        };
        for (index, group) in before.iter().enumerate() {
            if group.state.is_held() && !is_carried(index) {
                actions.push(Action::Drop { group: index });
            }
        }
        for carry in &new.groups {
            let group = match carry {
                Carry::New => None,
                Carry::Kept(from) | Carry::Changed(from) => before.get(*from).copied(),
            };
            self.groups.push(group.unwrap_or_else(|| Group::new(self.now)));
        }
        self.groups.resize(self.settings.groups.len(), Group::new(self.now));
        let changed = new
            .groups
            .iter()
            .enumerate()
            .filter(|(_, carry)| matches!(carry, Carry::Changed(_)));
        for (index, _) in changed {
            if self.groups.get(index).is_some_and(|group| group.state.is_owned()) {
                actions.push(self.release(index, Cause::Reload, After::Idle(Memory::Nothing)));
            }
        }
        actions
    }
}

/// The states of the groups that there were, in their new places.
fn carried(groups: Groups, carries: &[Carry]) -> Groups {
    let states = carries.iter().enumerate();
    states.fold(Groups::default(), |bits, (index, carry)| match carry {
        Carry::New => bits,
        Carry::Kept(from) | Carry::Changed(from) => bits.with(index, groups.get(*from)),
    })
}
