//! Who should own what: one node's part of the cluster.
//!
//! Level-triggered: after every event each group is looked at anew, and what should change follows from what is known
//! of all nodes now, not from the order in which it became known.

use hb_ebpf::Nanos;
use hb_ebpf::beat::{Groups, Status};

use super::{Contact, GroupState, PeerView};

/// Whether a group returns to its preferred node when that comes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failback {
    /// It does.
    Return,
    /// It stays where it is.
    Stay,
}

/// What the configuration says of a group.
#[derive(Clone, Copy, Debug)]
pub struct GroupSettings {
    /// The index of the node that should have it.
    pub preferred: usize,
}

/// What the configuration says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many nodes there are. Their order is that of ha.cf, the same on all.
    pub nodes: usize,
    /// Which one we are.
    pub me: usize,
    /// The groups, in the order of haresources.
    pub groups: Vec<GroupSettings>,
    /// Whether groups return.
    pub failback: Failback,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A peer is up, or says something new.
    PeerUp {
        /// Which.
        node: usize,
        /// Where it is in its life.
        status: Status,
        /// What it does with the groups.
        groups: Groups,
        /// Whether our beats reach it.
        hears_us: bool,
    },
    /// A peer fell silent.
    PeerDead {
        /// Which.
        node: usize,
    },
    /// The work on a group that an action asked for has ended.
    Finished {
        /// Which.
        group: usize,
        /// How.
        outcome: Outcome,
    },
    /// Stop in good order.
    Leave,
}

/// How the work on a group ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// As asked.
    Done,
    /// It could not be started, and was stopped.
    Failed,
    /// It could not be stopped.
    Stuck,
}

/// Something to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Tell the peers, now.
    Advertise(Advert),
    /// Start the resources of a group.
    Acquire {
        /// Which.
        group: usize,
        /// Why.
        cause: Cause,
        /// It runs here already, but another node had it too: start it once more without asking for its status.
        reassert: bool,
    },
    /// Stop the resources of a group.
    Release {
        /// Which.
        group: usize,
        /// Why.
        cause: Cause,
    },
    /// Nothing is held any more: the node may go.
    Left,
}

/// Why a group moves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// The nodes have met, and nobody had it.
    Start,
    /// This node fell silent.
    PeerDied(usize),
    /// This node left in good order.
    PeerLeft(usize),
    /// This node could not start it.
    PeerFailed(usize),
    /// It belongs to this node, which is back.
    FailBack(usize),
    /// This node had it too.
    Conflict(usize),
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
            Self::FailBack(_) => "fail_back",
            Self::Conflict(_) => "conflict",
            Self::Leave => "leave",
        }
    }
}

/// What our beats say of us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Advert {
    /// Where we are in our life.
    pub status: Status,
    /// What we do with the groups.
    pub groups: Groups,
}

/// A group, as the status shows it.
#[derive(Clone, Copy, Debug)]
pub struct GroupView {
    /// What we do with it.
    pub state: GroupState,
    /// Since when.
    pub since: Nanos,
    /// The node that owns it, as far as we know.
    pub owner: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    state: GroupState,
    since: Nanos,
    /// Once acquired, it counts as claimed from a node that is presumed dead.
    claim: bool,
    /// Another node has it too; when that has let go we start it once more.
    contested: Option<usize>,
}

/// The state of one node.
#[derive(Clone, Debug)]
pub struct Node {
    settings: Settings,
    status: Status,
    peers: Vec<PeerView>,
    groups: Vec<Group>,
    advertised: Advert,
    left: bool,
}

impl Node {
    /// A node that starts now: it holds nothing, and takes nothing before it has met its peers or knows them dead.
    #[must_use]
    pub fn new(settings: Settings, now: Nanos) -> Self {
        let group = Group {
            state: GroupState::Released,
            since: now,
            claim: false,
            contested: None,
        };
        Self {
            status: Status::Init,
            peers: vec![PeerView::default(); settings.nodes],
            groups: vec![group; settings.groups.len()],
            advertised: Advert {
                status: Status::Init,
                groups: Groups::default(),
            },
            left: false,
            settings,
        }
    }

    /// Takes an event and says what to do about it, in this order.
    pub fn handle(&mut self, event: Event, now: Nanos) -> Vec<Action> {
        match event {
            Event::PeerUp {
                node,
                status,
                groups,
                hears_us,
            } => {
                self.set_peer(
                    node,
                    PeerView {
                        contact: Contact::Up,
                        status,
                        groups,
                        hears_us,
                    },
                );
            }
            Event::PeerDead { node } => self.bury(node),
            Event::Finished { group, outcome } => self.finish(group, outcome, now),
            Event::Leave => self.status = Status::Leaving,
        }
        self.settle();

        let mut work = Vec::new();
        for index in 0..self.groups.len() {
            work.extend(self.decide(index, now));
        }
        // The peers learn first: what they do with it takes longer than our beat.
        let mut actions = Vec::with_capacity(work.len() + 2);
        let advert = self.advert();
        if advert != self.advertised {
            self.advertised = advert;
            actions.push(Action::Advertise(advert));
        }
        actions.extend(work);
        if self.status == Status::Leaving && !self.left && !self.is_working_or_owning() {
            self.left = true;
            actions.push(Action::Left);
        }
        actions
    }

    /// What our beats should say.
    #[must_use]
    pub fn advert(&self) -> Advert {
        let groups = self.groups.iter().enumerate();
        Advert {
            status: self.status,
            groups: groups.fold(Groups::default(), |bits, (index, group)| {
                bits.with(index, group.state as u8)
            }),
        }
    }

    /// A peer, as we see it.
    #[must_use]
    pub fn peer(&self, node: usize) -> PeerView {
        self.peers.get(node).copied().unwrap_or_default()
    }

    /// A group, as we see it.
    #[must_use]
    pub fn group(&self, index: usize) -> Option<GroupView> {
        let group = self.groups.get(index)?;
        let owner = if group.state.is_owned() {
            Some(self.settings.me)
        } else {
            (0..self.settings.nodes).find(|node| self.is_owner(*node, index))
        };
        Some(GroupView {
            state: group.state,
            since: group.since,
            owner,
        })
    }

    fn is_owner(&self, node: usize, index: usize) -> bool {
        self.peers[node].contact == Contact::Up && self.peers[node].group(index).is_owned()
    }

    /// Nobody is a peer of itself.
    fn peer_mut(&mut self, node: usize) -> Option<&mut PeerView> {
        let me = self.settings.me;
        self.peers.get_mut(node).filter(|_| node != me)
    }

    fn set_peer(&mut self, node: usize, view: PeerView) {
        let Some(peer) = self.peer_mut(node) else { return };
        *peer = view;
        if self.peers.iter().any(|peer| peer.contact == Contact::Dead) {
            return;
        }
        // All are heard again: what we claimed and none of them has is plainly ours.
        for (index, group) in self.groups.iter_mut().enumerate() {
            if !self.peers.iter().any(|peer| peer.holds(index)) {
                group.claim = false;
                if group.state == GroupState::Claimed {
                    group.state = GroupState::Running;
                }
            }
        }
    }

    /// A node that said it was leaving and held nothing has left; any other that falls silent is dead.
    fn bury(&mut self, node: usize) {
        let groups = self.groups.len();
        let Some(peer) = self.peer_mut(node) else { return };
        let left = peer.contact == Contact::Up && peer.status == Status::Leaving && peer.holds_nothing(groups);
        peer.contact = if left { Contact::Left } else { Contact::Dead };
        peer.hears_us = false;
    }

    fn finish(&mut self, index: usize, outcome: Outcome, now: Nanos) {
        let Some(group) = self.groups.get_mut(index) else {
            return;
        };
        let state = match (group.state, outcome) {
            (GroupState::Acquiring, Outcome::Done) if group.claim => GroupState::Claimed,
            (GroupState::Acquiring, Outcome::Done) => GroupState::Running,
            (GroupState::Acquiring, Outcome::Failed) => GroupState::Failed,
            (GroupState::Releasing, Outcome::Done | Outcome::Failed) => GroupState::Released,
            (GroupState::Acquiring | GroupState::Releasing, Outcome::Stuck) => GroupState::Stuck,
            // Nobody asked for any work.
            (
                GroupState::Released
                | GroupState::Running
                | GroupState::Failed
                | GroupState::Stuck
                | GroupState::Claimed,
                _,
            ) => return,
        };
        group.state = state;
        group.since = now;
    }

    /// The node takes part as soon as it knows of every peer whether it is there.
    fn settle(&mut self) {
        let me = self.settings.me;
        let met = |(node, peer): (usize, &PeerView)| node == me || peer.contact != Contact::Unknown;
        if self.status == Status::Init && self.peers.iter().enumerate().all(met) {
            self.status = Status::Up;
        }
    }

    fn is_working_or_owning(&self) -> bool {
        self.groups
            .iter()
            .any(|group| group.state.is_owned() || group.state == GroupState::Releasing)
    }

    fn decide(&mut self, index: usize, now: Nanos) -> Option<Action> {
        match (self.status, self.groups[index].state) {
            // Before we know our peers, and while scripts run, nothing is decided. What could not be stopped, or not
            // started, waits for a person.
            (Status::Init, _)
            | (_, GroupState::Acquiring | GroupState::Releasing | GroupState::Failed | GroupState::Stuck)
            | (Status::Leaving, GroupState::Released) => None,
            (Status::Leaving, GroupState::Running | GroupState::Claimed) => {
                Some(self.release(index, Cause::Leave, now))
            }
            (Status::Up, GroupState::Running | GroupState::Claimed) => self.decide_owned(index, now),
            (Status::Up, GroupState::Released) => self.decide_released(index, now),
        }
    }

    fn decide_owned(&mut self, index: usize, now: Nanos) -> Option<Action> {
        let winner = self.holders(index).find(|other| self.yields_to(*other, index));
        if let Some(other) = winner {
            return Some(self.release(index, Cause::Conflict(other), now));
        }
        let loser = self.holders(index).next();
        if let Some(other) = loser {
            self.groups[index].contested = Some(other);
            return None;
        }
        if let Some(other) = self.groups[index].contested.take() {
            return Some(self.acquire(index, Cause::Conflict(other), true, now));
        }
        let preferred = self.settings.groups[index].preferred;
        let peer = self.peer(preferred);
        let is_back = preferred != self.settings.me && peer.is_candidate(index) && peer.status == Status::Up;
        match self.settings.failback {
            Failback::Return if is_back => Some(self.release(index, Cause::FailBack(preferred), now)),
            Failback::Return | Failback::Stay => None,
        }
    }

    fn decide_released(&mut self, index: usize, now: Nanos) -> Option<Action> {
        if self.holders(index).next().is_some() || self.responsible(index) != Some(self.settings.me) {
            return None;
        }
        Some(self.acquire(index, self.cause(index), false, now))
    }

    /// The peers that have the group, or may have it.
    fn holders(&self, index: usize) -> impl Iterator<Item = usize> {
        let peers = self.peers.iter().enumerate();
        peers.filter(move |(_, peer)| peer.holds(index)).map(|(node, _)| node)
    }

    /// Who of those that are there should have a group that nobody has: the preferred node, then ha.cf's order.
    fn responsible(&self, index: usize) -> Option<usize> {
        let preferred = self.settings.groups[index].preferred;
        let candidate = |node: &usize| *node == self.settings.me || self.peer(*node).is_candidate(index);
        std::iter::once(preferred).chain(0..self.settings.nodes).find(candidate)
    }

    /// Two nodes have the group: is it us who let go?
    fn yields_to(&self, other: usize, index: usize) -> bool {
        let peer = &self.peers[other];
        match (peer.group(index), peer.status) {
            // It cannot let go, and better no owner than two.
            (GroupState::Stuck, _) => return true,
            // It is letting go, or will: if we did so too, nobody would be left.
            (GroupState::Releasing | GroupState::Released | GroupState::Failed, _)
            | (GroupState::Acquiring | GroupState::Running | GroupState::Claimed, Status::Leaving) => return false,
            (GroupState::Acquiring | GroupState::Running | GroupState::Claimed, Status::Init | Status::Up) => {}
        }
        if !peer.hears_us {
            // It cannot know of us, so it will not let go.
            return true;
        }
        let preferred = self.settings.groups[index].preferred;
        let rank = |node: usize| (node != preferred, node);
        let (theirs, ours) = (rank(other), rank(self.settings.me));
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
        let me = self.settings.me;
        let others = || {
            (0..self.settings.nodes)
                .filter(|node| *node != me)
                .map(|node| (node, &self.peers[node]))
        };
        if let Some((node, _)) = others().find(|(_, peer)| peer.contact == Contact::Dead) {
            return Cause::PeerDied(node);
        }
        if let Some((node, _)) =
            others().find(|(_, peer)| peer.contact == Contact::Left || peer.status == Status::Leaving)
        {
            return Cause::PeerLeft(node);
        }
        if let Some((node, _)) = others().find(|(_, peer)| peer.group(index) == GroupState::Failed) {
            return Cause::PeerFailed(node);
        }
        Cause::Start
    }

    fn acquire(&mut self, index: usize, cause: Cause, reassert: bool, now: Nanos) -> Action {
        let anybody_dead = self.peers.iter().any(|peer| peer.contact == Contact::Dead);
        let group = &mut self.groups[index];
        if !reassert {
            group.claim = anybody_dead;
        }
        group.state = GroupState::Acquiring;
        group.since = now;
        Action::Acquire {
            group: index,
            cause,
            reassert,
        }
    }

    fn release(&mut self, index: usize, cause: Cause, now: Nanos) -> Action {
        let group = &mut self.groups[index];
        group.contested = None;
        group.claim = false;
        group.state = GroupState::Releasing;
        group.since = now;
        Action::Release { group: index, cause }
    }
}

#[cfg(test)]
mod tests;
