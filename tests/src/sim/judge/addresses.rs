//! What the provider is good for: who may take an address, and who must let go.

use hb_ebpf::Nanos;
use hb_user::core::{Contact, GroupState, Holder, Node, Outlook, Waiting};

use super::{Judge, Rule, Violation};
use crate::sim::cloud::Cloud;
use crate::sim::host::{Host, Pairs};
use crate::sim::plan::{GROUPS, NODES};
use crate::sim::scripts::{Job, Task};
use crate::sim::trace::name;
use crate::sim::{REACTION, WITNESSED};

/// What happened to addresses, and who was answered.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// When a node last lost another, in this life.
    lost: Pairs<Nanos>,
    /// When a node last asked what the provider answered; and whether it answered the last time.
    pub(super) answered: [Nanos; NODES],
    is_unanswered: [bool; NODES],
    /// Whose daemon was told that an address has moved away, ever.
    missed: [[bool; GROUPS]; NODES],
    /// A start was refused the address, since somebody has it for a reason.
    contended: [[bool; GROUPS]; NODES],
    /// Who took an address last, and when.
    taken: [Option<(usize, Nanos)>; GROUPS],
    /// How often a node took an address back in a silence of the other.
    fights: [[u32; GROUPS]; NODES],
}

impl Addresses {
    pub(super) fn lost(&mut self, now: Nanos, host: usize, other: usize) {
        self.lost[host][other] = now;
        self.fights[host] = [0; GROUPS];
    }

    /// When a node last lost another in this life; 0: never.
    pub(super) fn last_lost(&self, host: usize, other: usize) -> Nanos {
        self.lost[host][other]
    }

    pub(super) fn forget(&mut self, host: usize) {
        self.lost[host] = Default::default();
        (self.answered[host], self.is_unanswered[host]) = (Nanos(0), false);
        self.missed[host] = Default::default();
        self.contended[host] = Default::default();
    }

    pub(super) fn is_missed(&self, host: usize, id: usize) -> bool {
        self.missed[host][id]
    }

    pub(super) fn is_unanswered(&self, host: usize) -> bool {
        self.is_unanswered[host]
    }
}

impl Judge {
    pub(in crate::sim) fn misses_address(&mut self, host: usize, id: usize) {
        self.count("addresses missed");
        self.trace
            .say(|| format!("{} is told that the address of g{id} is not its own", name(host)));
        self.addresses.missed[host][id] = true;
    }

    pub(in crate::sim) fn is_answered(&mut self, host: usize, asked: Nanos, answers: bool) {
        self.count(if answers {
            "answers of the witness"
        } else {
            "silences of the witness"
        });
        self.trace
            .say(|| format!("{}: the witness answers: {answers}", name(host)));
        self.addresses.is_unanswered[host] = !answers;
        if answers {
            self.addresses.answered[host] = asked;
        }
    }

    pub(in crate::sim) fn is_left_without(&mut self, host: usize, id: usize, is_contended: bool) {
        self.count(if is_contended {
            "addresses contended"
        } else {
            "addresses out of reach"
        });
        self.trace.say(|| {
            format!(
                "{} does not get the address of g{id} (contended: {is_contended})",
                name(host)
            )
        });
        self.addresses.contended[host][id] = is_contended;
    }

    /// Whether a start was refused the address, and only a person can say better.
    pub(in crate::sim) fn is_contended(&self, host: usize, id: usize) -> bool {
        self.addresses.contended[host][id]
    }

    /// Whether a group ran on a host after it lost another.
    pub(in crate::sim) fn has_run_since_lost(&self, host: usize, other: usize, id: usize) -> bool {
        self.facts[host][id].last_ran > self.addresses.lost[host][other]
    }

    /// An address goes to a host that starts its group.
    pub(in crate::sim) fn takes_address(
        &mut self,
        now: Nanos,
        host: usize,
        (id, from): (usize, Option<usize>),
        job: &Job,
        hosts: &[Host],
    ) -> Result<(), Violation> {
        self.trace
            .say(|| format!("{} gets the address of g{id}, from {:?}", name(host), from.map(name)));
        self.addresses.contended[host][id] = false;
        let before = self.addresses.taken[id].replace((host, now));
        let (Some(from), Some((taker, at))) = (from, before) else {
            return Ok(());
        };
        let lost = self.addresses.lost[host].get(from).copied().unwrap_or_default();
        let Some(life) = &hosts[host].life else { return Ok(()) };
        let is_from_silence = taker == from && lost > Nanos(0) && at > lost && at > life.began;
        let is_dead_for_it = life.control.node.peer(from).contact == Contact::Dead;
        let is_alive = hosts.get(from).is_some_and(|host| host.life.is_some()) && self.runs(from, id);
        // Who knows nothing of an address spares nobody.
        let is_ordered = job.is_handed_over || job.claims.is_none();
        if !is_from_silence || !is_dead_for_it || !is_alive || is_ordered {
            return Ok(());
        }
        let fights = &mut self.addresses.fights[host][id];
        *fights += 1;
        // Once, an instance may be taken for another's.
        if *fights > 1 {
            let what = format!(
                "{} takes the address of g{id} back from {}, which took it while it was not heard",
                name(host),
                name(from)
            );
            return Self::broken(Rule::Fight, now, what);
        }
        Ok(())
    }

    /// A daemon could not read the owner of an address: its node declines the group until it can.
    pub(in crate::sim) fn could_not_move(&mut self, host: usize, id: usize) {
        self.facts[host][id].was_declined = true;
    }

    /// The core of a host was told what is known of its outlooks.
    pub(in crate::sim) fn check_asking(&mut self, now: Nanos, host: usize, node: &Node) -> Result<(), Violation> {
        let groups = (0..GROUPS).filter_map(|index| Some((index, node.group(index)?)));
        for (index, view) in groups.filter(|(_, view)| view.outlook != Outlook::Ready) {
            if view.waiting == Some(Waiting::Readiness) {
                self.count("failbacks put off");
            }
            let is_had = node.holder(index) != Holder::Nobody;
            if view.state == GroupState::Asking && is_had && !self.was_told[host].takeover {
                let what = format!("{} asks for its group {index}, and could not start it", name(host));
                return Self::broken(Rule::Unready, now, what);
            }
        }
        Ok(())
    }

    /// Until when the witness's last answer to a host counts.
    pub(super) fn answer_ends(&self, host: usize) -> Nanos {
        self.addresses.answered[host].saturating_add(self.witness_lease)
    }

    /// Nobody takes over from a silent node before the provider has answered.
    pub(super) fn check_witness(&self, now: Nanos, host: usize, id: usize, hosts: &[Host]) -> Result<(), Violation> {
        let Some(life) = hosts[host].life.as_ref().filter(|_| self.needs_provider) else {
            return Ok(());
        };
        for other in life.control.node.rivals() {
            let lost = self.addresses.lost[host][other];
            if self.addresses.answered[host] < lost {
                let what = format!(
                    "{} starts g{id}, does not hear {}, and has asked nobody",
                    name(host),
                    name(other)
                );
                return Self::broken(Rule::Unwitnessed, now, what);
            }
            if now > self.answer_ends(host).saturating_add(REACTION) {
                let what = format!("{} starts g{id}, and was answered too long ago", name(host));
                return Self::broken(Rule::Unwitnessed, now, what);
            }
        }
        Ok(())
    }

    /// Who has lost its peer and the provider stops.
    pub(in crate::sim) fn watch_isolated(&self, now: Nanos, host: &Host, cloud: &Cloud) -> Result<(), Violation> {
        let (Some(life), Some(gone)) = (&host.life, cloud.gone_since(host.index)) else {
            return Ok(());
        };
        let (index, node) = (host.index, &life.control.node);
        let lost = node.rivals().map(|other| self.addresses.lost[index][other]).max();
        let Some(lost) = lost.filter(|_| self.needs_provider && !host.is_frozen() && !node.in_maintenance()) else {
            return Ok(());
        };
        // It may have been answered in this silence; then it goes on, for as long as that counts.
        let answered = Some(self.answer_ends(index)).filter(|_| self.addresses.answered[index] >= lost);
        let causes = [lost, gone, self.thawed[index], self.last_maintenance];
        let since = causes.into_iter().chain(answered).max().unwrap_or(lost);
        for id in 0..GROUPS {
            let fact = self.facts[index][id];
            let is_stopping = host.jobs[id].is_some_and(|job| job.task == Task::Stop);
            let is_excused = !fact.runs || fact.is_stuck || fact.is_orphan || fact.is_unheard_of || is_stopping;
            if !is_excused && now > since.max(fact.since).saturating_add(WITNESSED) {
                let what = format!("{} has lost its peer and the provider, and runs g{id}", name(index));
                return Self::broken(Rule::Unwitnessed, now, what);
            }
        }
        Ok(())
    }
}
