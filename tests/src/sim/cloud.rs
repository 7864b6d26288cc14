//! A provider of floating IPs, one for each group, and what each daemon makes of it: as hb-user/src/daemon/keeper.rs does.
//!
//! What a daemon knows of an address is the real core's [`Deed`]. Modelled are the provider, whom it answers, how long it
//! takes, the mover in a start, and the keeper's questions.

use hb_ebpf::Nanos;
use hb_user::core::{Cause, Command, Deed, Event, Finding, Lost, Outcome, Outlook, Patience, Reading, Which, taker};

use super::dice::Dice;
use super::host::Count;
use super::ms;
use super::plan::{CloudPlan, GROUPS, NODES};
use super::trace::name;
use super::world::{Happening, Step, World};

/// The instance that is no node's.
pub(super) const STRANGER: usize = NODES;

/// How often an owner is read.
const VERIFY: Nanos = ms(200);
/// How often the witness is asked, while it does not answer.
const AGAIN: Nanos = ms(50);
/// The longest that a call takes, in milliseconds.
const CALL: u64 = 60;
/// For how long the witness is asked until it counts as silent.
pub(super) const WITNESS: Nanos = ms(600);
/// As the daemon's, but for a cluster that lives for seconds.
const PATIENCE: Patience = Patience {
    confirm: ms(40),
    settle: ms(400),
    detach: ms(500),
};

/// What a daemon is told of an address.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    /// Whose it is.
    Owner(Option<usize>),
    /// It could not be read.
    Nothing,
}

/// The provider.
pub(super) struct Cloud {
    plan: CloudPlan,
    /// The instance that has each group's address.
    pub(super) owners: [Option<usize>; GROUPS],
    /// For how many reasons a host does not reach it.
    gone: [Count; NODES],
    /// Since when it does not; when it last did not.
    since: [Nanos; NODES],
    dice: Dice,
}

/// What one life of a daemon knows of it.
pub(super) struct Keeper {
    deeds: Vec<Deed<usize>>,
    instances: [Option<usize>; NODES],
    is_asking: [bool; GROUPS],
    due: [Nanos; GROUPS],
    /// Whether the owner could be read when that was tried last: then it could be moved.
    outlooks: [Outlook; GROUPS],
    /// When the question to the witness that is under way, or planned, begins.
    question: Option<Nanos>,
}

impl Cloud {
    pub(super) fn new(plan: CloudPlan, dice: Dice) -> Self {
        Self {
            plan,
            owners: [None; GROUPS],
            gone: [0; NODES],
            since: [Nanos(0); NODES],
            dice,
        }
    }

    pub(super) fn reaches(&self, host: usize) -> bool {
        self.gone[host] == 0
    }

    /// Since when a host does not reach it, if it does not.
    pub(super) fn gone_since(&self, host: usize) -> Option<Nanos> {
        (!self.reaches(host)).then_some(self.since[host])
    }

    /// These hosts do not reach it any more, or again.
    pub(super) fn cut(&mut self, hosts: u8, is_on: bool, now: Nanos) {
        for host in (0..NODES).filter(|host| hosts & (1 << host) != 0) {
            if is_on {
                self.gone[host] += 1;
                if self.gone[host] == 1 {
                    self.since[host] = now;
                }
            } else {
                self.gone[host] -= 1;
            }
        }
    }
}

impl Keeper {
    /// Without a provider there is nothing to be ready for.
    pub(super) fn new(clock: Nanos, has_provider: bool) -> Self {
        Self {
            deeds: (0..GROUPS).map(|_| Deed::new(PATIENCE, clock)).collect(),
            instances: [None; NODES],
            is_asking: [false; GROUPS],
            due: [Nanos(0); GROUPS],
            outlooks: [if has_provider { Outlook::Unknown } else { Outlook::Ready }; GROUPS],
            question: None,
        }
    }

    /// Whether a group's address could be moved, as far as is known.
    pub(super) fn outlook(&self, id: usize) -> Outlook {
        self.outlooks[id]
    }
}

impl World {
    /// After each event: who has what, and whether the witness is to be asked.
    pub(super) fn keep(&mut self, host: usize) {
        if self.cloud.is_none() {
            return;
        }
        let (now, clock) = (self.now, self.hosts[host].clock(self.now));
        let configs = &self.plan.configs;
        let Some(life) = &mut self.hosts[host].life else { return };
        let (number, node) = (life.number, &life.control.node);
        let mut asks = Vec::new();
        for (index, id) in configs[life.control.config].ids.iter().copied().enumerate() {
            let is_due = life.keeper.deeds[id].held_by(node.holder(index), Some(&host), clock)
                || life.keeper.due[id] == Nanos(0);
            if is_due {
                life.keeper.due[id] = now;
                asks.push(id);
            }
        }
        let due = node.witness_due();
        let question = due.map(|due| now.saturating_add(due.since(clock)));
        let is_planned = life
            .keeper
            .question
            .is_some_and(|begun| question.is_none_or(|begins| begun <= begins));
        let question = question.filter(|_| !is_planned);
        life.keeper.question = question.or(life.keeper.question);
        for id in asks {
            self.schedule(now, Happening::Look { host, life: number, id });
        }
        if let Some(begun) = question {
            let what = Happening::Question {
                host,
                life: number,
                begun,
            };
            self.schedule(begun, what);
        }
    }

    /// The core is told of the first group of which it does not know whether it could be started, and after that of the next.
    pub(super) fn tell_outlooks(&mut self, host: usize) -> Step {
        let Some(life) = &self.hosts[host].life else {
            return Ok(());
        };
        let (keeper, node) = (&life.keeper, &life.control.node);
        let ids = self.plan.configs[life.control.config].ids.iter().enumerate();
        let mut news = ids.filter_map(|(index, id)| {
            let outlook = keeper.outlook(*id);
            (node.group(index)?.outlook != outlook).then_some((index, outlook))
        });
        let Some((group, outlook)) = news.next() else {
            return self.judge.check_asking(self.now, host, node);
        };
        self.feed(host, &Event::Outlook { group, outlook })
    }

    /// The owner of an address is asked for.
    pub(super) fn look(&mut self, host: usize, id: usize) {
        let now = self.now;
        let asked = self.hosts[host].clock(now);
        let (Some(cloud), Some(life)) = (&mut self.cloud, &mut self.hosts[host].life) else {
            return;
        };
        if life.keeper.is_asking[id] || life.keeper.due[id] > now {
            return;
        }
        life.keeper.is_asking[id] = true;
        let what = Happening::Seen {
            host,
            life: life.number,
            id,
            asked,
            reply: if cloud.reaches(host) {
                Reply::Owner(cloud.owners[id])
            } else {
                Reply::Nothing
            },
        };
        let at = now.saturating_add(cloud.dice.span(1, CALL));
        self.schedule(at, what);
    }

    /// It was told, or that could not be read.
    pub(super) fn seen(&mut self, host: usize, id: usize, asked: Nanos, reply: Reply) -> Step {
        let clock = self.hosts[host].clock(self.now);
        let Some(life) = &mut self.hosts[host].life else {
            return Ok(());
        };
        let (number, keeper, node) = (life.number, &mut life.keeper, &life.control.node);
        keeper.is_asking[id] = false;
        keeper.outlooks[id] = match reply {
            Reply::Owner(_) => Outlook::Ready,
            Reply::Nothing => {
                self.judge.could_not_move(host, id);
                Outlook::Unready
            }
        };
        let mut pause = VERIFY;
        let mut event = None;
        if let Reply::Owner(owner) = reply {
            let reading = Reading {
                asked,
                me: &host,
                owner: owner.as_ref(),
            };
            let finding = keeper.deeds[id].read(&reading, node.rivals().next().is_some(), clock);
            if let Some((peer, instance)) = keeper.deeds[id].shown() {
                keeper.instances[peer] = Some(*instance);
            }
            match finding {
                Finding::Fine => {}
                Finding::Suspect => pause = PATIENCE.confirm,
                Finding::Moved => {
                    let others = (0..self.plan.nodes).filter(|node| *node != host);
                    let instances = others.map(|node| (node, keeper.instances[node].as_ref()));
                    let ids = &self.plan.configs[life.control.config].ids;
                    let group = ids.iter().position(|other| *other == id);
                    event = group.map(|group| Event::Moved {
                        group,
                        to: taker(owner.as_ref(), instances),
                    });
                }
            }
        }
        let due = self.now.saturating_add(pause);
        keeper.due[id] = due;
        self.schedule(due, Happening::Look { host, life: number, id });
        self.tell_outlooks(host)?;
        let Some(event) = event else { return Ok(()) };
        self.judge.misses_address(host, id);
        self.last_fault = self.last_fault.max(self.now);
        self.read(host)?;
        self.feed(host, &event)
    }

    /// The witness is asked once, and again until it has answered or the time is over.
    pub(super) fn question(&mut self, host: usize, life: u64, begun: Nanos) {
        let (now, asked) = (self.now, self.hosts[host].clock(self.now));
        let (Some(cloud), Some(running)) = (&mut self.cloud, &mut self.hosts[host].life) else {
            return;
        };
        let keeper = &mut running.keeper;
        if keeper.question != Some(begun) {
            return;
        }
        // What was planned may not be wanted any more.
        if running.control.node.witness_due().is_none_or(|due| due > asked) {
            keeper.question = None;
            return;
        }
        let answers = cloud.reaches(host);
        let is_over = now.since(begun) >= WITNESS;
        let (at, what) = if answers || is_over {
            let at = now.saturating_add(cloud.dice.span(1, if answers { CALL } else { 2 }));
            let what = Happening::Witnessed {
                host,
                life,
                asked,
                answers,
            };
            (at, what)
        } else {
            (now.saturating_add(AGAIN), Happening::Question { host, life, begun })
        };
        self.schedule(at, what);
    }

    pub(super) fn witnessed(&mut self, host: usize, asked: Nanos, answers: bool) -> Step {
        if let Some(life) = &mut self.hosts[host].life {
            life.keeper.question = None;
        }
        let is_asked_at = self.hosts[host].world(asked);
        self.read(host)?;
        self.judge.is_answered(host, is_asked_at, answers);
        self.feed(host, &Event::Witness { asked, answers })
    }

    /// From whom the address of a group may be taken in a start, as a bit for each; `None`: from anybody.
    pub(super) fn claims(&self, host: usize, (index, id): (usize, usize), cause: Cause) -> Option<u8> {
        self.cloud.as_ref().filter(|cloud| cloud.plan.witness)?;
        let life = self.hosts[host].life.as_ref()?;
        let node = &life.control.node;
        if node.rivals().next().is_none() || cause.is_handed_over() {
            return None;
        }
        let lost = node.rivals_for(index).map(|(other, held)| Lost {
            instance: life.keeper.instances[other].as_ref(),
            held,
        });
        let claims = life.keeper.deeds[id].claims(lost, cause == Cause::Moved)?;
        Some(claims.into_iter().fold(0, |mask, instance| mask | 1 << instance))
    }

    /// A start gets to the address: it is asked for.
    pub(super) fn assign(&mut self, host: usize, id: usize, ticket: u64) -> Step {
        let now = self.now;
        let Some(cloud) = &mut self.cloud else { return Ok(()) };
        let job = self.hosts[host].jobs[id].filter(|job| job.ticket == ticket);
        let Some(job) = job else { return Ok(()) };
        let owner = cloud.owners[id];
        if !cloud.reaches(host) && job.is_reasserted {
            // Whose it is is not known, so what runs goes on.
            self.judge.count("addresses unknown");
            return Ok(());
        }
        let is_spared = |owner: usize| owner != host && job.claims.is_some_and(|claims| claims & (1 << owner) == 0);
        if !cloud.reaches(host) || owner.is_some_and(is_spared) {
            let is_contended = cloud.reaches(host);
            self.judge.is_left_without(host, id, is_contended);
            self.fail(host, id);
            return Ok(());
        }
        if owner == Some(host) {
            return Ok(());
        }
        let is_taken_away_first = cloud.plan.detaches && owner.is_some();
        cloud.owners[id] = Some(host).filter(|_| !is_taken_away_first);
        self.judge.takes_address(now, host, (id, owner), &job, &self.hosts)?;
        if is_taken_away_first {
            let at = Nanos(now.0 + job.ends.since(now).0 / 2);
            self.schedule(at, Happening::Attach { host, id, ticket });
        }
        Ok(())
    }

    /// The second step, where an address is taken away first.
    pub(super) fn attach(&mut self, host: usize, id: usize, ticket: u64) {
        let Some(cloud) = &mut self.cloud else { return };
        if self.hosts[host].jobs[id].is_none_or(|job| job.ticket != ticket) {
            return;
        }
        if cloud.reaches(host) && cloud.owners[id].is_none() {
            cloud.owners[id] = Some(host);
        } else if cloud.owners[id] != Some(host) {
            self.fail(host, id);
        }
    }

    /// A start was broken off; what the provider has accepted goes on there, now and then.
    pub(super) fn haunt(&mut self, host: usize, id: usize) {
        let Some(cloud) = self.cloud.as_mut() else { return };
        if cloud.dice.percent(30) && cloud.reaches(host) {
            let at = self.now.saturating_add(cloud.dice.span(1, 300));
            self.schedule(at, Happening::Lands { host, id });
        }
    }

    /// The provider has done what nobody waits for any more, or somebody else has asked for.
    pub(super) fn lands(&mut self, instance: usize, id: usize) {
        let Some(cloud) = &mut self.cloud else { return };
        if cloud.owners[id] == Some(instance) {
            return;
        }
        cloud.owners[id] = Some(instance);
        self.last_fault = self.last_fault.max(self.now);
        self.judge.count("moves that nobody waits for");
        self.judge.trace.say(|| {
            format!(
                "the address of g{id} goes to {}, which does not wait for it",
                name(instance)
            )
        });
    }

    fn fail(&mut self, host: usize, id: usize) {
        if let Some(job) = &mut self.hosts[host].jobs[id]
            && job.outcome == Outcome::Done
        {
            job.outcome = Outcome::Failed;
        }
    }

    /// Rules about the witness, after every happening.
    pub(super) fn watch_witness(&self) -> Step {
        let Some(cloud) = &self.cloud else { return Ok(()) };
        self.hosts
            .iter()
            .try_for_each(|host| self.judge.watch_isolated(self.now, host, cloud))
    }

    /// Whether the node itself should know that it may take an address: it is that of a host that is off, which had the group
    /// by its last word, and it has not been here since.
    fn is_needless(&self, host: usize, (index, id): (usize, usize)) -> bool {
        let owner = self.cloud.as_ref().and_then(|cloud| cloud.owners[id]);
        let (Some(life), Some(owner)) = (&self.hosts[host].life, owner.filter(|owner| *owner < self.hosts.len()))
        else {
            return false;
        };
        let held = life.control.node.peer(owner).group(index).is_held();
        self.hosts[owner].life.is_none() && held && !self.judge.has_run_since_lost(host, owner, id)
    }

    /// What a person orders who sees that a group runs nowhere, and will not by itself: the address is at an instance that may
    /// be a living node's, and is not.
    pub(super) fn order_to_take(&self, host: usize) -> Option<Command> {
        self.cloud.as_ref()?;
        let machine = &self.hosts[host];
        let life = machine.life.as_ref()?;
        let node = &life.control.node;
        for (index, id) in self.plan.configs[life.control.config].ids.iter().copied().enumerate() {
            let view = node.group(index)?;
            if view.held_off.is_some() {
                return Some(Command::Cleanup(index));
            }
            let runs_nowhere = (0..self.plan.nodes).all(|host| !self.judge.runs(host, id));
            let is_left = view.gave_way || self.judge.is_contended(host, id) && !self.is_needless(host, (index, id));
            if runs_nowhere && is_left && node.rivals().next().is_some() && machine.jobs.iter().all(Option::is_none) {
                return Some(Command::Takeover(Which::All));
            }
        }
        None
    }
}
