//! What a provider of floating IPs tells: that it answers at all, and whose an address is.
//!
//! It is no node, and what it says is about addresses only; but it is the one that both sides of a cut may still reach, and
//! the one that moves the address.

use hb_ebpf::Nanos;
use serde::{Deserialize, Serialize};

use super::{After, Memory, Node};
use crate::core::mutation::{Mutation, is_mutated};
use crate::core::peer::Fencing;
use crate::core::{Action, Cause, Contact, Holder, Outlook, PeerView, Quorum, Settings, Taker};
use hb_ebpf::beat::Status;

/// So often within the span a group is asserted again because its floating IP was taken away; then no more, until the span is
/// over or somebody cleans up.
pub const TAKE_BACKS: u32 = 3;
const SPAN: Nanos = Nanos::from_millis(600_000);
/// A witness whose answers end is asked again after this part of their time.
const RENEWALS: u64 = 3;

/// What is known of the provider as a witness.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Witness {
    /// It was not asked.
    #[default]
    Unasked,
    /// It has answered what it was asked at this time.
    Answers(Nanos),
    /// It has not, in the time that it is given.
    Silent(Nanos),
}

/// What came of what was told about a group's floating IPs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Provided {
    /// We let go of the group since a node that we do not hear has taken its floating IP.
    pub(super) gave_way: bool,
    pub(super) taken_back: TakenBack,
    /// The last word of [`Event::Outlook`](crate::core::Event::Outlook).
    pub(super) outlook: Outlook,
}

impl Provided {
    /// Whether the group would not start here. Somebody else comes first then.
    pub(super) fn is_unready(&self) -> bool {
        self.outlook == Outlook::Unready && !is_mutated(Mutation::IgnoresOutlook)
    }

    /// Whether it would. Without that nobody is asked for it.
    pub(super) fn is_ready(&self) -> bool {
        self.outlook == Outlook::Ready || is_mutated(Mutation::IgnoresOutlook)
    }
}

/// How often a group's floating IP was taken back.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct TakenBack {
    /// In all.
    total: u32,
    /// Since `since`.
    count: u32,
    since: Nanos,
    /// The last time.
    #[serde(default)]
    last: Option<Nanos>,
    /// Once more would have been too often.
    is_held_off: bool,
}

impl TakenBack {
    /// In all, and until when not again, if it was too often.
    pub(super) fn view(&self, now: Nanos) -> (u32, Option<Nanos>) {
        let until = self.since.saturating_add(SPAN);
        (self.total, Some(until).filter(|until| self.is_held_off && *until > now))
    }

    /// Counts one more, if it is not too often.
    fn take(&mut self, now: Nanos) -> bool {
        if self.count == 0 || now >= self.since.saturating_add(SPAN) {
            (self.count, self.since, self.is_held_off) = (0, now, false);
        }
        self.is_held_off = self.count == TAKE_BACKS;
        if !self.is_held_off {
            self.count += 1;
            self.last = Some(now);
            self.total = self.total.saturating_add(1);
        }
        !self.is_held_off
    }

    /// Whether it was, after this time.
    fn was_since(&self, time: Nanos) -> bool {
        self.last.is_some_and(|last| last >= time)
    }

    pub(super) fn forget(&mut self) {
        (self.count, self.is_held_off) = (0, false);
    }
}

impl Node {
    pub(super) fn witnessed(&mut self, asked: Nanos, answers: bool) {
        if answers {
            self.witness = Witness::Answers(asked);
        } else if !self.witness_answers() {
            self.witness = Witness::Silent(asked);
        }
    }

    /// The provider says that a floating IP of a group that runs here belongs to somebody else.
    ///
    /// Where another node has the group, too, that is a conflict, and the rule for it decides. Where a node is silent, and it
    /// may be that one's doing, it is alive, and has taken over: then it is us who give way.
    pub(super) fn moved(&mut self, index: usize, to: Taker) -> Option<Action> {
        let group = self.groups.get(index)?;
        let is_settled = group.state.runs() && group.contested.is_none() && self.holders(index).next().is_none();
        if !is_settled || self.status != Status::Up || !self.may_act() {
            return None;
        }
        let is_a_silent_node = match to {
            Taker::Node(node) => self.rivals().any(|rival| rival == node),
            Taker::Unknown => self.has_rivals(),
            // There is nobody to give way to.
            Taker::Nobody => false,
            // An instance may have been taken for another's: not a second time in one silence.
            Taker::Other => self
                .rivals()
                .any(|node| group.provided.taken_back.was_since(self.peers[node].silent_since)),
        };
        if is_a_silent_node && !is_mutated(Mutation::NeverGivesWay) {
            self.groups[index].provided.gave_way = true;
            return Some(self.release(index, Cause::Moved, After::Idle(Memory::Nothing)));
        }
        let now = self.now;
        self.groups[index]
            .provided
            .taken_back
            .take(now)
            .then(|| self.acquire(index, Cause::Moved, true))
    }

    pub(super) fn looks(&mut self, index: usize, outlook: Outlook) {
        if let Some(group) = self.groups.get_mut(index) {
            group.provided.outlook = outlook;
        }
    }

    /// A group that we gave way with stays away while there is a silent node that may have it.
    pub(super) fn return_to(&mut self) {
        if !self.has_rivals() {
            for group in &mut self.groups {
                group.provided.gave_way = false;
            }
        }
    }

    /// Whether the group is not taken, or not taken back, until somebody says so.
    pub(super) fn is_held_off(&self, index: usize) -> bool {
        let group = &self.groups[index];
        group.provided.gave_way || group.provided.taken_back.view(self.now).1.is_some()
    }

    /// Whether a peer has fallen silent, and the witness has not answered since, or too long ago: then it may be us who are cut off.
    #[must_use]
    pub fn lacks_witness(&self) -> bool {
        let asked = match self.witness {
            Witness::Silent(asked) => Some(asked),
            Witness::Answers(asked) => Some(asked).filter(|asked| self.is_over(*asked)),
            Witness::Unasked => None,
        };
        let Some(asked) = asked else { return false };
        self.settings.witness && self.rivals().any(|node| asked >= self.peers[node].silent_since)
    }

    /// Under new settings an answer may count for a shorter time. One that counted until now does so until it could be asked for again.
    pub(super) fn renew_witness(&mut self, old: &Settings) {
        let Witness::Answers(asked) = self.witness else { return };
        let counted = old
            .witness_lease
            .is_none_or(|lease| self.now < asked.saturating_add(lease));
        if let Some(lease) = self.settings.witness_lease.filter(|_| counted) {
            let due = self.now.since(Nanos(lease.0 / RENEWALS));
            self.witness = Witness::Answers(asked.max(due));
        }
    }

    /// Whether an answer to what was asked at this time does not count any more.
    fn is_over(&self, asked: Nanos) -> bool {
        let lease = self.settings.witness_lease;
        lease.is_some_and(|lease| self.now >= asked.saturating_add(lease)) && !is_mutated(Mutation::AnswersNeverEnd)
    }

    /// Whether the witness has answered since a peer fell silent, where there is one.
    pub(super) fn has_witness(&self, peer: &PeerView) -> bool {
        match self.witness {
            _ if is_mutated(Mutation::AsksNoWitness) => true,
            _ if !self.settings.witness || self.has_majority_rule() => true,
            Witness::Answers(asked) => asked >= peer.silent_since && !self.is_over(asked),
            Witness::Unasked | Witness::Silent(_) => false,
        }
    }

    /// Whether somebody has to ask the witness: a peer is silent.
    #[must_use]
    pub fn needs_witness(&self) -> bool {
        self.settings.witness && self.has_rivals()
    }

    /// When the witness is to be asked, if it is: at once, while it has not answered; and well before its answer is over.
    #[must_use]
    pub fn witness_due(&self) -> Option<Nanos> {
        match self.witness {
            _ if !self.needs_witness() => None,
            Witness::Answers(asked) if self.witness_answers() => {
                let lease = self.settings.witness_lease?;
                Some(asked.saturating_add(Nanos(lease.0 / RENEWALS)))
            }
            Witness::Unasked | Witness::Answers(_) | Witness::Silent(_) => Some(self.now),
        }
    }

    /// When the witness's answer ends, if that matters.
    pub(super) fn witness_ends(&self) -> Option<Nanos> {
        match self.witness {
            Witness::Answers(asked) if self.needs_witness() => Some(asked.saturating_add(self.settings.witness_lease?)),
            Witness::Unasked | Witness::Answers(_) | Witness::Silent(_) => None,
        }
    }

    /// Whether the witness has answered since the last peer fell silent, and not too long ago.
    #[must_use]
    pub fn witness_answers(&self) -> bool {
        self.rivals().all(|node| self.has_witness(&self.peers[node]))
    }

    /// The nodes that may have what we have without our knowing, as far as the provider is concerned: they fell silent, and may
    /// live on. None where a majority decides: it knows who is cut off.
    pub fn rivals(&self) -> impl Iterator<Item = usize> {
        let may_be = !self.has_majority_rule();
        self.others().filter(move |node| may_be && is_lost(&self.peers[*node]))
    }

    /// Whether a majority decides who is gone: then the provider's word does not.
    fn has_majority_rule(&self) -> bool {
        match self.settings.quorum {
            Quorum::None | Quorum::Pings => false,
            Quorum::Majority => true,
        }
    }

    /// The rivals, and whether each had a group, or was about to, by its last word.
    pub fn rivals_for(&self, index: usize) -> impl Iterator<Item = (usize, bool)> {
        self.rivals()
            .map(move |node| (node, self.peers[node].group(index).is_held()))
    }

    /// Who has a group, as far as that tells something of its addresses.
    #[must_use]
    pub fn holder(&self, index: usize) -> Holder {
        let Some(view) = self.group(index) else {
            return Holder::Nobody;
        };
        if view.state.runs() {
            return Holder::Us { since: view.since };
        }
        match view.owner {
            Some(node) if node != self.settings.me && self.peers[node].group(index).runs() => Holder::Peer(node),
            Some(node) if node != self.settings.me => Holder::Moving(node),
            Some(_) | None => Holder::Nobody,
        }
    }

    fn has_rivals(&self) -> bool {
        self.rivals().next().is_some()
    }
}

/// A node that fell silent, and may live on.
fn is_lost(peer: &PeerView) -> bool {
    peer.contact == Contact::Dead && peer.fencing != Fencing::Done
}
