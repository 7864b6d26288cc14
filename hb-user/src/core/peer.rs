//! A peer, as a node sees it.

use std::fmt::{self, Display};

use hb_ebpf::beat::{Groups, MAX_GROUPS, Status};
use hb_ebpf::{Heard, Nanos};
use serde::{Deserialize, Serialize};

use super::GroupState;

/// How we stand with a peer.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contact {
    /// Not met since we started.
    #[default]
    Unknown,
    /// It hears us and we hear it.
    Up,
    /// It left in good order.
    Left,
    /// It fell silent.
    Dead,
}

impl Contact {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Up, Self::Left, Self::Dead];

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

/// In what a peer's configuration differs from ours.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Differs {
    /// haresources: what its beats say of groups is not about ours.
    pub groups: bool,
    /// The list of nodes: what its beats say of nodes is not about ours.
    pub nodes: bool,
    /// The timers and rules: its deadline is not ours.
    pub settings: bool,
}

impl Differs {
    /// By the digests of two configurations: 12 bits for haresources, 10 for the nodes, 10 for timers and rules.
    #[must_use]
    pub fn between(ours: u32, theirs: u32) -> Self {
        let difference = ours ^ theirs;
        Self {
            groups: difference >> 20 != 0,
            nodes: (difference >> 10) & 0x3ff != 0,
            settings: difference & 0x3ff != 0,
        }
    }

    /// Whether there is any difference.
    #[must_use]
    pub fn is_any(self) -> bool {
        self.groups || self.nodes || self.settings
    }

    /// Whether a beat of the other, with this `present`, supports the lease of node `me`.
    ///
    /// Other deadlines do no harm: who has them takes nothing over from us, and has no vote for those who could. In a
    /// list of other nodes our bit may be another's; that we hear the peer, and it us, has to do until they agree.
    #[must_use]
    pub fn supports(self, present: u16, me: usize) -> bool {
        self.nodes || present & (1 << me) != 0
    }

    /// Whether the other's deadlines, and what it says of nodes, are such as ours: then it has a vote on who is gone.
    #[must_use]
    pub fn keeps_our_time(self) -> bool {
        !self.settings && !self.nodes
    }
}

impl Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.groups, "the groups of haresources"),
            (self.nodes, "the nodes of ha.cf"),
            (self.settings, "the timers and policies of ha.cf and hb.toml"),
        ];
        let parts: Vec<&str> = parts
            .iter()
            .filter(|(differs, _)| *differs)
            .map(|(_, part)| *part)
            .collect();
        match parts[..] {
            [] => f.write_str("nothing differs"),
            [one] => write!(f, "{one} differ"),
            [one, other] => write!(f, "{one} and {other} differ"),
            [..] => write!(f, "{} differ", parts.join(", ")),
        }
    }
}

/// What the newest beat of a peer says, and what it tells of ours.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sight {
    /// Where it is in its life.
    pub status: Status,
    /// Whether it wants nothing touched.
    pub maintenance: bool,
    /// How many ping nodes it reaches.
    pub pings: u8,
    /// Bit i: node i is not gone for it. Our own bit: we are up for it.
    pub present: u16,
    /// What it does with the groups.
    pub groups: Groups,
    /// What it had since its death until we met it, and may have let go of without our seeing that it had it; not told for long.
    #[serde(default)]
    pub had: Groups,
    /// Whether our beats reach it.
    pub hears_us: bool,
    /// The newest edition of our advert that it has taken in.
    pub confirmed: u32,
    /// When we sent the newest of our beats that it has heard.
    pub heard_us: Nanos,
    /// In what its configuration differs from ours.
    pub differs: Differs,
}

impl Sight {
    /// What a beat says, and the detector beside it; `confirmed` and `heard_us` are what its echo tells.
    #[must_use]
    pub fn of(heard: &Heard, had: Groups, echo: Echoed, differs: Differs) -> Self {
        Self {
            status: heard.status(),
            maintenance: heard.maintenance(),
            pings: heard.pings(),
            present: heard.present,
            groups: heard.groups,
            had,
            hears_us: echo.hears_us,
            confirmed: echo.confirmed,
            heard_us: echo.heard_us,
            differs,
        }
    }
}

/// What a peer's echo tells of our own beats.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Echoed {
    /// Whether our beats reach it.
    pub hears_us: bool,
    /// The newest edition of our advert that it has taken in.
    pub confirmed: u32,
    /// When we sent the newest of our beats that it has heard.
    pub heard_us: Nanos,
}

impl Default for Sight {
    fn default() -> Self {
        Self {
            status: Status::Init,
            maintenance: false,
            pings: 0,
            present: u16::MAX,
            groups: Groups::default(),
            had: Groups::default(),
            hears_us: false,
            confirmed: 0,
            heard_us: Nanos(0),
            differs: Differs::default(),
        }
    }
}

/// A peer, as of its newest beat.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct PeerView {
    /// How we stand with it.
    pub contact: Contact,
    /// Its newest beat.
    pub sight: Sight,
    /// Since when it is silent, once it is.
    pub silent_since: Nanos,
    /// Whether it was fenced since it fell silent.
    pub fencing: Fencing,
}

/// How far the fencing of a silent node is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fencing {
    /// Not asked for.
    #[default]
    None,
    /// Under way.
    Running,
    /// It failed, and is tried again at this time.
    Failed(Nanos),
    /// The node was reset.
    Done,
}

impl Fencing {
    /// The name in `hb status`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Running => "running",
            Self::Failed(_) => "failed",
            Self::Done => "done",
        }
    }
}

impl PeerView {
    /// What it does with a group, by its newest beat.
    #[must_use]
    pub fn group(&self, index: usize) -> GroupState {
        GroupState::from_bits(self.sight.groups.get(index))
    }

    /// Whether it has said farewell, so that it has left when it falls silent now, and is not dead.
    #[must_use]
    pub fn has_said_farewell(&self) -> bool {
        // All, since its configuration may name more groups than ours.
        let empty = (0..MAX_GROUPS).all(|index| !self.group(index).is_held());
        self.contact == Contact::Up && self.sight.status == Status::Leaving && empty
    }

    /// Whether it could not stop some group, whichever.
    pub(super) fn has_any_stuck(&self) -> bool {
        (0..MAX_GROUPS).any(|index| self.group(index) == GroupState::Stuck)
    }

    pub(super) fn is_up(&self) -> bool {
        self.contact == Contact::Up
    }

    /// Whether what it says of groups is about ours.
    pub(super) fn is_readable(&self) -> bool {
        !self.sight.differs.groups && !self.sight.differs.nodes
    }

    /// Whether its deadlines and its view of nodes are such as ours.
    pub(super) fn keeps_our_time(&self) -> bool {
        self.sight.differs.keeps_our_time()
    }

    /// Whether it counts node `node` as present; of ourselves: as up.
    pub(super) fn counts(&self, node: usize) -> bool {
        self.sight.present & (1 << node) != 0
    }

    /// Whether it is alive and has the group, or may have it.
    pub(super) fn holds(&self, index: usize) -> bool {
        self.is_up() && self.is_readable() && self.group(index).is_held()
    }

    /// Whether it had the group before it met us, and has let go of it.
    pub(super) fn has_let_go(&self, index: usize) -> bool {
        let had = GroupState::from_bits(self.sight.had.get(index));
        self.is_up() && self.is_readable() && had.is_held() && !self.group(index).is_held()
    }

    /// Whether it ran the group when it was last heard to have it, as far as that was seen.
    pub(super) fn ran(&self, index: usize) -> bool {
        let had = GroupState::from_bits(self.sight.had.get(index));
        self.is_readable() && (had.runs() || self.group(index).runs())
    }

    /// Whether it is alive, and stays.
    pub(super) fn stays(&self) -> bool {
        match self.sight.status {
            Status::Init | Status::Up => self.is_up(),
            Status::Leaving => false,
        }
    }

    /// Whether it is alive and able to have the group.
    pub(super) fn is_candidate(&self, index: usize) -> bool {
        self.stays() && self.group(index) != GroupState::Failed
    }
}

#[cfg(test)]
mod tests;
