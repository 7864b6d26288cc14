//! Whose a floating IP is: what its provider says, beside what the cluster says of its group.
//!
//! Generic in what names an instance for the provider.

use hb_ebpf::Nanos;

use super::Taker;

/// How long what a provider says is given to become true.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// An owner that is not us is asked for once more after this, before it is told: an API may show the old one for a moment.
    pub confirm: Nanos,
    /// A group that was started so short a time ago is not looked at: the API may still show who had its address before.
    pub settle: Nanos,
    /// While a node is lost an address that is nobody's may be one that it is about to have: at some providers it is taken
    /// away first. So long it is waited for.
    pub detach: Nanos,
}

/// Who has a group, as far as that tells something about its addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holder {
    /// It runs here since then.
    Us {
        /// The time.
        since: Nanos,
    },
    /// It runs on this node, which is heard.
    Peer(usize),
    /// It is being started, or stopped, on this node, which is heard: the address may be its already, or still.
    Moving(usize),
    /// It runs nowhere, or nowhere that is known.
    Nobody,
}

/// What a provider said.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a, I> {
    /// When it was asked.
    pub asked: Nanos,
    /// Us.
    pub me: &'a I,
    /// The owner.
    pub owner: Option<&'a I>,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finding {
    /// Nothing.
    Fine,
    /// It may have moved away: to be asked again after [`Patience::confirm`].
    Suspect,
    /// It belongs to somebody else, or to nobody, although its group runs here.
    Moved,
}

/// A node that fell silent and may live on, as far as it concerns a floating IP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lost<'a, I> {
    /// Its instance, if it was ever seen.
    pub instance: Option<&'a I>,
    /// Whether it had the group, or was about to, by its last word.
    pub held: bool,
}

/// One floating IP.
#[derive(Clone, Debug)]
pub struct Deed<I> {
    patience: Patience,
    holder: Holder,
    /// Since when the holder is that one.
    since: Nanos,
    /// Who ran the group last, or was about to.
    last: Option<Runner>,
    /// Whose it was when the provider said what the cluster says: the instance of who ran its group then, as far as that is
    /// known.
    agreed: Option<(Option<Runner>, I)>,
    /// That was not read by us, but by the process before.
    is_hearsay: bool,
    /// Whose it was when it was last read, if that was not agreed and who runs its group is heard.
    doubted: Option<I>,
    /// It is not ours although its group runs here: since when, and whose it is.
    away: Option<(Nanos, Option<I>)>,
}

/// On whom a group runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Runner {
    Us,
    Peer(usize),
}

impl<I: Clone + Eq> Deed<I> {
    /// One of which nothing is known.
    #[must_use]
    pub fn new(patience: Patience, now: Nanos) -> Self {
        Self {
            patience,
            holder: Holder::Nobody,
            since: now,
            last: None,
            agreed: None,
            is_hearsay: false,
            doubted: None,
            away: None,
        }
    }

    /// One of which a former process knew whose it was.
    #[must_use]
    pub fn known(agreed: Option<I>, patience: Patience, now: Nanos) -> Self {
        Self {
            agreed: agreed.map(|instance| (None, instance)),
            is_hearsay: true,
            ..Self::new(patience, now)
        }
    }

    /// Says who has the group now, and who we are, if that is known. Whether it is news: then the provider should be asked.
    pub fn held_by(&mut self, holder: Holder, me: Option<&I>, now: Nanos) -> bool {
        if self.holder == holder {
            return false;
        }
        (self.holder, self.since, self.away, self.doubted) = (holder, now, None, None);
        let runner = match holder {
            Holder::Us { .. } => Runner::Us,
            Holder::Peer(node) => Runner::Peer(node),
            Holder::Moving(node) => {
                self.last = Some(Runner::Peer(node));
                return true;
            }
            Holder::Nobody => return true,
        };
        self.last = Some(runner);
        // Who has the group now has got the address, too. Whose it was before is no measure any more.
        self.agreed.take_if(|(of, _)| of.get_or_insert(runner) != &runner);
        // It was started here, which ends when the address is read back, or is asserted again, whether or not that could be read.
        if let (Runner::Us, Some(me)) = (runner, me) {
            (self.agreed, self.is_hearsay) = (Some((Some(runner), me.clone())), false);
        }
        true
    }

    /// Takes in what the provider said. `is_any_lost`: a node is silent, and may live on.
    pub fn read(&mut self, reading: &Reading<'_, I>, is_any_lost: bool, now: Nanos) -> Finding {
        let is_ours = reading.owner == Some(reading.me);
        if is_ours {
            self.doubted = None;
        }
        match self.holder {
            Holder::Us { since } if !is_ours && now.since(since) >= self.patience.settle => {
                self.misses(reading, is_any_lost, now)
            }
            Holder::Us { .. } if is_ours => {
                self.away = None;
                self.agree(Runner::Us, reading);
                Finding::Fine
            }
            Holder::Peer(node) if !is_ours => {
                self.agree(Runner::Peer(node), reading);
                Finding::Fine
            }
            Holder::Us { .. } | Holder::Peer(_) | Holder::Moving(_) | Holder::Nobody => Finding::Fine,
        }
    }

    /// The peer that has the group, and the instance that it is as far as the provider's words have shown.
    #[must_use]
    pub fn shown(&self) -> Option<(usize, &I)> {
        match (self.holder, &self.agreed) {
            (Holder::Peer(node), Some((Some(Runner::Peer(of)), instance))) if *of == node && !self.is_hearsay => {
                Some((node, instance))
            }
            (Holder::Us { .. } | Holder::Peer(_) | Holder::Moving(_) | Holder::Nobody, _) => None,
        }
    }

    /// From whom the address may be taken while nodes are lost: whose it was last, and those of the lost who had its group,
    /// if that was not before us. `None`: too little is known to spare anybody. `is_taken_back`: who was seen to have it is to
    /// give it back.
    #[must_use]
    pub fn claims<'a>(&'a self, lost: impl Iterator<Item = Lost<'a, I>>, is_taken_back: bool) -> Option<Vec<I>> {
        let taker = self.away.as_ref().and_then(|(_, owner)| owner.clone());
        let mut all: Vec<I> = self
            .agreed()
            .into_iter()
            .cloned()
            .chain(taker.filter(|_| is_taken_back))
            .collect();
        let was_ours = self.last == Some(Runner::Us);
        for lost in lost.filter(|lost| lost.held && !was_ours) {
            all.push(lost.instance?.clone());
        }
        (!all.is_empty()).then_some(all)
    }

    /// Whose it was when provider and cluster last agreed.
    #[must_use]
    pub fn agreed(&self) -> Option<&I> {
        self.agreed.as_ref().map(|(_, instance)| instance)
    }

    /// Whether it was somebody else's, or nobody's, when last read, although its group runs here.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// Somebody else may have it for as long as who runs its group takes to notice: that once is not agreed.
    fn agree(&mut self, runner: Runner, reading: &Reading<'_, I>) {
        let owner = reading.owner.filter(|_| self.is_current(reading));
        let before = self.doubted.take();
        let Some(owner) = owner else { return };
        let is_other = self
            .agreed
            .as_ref()
            .is_some_and(|(of, instance)| *of == Some(runner) && instance != owner);
        if is_other && !self.is_hearsay && before.as_ref() != Some(owner) {
            self.doubted = Some(owner.clone());
        } else {
            (self.agreed, self.is_hearsay) = (Some((Some(runner), owner.clone())), false);
        }
    }

    /// Whether it was asked for after the group came to who has it now.
    fn is_current(&self, reading: &Reading<'_, I>) -> bool {
        reading.asked >= self.since
    }

    fn misses(&mut self, reading: &Reading<'_, I>, is_any_lost: bool, now: Nanos) -> Finding {
        let owner = reading.owner.cloned();
        let since = match &self.away {
            Some((since, before)) if *before == owner => *since,
            Some(_) | None => now,
        };
        let is_new = self.away.is_none();
        self.away = Some((since, owner));
        let is_on_its_way = reading.owner.is_none() && is_any_lost && now.since(since) < self.patience.detach;
        if is_new || is_on_its_way {
            Finding::Suspect
        } else {
            Finding::Moved
        }
    }
}

/// Whose the instance is that has an address. `nodes`: the others, and the instance of each, if it was ever seen.
pub fn taker<'a, I: Eq + 'a>(owner: Option<&I>, nodes: impl Iterator<Item = (usize, Option<&'a I>)>) -> Taker {
    let Some(owner) = owner else {
        return Taker::Nobody;
    };
    let mut are_all_known = true;
    for (node, instance) in nodes {
        match instance {
            Some(instance) if instance == owner => return Taker::Node(node),
            Some(_) => {}
            None => are_all_known = false,
        }
    }
    if are_all_known { Taker::Other } else { Taker::Unknown }
}

#[cfg(test)]
mod tests;
