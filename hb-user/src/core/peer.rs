//! What a node knows of another.

use hb_ebpf::beat::{Groups, Status};

use super::GroupState;

/// How we stand with a peer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Contact {
    /// Not met since we started.
    #[default]
    Unknown,
    /// It hears us and we hear it.
    Up,
    /// It left in good order, and holds nothing.
    Left,
    /// It fell silent.
    Dead,
}

impl Contact {
    /// The name in `hb status`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Left => "left",
            Self::Dead => "dead",
        }
    }
}

/// A peer, as of its newest beat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerView {
    /// How we stand with it.
    pub contact: Contact,
    /// Where it is in its life.
    pub status: Status,
    /// What it does with the groups.
    pub groups: Groups,
    /// Whether our beats reach it.
    pub hears_us: bool,
}

impl Default for PeerView {
    fn default() -> Self {
        Self {
            contact: Contact::Unknown,
            status: Status::Init,
            groups: Groups::default(),
            hears_us: false,
        }
    }
}

impl PeerView {
    /// What it does with a group, by its newest beat.
    #[must_use]
    pub fn group(&self, index: usize) -> GroupState {
        GroupState::from_bits(self.groups.get(index))
    }

    /// Whether it has said farewell, so that it has left when it falls silent now, and is not dead.
    #[must_use]
    pub fn has_said_farewell(&self, groups: usize) -> bool {
        self.contact == Contact::Up && self.status == Status::Leaving && self.holds_nothing(groups)
    }

    /// Whether it is alive and has the group, or may have it.
    pub(super) fn holds(&self, index: usize) -> bool {
        self.contact == Contact::Up && self.group(index).is_held()
    }

    /// Whether it is alive and able to have the group.
    pub(super) fn is_candidate(&self, index: usize) -> bool {
        let stays = match self.status {
            Status::Init | Status::Up => true,
            Status::Leaving => false,
        };
        self.contact == Contact::Up && stays && self.group(index) != GroupState::Failed
    }

    /// Whether it holds no group at all.
    fn holds_nothing(&self, groups: usize) -> bool {
        (0..groups).all(|index| !self.group(index).is_held())
    }
}

#[cfg(test)]
mod tests;
