//! Who should own what: one node's part of the cluster.
//!
//! Level-triggered: after every event each group is looked at anew, and what should change follows from what is known
//! of all nodes now, not from the order in which it became known. docs/OWNERSHIP.md tells the rules.

mod check;
mod command;
mod consent;
mod decide;
mod provider;
mod reconfigure;
mod work;

use hb_ebpf::Nanos;
use hb_ebpf::beat::{Groups, Status};
use serde::{Deserialize, Serialize};

pub use command::{Progress, Refusal};
pub use consent::Waiting;
pub use provider::TAKE_BACKS;

use provider::{Provided, Witness};

use super::mutation::{Mutation, is_mutated};
use super::peer::Fencing;
use super::{Action, Advert, Contact, Event, GroupState, Outlook, PeerView, Settings, Sight};

/// A group, as the status shows it.
#[derive(Clone, Copy, Debug)]
pub struct GroupView {
    /// What we do with it.
    pub state: GroupState,
    /// Since when.
    pub since: Nanos,
    /// The node that owns it, as far as we know.
    pub owner: Option<usize>,
    /// Why we do not start it, if it falls to us.
    pub waiting: Option<Waiting>,
    /// When a start that failed may be tried here again.
    pub retry: Option<Nanos>,
    /// Whether it may be started here next: we want it, or whoever has it lets go of it.
    pub is_coming: bool,
    /// How often it was asserted again because its floating IP was taken away.
    pub taken_back: u32,
    /// Until when that is not done again, having been done too often.
    pub held_off: Option<Nanos>,
    /// Whether we gave way to a node that is not heard, and that the provider gave the floating IP to.
    pub gave_way: bool,
    /// Whether it could be started here now, as far as we were told.
    pub outlook: Outlook,
}

/// Why a node must not become silent now, not even for a moment that it has told of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unready {
    /// It does not know all its peers yet.
    Starting,
    /// It goes for good.
    Leaving,
    /// It was frozen, and listens: what it promised before may have run out.
    Doubt,
    /// This peer does not count it as up yet.
    Unheard(usize),
}

/// What a node keeps in mind of a group that it does not have.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Memory {
    Nothing,
    /// It was moved away from here, or failed here some time ago.
    Declined,
    /// It could not be started here, and is not to be tried before this time.
    Failed(Nanos),
}

/// What comes after a release.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum After {
    Idle(Memory),
    /// It is started again here.
    Restart,
}

/// Another node has a group that we keep.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Contest {
    with: usize,
    /// It ran there, so what is shared is there, too.
    ran: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Group {
    state: GroupState,
    since: Nanos,
    /// The number of the work under way, or of the last.
    work: u32,
    /// Once acquired, it counts as claimed from a node that is presumed dead.
    claim: bool,
    /// Another node has it too; when that has let go we start it once more.
    #[serde(default)]
    contested: Option<Contest>,
    /// The first edition of our advert that says that we want it.
    wanted: u32,
    /// An operator wants it here.
    asked: bool,
    memory: Memory,
    /// Until when we come last, having just let go of it for others: whoever declined it before takes it now.
    #[serde(default)]
    last_until: Nanos,
    after: After,
    /// When it was last restarted because it was sick.
    restarted: Option<Nanos>,
    #[serde(default)]
    provided: Provided,
}

impl Group {
    fn new(now: Nanos) -> Self {
        Self {
            state: GroupState::Released,
            since: now,
            work: 0,
            claim: false,
            contested: None,
            wanted: 0,
            asked: false,
            memory: Memory::Nothing,
            last_until: Nanos(0),
            after: After::Idle(Memory::Nothing),
            restarted: None,
            provided: Provided::default(),
        }
    }

    /// The state of a group that we neither have nor want.
    fn idle(&self) -> GroupState {
        match self.memory {
            Memory::Nothing if self.provided.is_unready() => GroupState::Declined,
            Memory::Nothing => GroupState::Released,
            Memory::Declined => GroupState::Declined,
            Memory::Failed(_) => GroupState::Failed,
        }
    }

    /// A peer has it, too, or has let go of it.
    fn contest(&mut self, peer: &PeerView, with: usize, index: usize) {
        let ran = peer.ran(index) || self.contested.is_some_and(|before| before.with == with && before.ran);
        self.contested = Some(Contest { with, ran });
    }

    /// Changes what it is called, and not since when.
    fn turn(&mut self, state: GroupState) {
        #[cfg(test)]
        tests::diagram::step(self.state, state);
        self.state = state;
    }

    fn set(&mut self, state: GroupState, now: Nanos) {
        self.turn(state);
        self.since = now;
    }
}

/// The state of one node. As a recording has it, it is to be checked before use: [`Node::check`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Node {
    settings: Settings,
    status: Status,
    peers: Vec<PeerView>,
    groups: Vec<Group>,
    works: u32,
    lease: bool,
    /// Since when.
    leased: Nanos,
    pings: u8,
    maintenance: bool,
    /// Whose last word about maintenance no longer counts.
    overridden: u16,
    /// Until when we know nothing, having been frozen.
    doubt: Option<Nanos>,
    #[serde(default)]
    witness: Witness,
    advertised: Advert,
    left: bool,
    /// The time of the last event.
    now: Nanos,
}

impl Node {
    /// A node that starts now: it holds nothing, and takes nothing before it has met its peers or knows them dead.
    #[must_use]
    pub fn new(settings: Settings, now: Nanos) -> Self {
        let mut node = Self {
            status: Status::Init,
            peers: vec![PeerView::default(); settings.nodes],
            groups: vec![Group::new(now); settings.groups.len()],
            works: 0,
            lease: !settings.is_leased(),
            leased: now,
            pings: 0,
            maintenance: false,
            overridden: 0,
            doubt: None,
            witness: Witness::default(),
            advertised: Advert {
                edition: 0,
                status: Status::Init,
                maintenance: false,
                pings: 0,
                present: 0,
                up: 0,
                groups: Groups::default(),
            },
            left: false,
            now,
            settings,
        };
        node.advertised = node.advert();
        node
    }

    /// Takes an event and says what to do about it, in this order.
    pub fn handle(&mut self, event: &Event, now: Nanos) -> Vec<Action> {
        self.now = now;
        let mut work = Vec::new();
        match event {
            Event::Begin | Event::Tick => {}
            Event::Peer { node, sight } => self.meet(*node, *sight),
            Event::Silent { node } => self.bury(*node),
            Event::Lease { held: false } if is_mutated(Mutation::LeaseNeverEnds) => {}
            Event::Lease { held } => self.hold(*held),
            Event::Pings { reached } => self.pings = *reached,
            Event::Woke if is_mutated(Mutation::NeverDoubts) => {}
            Event::Woke => self.doubt = Some(now.saturating_add(doubt(&self.settings))),
            Event::Finished { work: number, outcome } => work.extend(self.finish(*number, *outcome)),
            Event::Sick { group } => work.extend(self.nurse(*group)),
            Event::Moved { group, to } => work.extend(self.moved(*group, *to)),
            Event::Witness { asked, answers } => self.witnessed(*asked, *answers),
            Event::Outlook { group, outlook } => self.looks(*group, *outlook),
            Event::Fenced { node, done } => self.fenced(*node, *done),
            Event::Command(command) => work.extend(self.obey(*command)),
            Event::Reconfigure(new) => work.extend(self.reconfigure(new)),
            Event::Leave => self.status = Status::Leaving,
        }
        self.settle();
        if !self.left {
            for index in 0..self.groups.len() {
                work.extend(self.decide(index));
            }
            work.extend(self.fences());
        }
        // The peers learn first: what they do with it takes longer than our beat.
        let mut actions = Vec::with_capacity(work.len() + 2);
        let advert = self.advert();
        if advert != self.advertised {
            self.advertised = Advert {
                edition: self.next_edition(),
                ..advert
            };
            actions.push(Action::Advertise(self.advertised));
        }
        actions.extend(work);
        if self.status == Status::Leaving && !self.left && self.may_go() {
            self.left = true;
            actions.push(Action::Left);
        }
        actions
    }

    /// When to look again, with [`Event::Tick`], if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Nanos> {
        let retries = self.groups.iter().filter_map(|group| match group.memory {
            Memory::Failed(until) => Some(until),
            Memory::Nothing | Memory::Declined => None,
        });
        let peers = self.peers.iter().filter(|peer| peer.contact == Contact::Dead);
        let delays = peers
            .clone()
            .map(|peer| peer.silent_since.saturating_add(self.settings.takeover_delay));
        let fences = peers.filter_map(|peer| match peer.fencing {
            Fencing::Failed(until) => Some(until),
            Fencing::None | Fencing::Running | Fencing::Done => None,
        });
        let turns = self.groups.iter().map(|group| group.last_until);
        let listening = Some(self.listens_until());
        let all = retries
            .chain(turns)
            .chain(delays)
            .chain(fences)
            .chain(self.doubt)
            .chain(listening);
        let all = all.chain(self.witness_ends());
        all.filter(|time| *time > self.now).min()
    }

    /// What our beats should say.
    #[must_use]
    pub fn advert(&self) -> Advert {
        let groups = self.groups.iter().enumerate();
        let nodes = 0..self.settings.nodes;
        let mask = |is_in: &dyn Fn(usize) -> bool| {
            nodes
                .clone()
                .filter(|node| is_in(*node))
                .fold(0, |mask, node| mask | 1 << node)
        };
        Advert {
            edition: self.advertised.edition,
            status: self.status,
            maintenance: self.maintenance,
            pings: self.pings,
            present: mask(&|node| node == self.settings.me || !self.is_gone_for_us(node)),
            up: mask(&|node| node == self.settings.me || self.peers[node].is_up()),
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
            self.others().find(|node| {
                let peer = &self.peers[*node];
                peer.holds(index) && peer.group(index).is_owned()
            })
        };
        let (taken_back, held_off) = group.provided.taken_back.view(self.now);
        Some(GroupView {
            state: group.state,
            since: group.since,
            owner,
            waiting: self.waiting(index),
            retry: match group.memory {
                Memory::Failed(until) => Some(until),
                Memory::Nothing | Memory::Declined => None,
            },
            is_coming: self.is_coming(index),
            taken_back,
            held_off,
            gave_way: group.provided.gave_way,
            outlook: group.provided.outlook,
        })
    }

    fn is_coming(&self, index: usize) -> bool {
        let state = self.groups[index].state;
        let mut holders = self.holders(index).map(|node| self.peers[node].group(index)).peekable();
        let is_let_go = holders.peek().is_some() && holders.all(|theirs| theirs == GroupState::Releasing);
        state.is_wanted() || is_let_go && !state.is_held() && self.status == Status::Up && self.may_act()
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether we may own anything: always, where nobody could take it away. With a witness, not while we have lost a node and
    /// the witness does not answer us.
    #[must_use]
    pub fn has_lease(&self) -> bool {
        self.lease && !self.lacks_witness()
    }

    /// What a restart would have to wait for, so that every peer that is there knows how long to wait for us.
    #[must_use]
    pub fn unready(&self) -> Option<Unready> {
        let is_deaf = |node: &usize| {
            let PeerView { sight, .. } = &self.peers[*node];
            self.peers[*node].is_up() && !sight.differs.supports(sight.present, self.settings.me)
        };
        match self.status {
            Status::Init => Some(Unready::Starting),
            Status::Leaving => Some(Unready::Leaving),
            Status::Up if self.doubt.is_some() => Some(Unready::Doubt),
            Status::Up => self.others().find(is_deaf).map(Unready::Unheard),
        }
    }

    /// Whether nothing is to be touched, by our own word or by a peer's.
    #[must_use]
    pub fn in_maintenance(&self) -> bool {
        self.maintenance || self.others().any(|node| self.asks_for_maintenance(node))
    }

    /// The nodes that want nothing touched: we ourselves, and peers by their newest word.
    pub fn maintainers(&self) -> impl Iterator<Item = usize> {
        let ours = Some(self.settings.me).filter(|_| self.maintenance);
        ours.into_iter()
            .chain(self.others().filter(|node| self.asks_for_maintenance(*node)))
    }

    fn asks_for_maintenance(&self, node: usize) -> bool {
        self.overridden & (1 << node) == 0 && self.peers[node].sight.maintenance
    }

    fn others(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let me = self.settings.me;
        (0..self.settings.nodes).filter(move |node| *node != me)
    }

    /// The edition of the advert that this event leads to.
    fn next_edition(&self) -> u32 {
        self.advertised.edition.wrapping_add(1)
    }

    /// Nobody is a peer of itself.
    fn peer_mut(&mut self, node: usize) -> Option<&mut PeerView> {
        let me = self.settings.me;
        self.peers.get_mut(node).filter(|_| node != me)
    }

    fn hold(&mut self, is_held: bool) {
        let is_held = is_held || !self.settings.is_leased();
        if is_held && !self.lease {
            self.leased = self.now;
        }
        self.lease = is_held;
    }

    fn meet(&mut self, node: usize, sight: Sight) {
        let Some(peer) = self.peer_mut(node) else { return };
        let before = std::mem::replace(
            peer,
            PeerView {
                contact: Contact::Up,
                sight,
                ..PeerView::default()
            },
        );
        self.overridden &= !(1 << node);
        let peer = self.peers[node];
        for (index, group) in self.groups.iter_mut().enumerate() {
            // It lets go of what we let go of before: now it is for us again.
            let is_handed_back = before.holds(index) && peer.group(index) == GroupState::Declined;
            if is_handed_back && group.memory == Memory::Declined {
                (group.memory, group.last_until) = (Memory::Nothing, Nanos(0));
            }
            // Its stop may have taken something that was shared, as in any conflict.
            let is_news = peer.has_let_go(index) && !before.has_let_go(index);
            if is_news && group.state.is_owned() {
                group.contest(&peer, node, index);
            }
        }
        if self.peers.iter().any(|peer| peer.contact == Contact::Dead) {
            return;
        }
        // All are heard again: what we claimed and none of them has is plainly ours.
        for (index, group) in self.groups.iter_mut().enumerate() {
            if !self.peers.iter().any(|peer| peer.holds(index)) {
                group.claim = false;
                if group.state == GroupState::Claimed {
                    group.turn(GroupState::Running);
                }
            }
        }
    }

    /// A node that said farewell has left; any other that falls silent is dead.
    fn bury(&mut self, node: usize) {
        let now = self.now;
        let Some(peer) = self.peer_mut(node) else { return };
        peer.contact = if peer.has_said_farewell() {
            Contact::Left
        } else {
            Contact::Dead
        };
        peer.sight.hears_us = false;
        peer.silent_since = now;
    }

    fn fenced(&mut self, node: usize, done: bool) {
        let retry = self.now.saturating_add(self.settings.fence_retry);
        let Some(peer) = self.peer_mut(node) else { return };
        if peer.fencing == Fencing::Running {
            peer.fencing = if done { Fencing::Done } else { Fencing::Failed(retry) };
        }
    }

    /// Whether a node that leaves has nothing left to do: no scripts at work, and nothing that it owns unless that must not be
    /// touched.
    fn may_go(&self) -> bool {
        let may_keep = self.in_maintenance();
        self.groups.iter().all(|group| match group.state {
            GroupState::Acquiring | GroupState::Releasing => false,
            GroupState::Running | GroupState::Claimed => may_keep,
            GroupState::Released
            | GroupState::Wanting
            | GroupState::Asking
            | GroupState::Stuck
            | GroupState::Failed
            | GroupState::Declined => true,
        })
    }
}

/// For how long a node starts nothing that was frozen: until it has been heard to be alive by peers that were frozen with it and
/// took it for dead, which hear it after [`hush`](super::hush), echo it an interval later, and are heard with that.
fn doubt(settings: &Settings) -> Nanos {
    settings
        .deadtime
        .saturating_add(Nanos(settings.interval.0.saturating_mul(2)))
}

#[cfg(test)]
mod tests;
