//! What goes into a [`Node`](super::Node) and what comes out.

use hb_ebpf::Nanos;
use hb_ebpf::beat::{Groups, MAX_GROUPS, Status};
use serde::{Deserialize, Serialize};

use super::{GroupState, Sight};

/// Whether a group returns to its preferred node when that comes back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Failback {
    /// It does.
    Return,
    /// It stays where it is.
    Stay,
}

/// What decides who may own anything when nodes do not hear each other.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Quorum {
    /// Two nodes and nobody to ask: whoever hears nobody owns.
    None,
    /// Two nodes, and ping nodes that both ask.
    Pings,
    /// More than half of all nodes.
    Majority,
}

impl Quorum {
    /// The name in `hb status`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pings => "pings",
            Self::Majority => "majority",
        }
    }
}

/// What happens to a node on which a group cannot be stopped.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum StuckPolicy {
    /// It is rebooted.
    Reboot,
    /// It keeps the group, and nobody takes it over unless the node is fenced.
    Hold,
}

/// What the configuration says of a group.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GroupSettings {
    /// The index of the node that should have it.
    pub preferred: usize,
}

/// What the configuration says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Settings {
    /// How many nodes there are, at most 16. Their order is that of ha.cf, the same on all.
    pub nodes: usize,
    /// Which one we are.
    pub me: usize,
    /// The groups, in the order of haresources.
    pub groups: Vec<GroupSettings>,
    /// Whether groups return.
    pub failback: Failback,
    /// Who decides a partition.
    pub quorum: Quorum,
    /// The silence after which a node is dead.
    pub deadtime: Nanos,
    /// The time between two beats.
    pub interval: Nanos,
    /// How much longer than the deadtime others wait before they take over.
    pub takeover_delay: Nanos,
    /// After how long a group whose start failed may be tried here again.
    pub start_retry: Nanos,
    /// What follows from a stop that fails.
    pub stuck: StuckPolicy,
    /// Of each node, whether it has to be fenced before others take over from it.
    pub fenced: Vec<bool>,
    /// After how long a fencing that failed is tried again.
    pub fence_retry: Nanos,
    /// Whether a provider of floating IPs is asked who may own anything when nodes do not hear each other.
    #[serde(default)]
    pub witness: bool,
    /// For how long an answer of it counts, while a node is silent; `None`: for the whole of the silence.
    #[serde(default)]
    pub witness_lease: Option<Nanos>,
}

impl Settings {
    /// How many nodes, ourselves included, make a majority.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.nodes / 2 + 1
    }

    /// How many others have to hear a node so that it may own anything.
    #[must_use]
    pub fn supporters(&self) -> usize {
        match self.quorum {
            Quorum::None => 0,
            Quorum::Pings => 1,
            Quorum::Majority => self.majority() - 1,
        }
    }

    /// Whether ownership is a lease, which ends when nobody renews it.
    #[must_use]
    pub fn is_leased(&self) -> bool {
        match self.quorum {
            Quorum::None => false,
            Quorum::Pings | Quorum::Majority => true,
        }
    }

    /// How long after a beat was sent its having been heard still counts: the deadtime less one interval.
    #[must_use]
    pub fn lease(&self) -> Nanos {
        Nanos(self.deadtime.0.saturating_sub(self.interval.0))
    }
}

/// Which of the groups an operator means.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// All of them.
    All,
    /// Those that haresources gives to this node.
    Local,
    /// Those that it gives to others.
    Foreign,
    /// Those that it gives to others that are there to have them.
    Failback,
}

/// What an operator asks of this node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Give groups to the others.
    Standby(Which),
    /// Take groups from the others.
    Takeover(Which),
    /// No longer ask for what was not got.
    Withdraw,
    /// Touch nothing, or go on.
    Maintenance(bool),
    /// Forget what went wrong with a group, and try again what got stuck.
    Cleanup(usize),
}

/// Something that happened.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Event {
    /// The node begins. Alone in its cluster it has nobody to wait for.
    Begin,
    /// A peer is up, and this is what it says.
    Peer {
        /// Which.
        node: usize,
        /// What it says.
        sight: Sight,
    },
    /// A peer fell silent.
    Silent {
        /// Which.
        node: usize,
    },
    /// The lease is held, or has ended.
    Lease {
        /// Which of the two.
        held: bool,
    },
    /// So many ping nodes answer.
    Pings {
        /// How many.
        reached: u8,
    },
    /// We were frozen for longer than a deadtime, and know nothing.
    Woke,
    /// The work that an action asked for has ended.
    Finished {
        /// Which.
        work: u32,
        /// How.
        outcome: Outcome,
    },
    /// A group does not run any more, though nobody stopped it.
    Sick {
        /// Which.
        group: usize,
    },
    /// The provider says that a floating IP of a group belongs to another instance.
    Moved {
        /// Which group's.
        group: usize,
        /// Whose that instance is.
        to: Taker,
    },
    /// The provider was asked something at a time, and has answered, or has not in the time that it is given.
    Witness {
        /// When.
        asked: Nanos,
        /// Which of the two.
        answers: bool,
    },
    /// Whether a group could be started here now, as far as that can be known before.
    Outlook {
        /// Which.
        group: usize,
        /// Whether it could.
        outlook: Outlook,
    },
    /// The fencing of a node has ended.
    Fenced {
        /// Which.
        node: usize,
        /// Whether it was reset.
        done: bool,
    },
    /// An operator asks for something that [`Node::plan`](super::Node::plan) found possible.
    Command(Command),
    /// [`Node::deadline`](super::Node::deadline) was reached.
    Tick,
    /// The configuration has changed.
    Reconfigure(Box<Reconfiguration>),
    /// Stop in good order.
    Leave,
}

/// Whether a group could be started on this node: whether its floating IPs could be moved, by the last answers of their providers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outlook {
    /// Nothing stands in the way, as where it has none.
    #[default]
    Ready,
    /// Something does.
    Unready,
    /// Nobody was asked yet.
    Unknown,
}

/// Whose an instance is that has a floating IP of ours.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Taker {
    /// This node's.
    Node(usize),
    /// No node's.
    Other,
    /// Nobody's.
    Nobody,
    /// That is not known: some node's instance was never seen.
    Unknown,
}

/// A new configuration, and what of the old one lives on in it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reconfiguration {
    /// The new settings.
    pub settings: Settings,
    /// For each node its old index, if it had one.
    pub nodes: Vec<Option<usize>>,
    /// For each group what it was.
    pub groups: Vec<Carry>,
}

/// What a group was before a change of the configuration.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Carry {
    /// Nothing.
    New,
    /// This one.
    Kept(usize),
    /// This one, with other resources: they are stopped before anything is started.
    Changed(usize),
}

/// How the work on a group ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// As asked.
    Done,
    /// It could not be started, and was stopped.
    Failed,
    /// It could not be stopped.
    Stuck,
}

/// Something to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Tell the peers, now.
    Advertise(Advert),
    /// Start the resources of a group.
    Acquire {
        /// Which.
        group: usize,
        /// The number of this work, for [`Event::Finished`].
        work: u32,
        /// Why.
        cause: Cause,
        /// It runs here already, but another node had it too: start it once more without asking for its status.
        reassert: bool,
    },
    /// Stop the resources of a group; an acquisition that is under way is broken off first.
    Release {
        /// Which.
        group: usize,
        /// The number of this work.
        work: u32,
        /// Why.
        cause: Cause,
    },
    /// Stop the resources of a group that the configuration no longer names: its old index. Nobody waits for the end.
    Drop {
        /// Which.
        group: usize,
    },
    /// Reset a node.
    Fence {
        /// Which.
        node: usize,
    },
    /// A group is stuck: reboot this host.
    Reboot {
        /// Which.
        group: usize,
    },
    /// Nothing is held any more: the node may go.
    Left,
}

/// Why a group moves.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The nodes have met, and nobody had it.
    Start,
    /// This node fell silent.
    PeerDied(usize),
    /// This node left in good order.
    PeerLeft(usize),
    /// This node could not start it.
    PeerFailed(usize),
    /// An operator moved it away from this node.
    PeerDeclined(usize),
    /// It belongs to this node, which is back.
    FailBack(usize),
    /// An operator wants it on this node.
    Takeover(usize),
    /// An operator wants it away from here.
    Standby,
    /// This node had it too.
    Conflict(usize),
    /// Too few others hear us.
    Lease,
    /// Its `status` says that it does not run.
    Sick,
    /// Its floating IP is at another instance.
    Moved,
    /// It failed here, and nobody else can have it.
    Retry,
    /// An operator wants what got stuck tried again.
    Cleanup,
    /// Its resources have changed in the configuration.
    Reload,
    /// We are leaving.
    Leave,
}

impl Cause {
    /// The name in `hb status` and in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::PeerDied(_) => "peer_died",
            Self::PeerLeft(_) => "peer_left",
            Self::PeerFailed(_) => "peer_failed",
            Self::PeerDeclined(_) => "peer_declined",
            Self::FailBack(_) => "fail_back",
            Self::Takeover(_) => "takeover",
            Self::Standby => "standby",
            Self::Conflict(_) => "conflict",
            Self::Lease => "lease",
            Self::Sick => "sick",
            Self::Moved => "moved",
            Self::Retry => "retry",
            Self::Cleanup => "cleanup",
            Self::Reload => "reload",
            Self::Leave => "leave",
        }
    }

    /// The other node that it is about.
    #[must_use]
    pub fn peer(self) -> Option<usize> {
        match self {
            Self::PeerDied(node)
            | Self::PeerLeft(node)
            | Self::PeerFailed(node)
            | Self::PeerDeclined(node)
            | Self::FailBack(node)
            | Self::Takeover(node)
            | Self::Conflict(node) => Some(node),
            Self::Start
            | Self::Standby
            | Self::Lease
            | Self::Sick
            | Self::Moved
            | Self::Retry
            | Self::Cleanup
            | Self::Reload
            | Self::Leave => None,
        }
    }

    /// Whether a node that is heard hands it over, or a person orders it: nobody else has it for a reason then.
    #[must_use]
    pub fn is_handed_over(self) -> bool {
        match self {
            Self::PeerLeft(_)
            | Self::PeerFailed(_)
            | Self::PeerDeclined(_)
            | Self::FailBack(_)
            | Self::Takeover(_)
            | Self::Conflict(_) => true,
            Self::Start
            | Self::PeerDied(_)
            | Self::Standby
            | Self::Lease
            | Self::Sick
            | Self::Moved
            | Self::Retry
            | Self::Cleanup
            | Self::Reload
            | Self::Leave => false,
        }
    }

    /// The node whose death it is.
    #[must_use]
    pub fn dead(self) -> Option<usize> {
        match self {
            Self::PeerDied(node) => Some(node),
            Self::Start
            | Self::PeerLeft(_)
            | Self::PeerFailed(_)
            | Self::PeerDeclined(_)
            | Self::FailBack(_)
            | Self::Takeover(_)
            | Self::Standby
            | Self::Conflict(_)
            | Self::Lease
            | Self::Sick
            | Self::Moved
            | Self::Retry
            | Self::Cleanup
            | Self::Reload
            | Self::Leave => None,
        }
    }
}

/// What our beats say of us.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Advert {
    /// Counts the adverts: a peer that has heard a beat with this one has heard all before.
    pub edition: u32,
    /// Where we are in our life.
    pub status: Status,
    /// Whether we want nothing touched.
    pub maintenance: bool,
    /// How many ping nodes we reach.
    pub pings: u8,
    /// Bit i: node i is not gone. What a beat says of its own receiver is `up`.
    pub present: u16,
    /// Bit i: node i is up.
    pub up: u16,
    /// What we do with the groups.
    pub groups: Groups,
}

impl Advert {
    /// Whether we wait for the others' word on any group.
    #[must_use]
    pub fn wants(&self) -> bool {
        self.states().any(GroupState::is_wanted)
    }

    /// Whether we neither own nor want anything that could be taken over.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self
            .states()
            .any(|state| state.is_wanted() || state.is_held() && state != GroupState::Stuck)
    }

    /// Whether we have anything, or may have.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.states().any(GroupState::is_held)
    }

    /// Whether anything could not be stopped.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.states().any(|state| state == GroupState::Stuck)
    }

    fn states(&self) -> impl Iterator<Item = GroupState> {
        (0..MAX_GROUPS).map(|index| GroupState::from_bits(self.groups.get(index)))
    }

    /// What a beat to `node` says of who is present.
    #[must_use]
    pub fn present_for(&self, node: usize) -> u16 {
        let bit = 1 << node;
        (self.present & !bit) | (self.up & bit)
    }
}

#[cfg(test)]
mod tests;
