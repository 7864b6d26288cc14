//! One node, and what it is told of the others.

use super::super::*;
use crate::core::testing::{groups, ms, settings};
use crate::core::{Command, Differs, Outcome};

pub(super) use GroupState::*;

/// The node that is tested.
pub(super) const A: usize = 0;
pub(super) const B: usize = 1;
pub(super) const C: usize = 2;

/// A sight of a node that is up and hears us.
pub(super) fn sight(states: &[GroupState]) -> Sight {
    Sight {
        status: Status::Up,
        groups: groups(states),
        hears_us: true,
        ..Sight::default()
    }
}

/// Does nothing by itself: what it is told, it does, and what it does is told.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) node: Node,
    pub(super) now: Nanos,
}

impl Bench {
    pub(super) fn new(settings: Settings) -> Self {
        let now = ms(1000);
        let node = Node::new(settings, now);
        Self { node, now }
    }

    /// Of two nodes, with one group that prefers us.
    pub(super) fn two() -> Self {
        Self::new(settings(2, A, 1))
    }

    /// Of two nodes, with one group that prefers the other.
    pub(super) fn two_of_b() -> Self {
        let mut settings = settings(2, A, 1);
        settings.groups[0].preferred = B;
        Self::new(settings)
    }

    /// Of three, with one group that prefers us, and the lease held.
    pub(super) fn three() -> Self {
        let mut bench = Self::new(settings(3, A, 1));
        bench.tell(&Event::Lease { held: true });
        bench
    }

    /// Of two, with a group of ours that runs here.
    pub(super) fn running() -> Self {
        let mut bench = Self::two();
        bench.run(&[B]);
        bench
    }

    /// All these peers are there and have nothing, and so the group is started here.
    pub(super) fn run(&mut self, peers: &[usize]) {
        for _ in 0..2 {
            for peer in peers {
                self.says(*peer, &[Released]);
            }
        }
        assert_eq!(self.state(), Acquiring);
        self.finish(Outcome::Done);
        assert!(self.state().runs());
    }

    pub(super) fn at(&mut self, now: Nanos) -> Vec<String> {
        self.now = now;
        self.tell(&Event::Tick)
    }

    /// What it does in words; what it advertises is left out.
    pub(super) fn tell(&mut self, event: &Event) -> Vec<String> {
        let actions = self.node.handle(event, self.now);
        actions.into_iter().filter_map(words).collect()
    }

    pub(super) fn order(&mut self, command: Command) -> Vec<String> {
        self.tell(&Event::Command(command))
    }

    /// The peer is up, has taken in all we said, counts everybody, and does this with the groups.
    pub(super) fn says(&mut self, peer: usize, states: &[GroupState]) -> Vec<String> {
        self.says_so(peer, sight(states))
    }

    /// The same, but for what is given here; it has taken in all we said.
    pub(super) fn says_so(&mut self, peer: usize, sight: Sight) -> Vec<String> {
        let confirmed = self.node.advertised.edition;
        let heard_us = self.now;
        self.hears(
            peer,
            Sight {
                confirmed,
                heard_us,
                ..sight
            },
        )
    }

    pub(super) fn hears(&mut self, node: usize, sight: Sight) -> Vec<String> {
        self.tell(&Event::Peer { node, sight })
    }

    pub(super) fn silent(&mut self, node: usize) -> Vec<String> {
        self.tell(&Event::Silent { node })
    }

    /// The work on the first group ends.
    pub(super) fn finish(&mut self, outcome: Outcome) -> Vec<String> {
        let work = self.node.groups[0].work;
        self.tell(&Event::Finished { work, outcome })
    }

    pub(super) fn state(&self) -> GroupState {
        self.node.groups[0].state
    }

    pub(super) fn waiting(&self) -> Option<Waiting> {
        self.node.group(0).and_then(|group| group.waiting)
    }
}

/// The peer's haresources is another.
pub(super) fn other_groups(states: &[GroupState]) -> Sight {
    let groups = true;
    Sight {
        differs: Differs {
            groups,
            ..Differs::default()
        },
        ..sight(states)
    }
}

fn words(action: Action) -> Option<String> {
    match action {
        Action::Advertise(_) => None,
        Action::Acquire {
            group, cause, reassert, ..
        } => {
            let again = if reassert { " again" } else { "" };
            Some(format!("acquire {group}{again}: {}", cause.name()))
        }
        Action::Release { group, cause, .. } => Some(format!("release {group}: {}", cause.name())),
        Action::Drop { group } => Some(format!("drop {group}")),
        Action::Fence { node } => Some(format!("fence {node}")),
        Action::Reboot { group } => Some(format!("reboot for {group}")),
        Action::Left => Some("left".into()),
    }
}
