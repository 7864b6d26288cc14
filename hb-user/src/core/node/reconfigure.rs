//! A change of the configuration while running.

use super::{After, Group, Memory, Node};
use crate::core::{Action, Carry, Cause, PeerView, Reconfiguration};

impl Node {
    /// Goes on with new settings. Who is known stays known, and what has not changed is not touched.
    pub(super) fn reconfigure(&mut self, new: &Reconfiguration) -> Vec<Action> {
        let old = std::mem::replace(&mut self.settings, new.settings.clone());
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
        self.overridden = 0;

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
