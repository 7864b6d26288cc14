//! The clock, the network, and what goes wrong.

use std::collections::BTreeMap;

use hb_ebpf::{Heard, Nanos};

use super::host::{Effect, Host};
use super::witness::Witness;
use super::{DISASTERS, GROUPS, LINKS, SCRIPT};
use crate::core::testing::{Dice, ms};
use crate::core::{Action, Event, Failback, GroupSettings, GroupState, Outcome, Settings};

#[derive(Clone, Copy, Debug)]
enum Happening {
    Boot {
        host: usize,
    },
    Wake {
        host: usize,
        ticket: u64,
    },
    Arrival {
        to: usize,
        link: usize,
        beat: Heard,
    },
    /// A script ends, if the host still lives the same life.
    Ended {
        host: usize,
        life: u64,
        group: usize,
        outcome: Outcome,
    },
    Begins(Disaster),
    Ends(Disaster),
}

#[derive(Clone, Copy, Debug)]
enum Disaster {
    /// Beats from these hosts do not pass these links.
    Cut { from: [bool; 2], links: [bool; LINKS] },
    /// The host loses power.
    Crash { host: usize, returns: bool },
    /// The host stops; or only the daemon does, while its kernel listens on.
    Freeze { host: usize, listens: bool },
    /// The daemon is told to stop.
    Leave { host: usize, returns: bool },
}

pub(super) struct World {
    pub(super) witness: Witness,
    now: Nanos,
    dice: Dice,
    hosts: [Host; 2],
    /// What will happen, by time; of the same time in the order in which it was scheduled.
    ahead: BTreeMap<(Nanos, u64), Happening>,
    scheduled: u64,
    /// How many cuts there are, and how many beats were lost in a row; by sender and link.
    cuts: [[u32; LINKS]; 2],
    lost: [[u32; LINKS]; 2],
    /// Whether scripts fail.
    scripts_fail: bool,
    preferred: Vec<usize>,
    failback: Failback,
}

impl World {
    pub(super) fn new(seed: u64, is_traced: bool) -> Self {
        let mut dice = Dice(seed);
        let failback = if dice.percent(50) {
            Failback::Return
        } else {
            Failback::Stay
        };
        let preferred: Vec<usize> = (0..GROUPS).map(|_| dice.index(2)).collect();
        let settings = |me| Settings {
            nodes: 2,
            me,
            groups: preferred.iter().map(|&preferred| GroupSettings { preferred }).collect(),
            failback,
        };
        let mut world = Self {
            witness: Witness::new(preferred.clone(), failback, is_traced),
            now: Nanos(0),
            hosts: [0, 1].map(|me| Host::new(settings(me))),
            ahead: BTreeMap::new(),
            scheduled: 0,
            cuts: [[0; LINKS]; 2],
            lost: [[0; LINKS]; 2],
            scripts_fail: dice.percent(50),
            preferred,
            failback,
            dice,
        };
        world.plan();
        world
    }

    /// Decides what goes wrong and when.
    fn plan(&mut self) {
        for host in [0, 1] {
            let at = if self.dice.percent(70) {
                self.dice.span(0, 50)
            } else {
                self.dice.span(0, 3000)
            };
            self.schedule(at, Happening::Boot { host });
        }
        for _ in 0..self.dice.below(6) {
            let dice = &mut self.dice;
            let host = dice.index(2);
            let returns = dice.percent(85);
            let disaster = match dice.below(6) {
                0 => Disaster::Cut {
                    from: [true; 2],
                    links: [true; LINKS],
                },
                1 => Disaster::Cut {
                    from: [host == 0, host == 1],
                    links: [true; LINKS],
                },
                2 => Disaster::Cut {
                    from: [true; 2],
                    links: [host == 0, host == 1],
                },
                3 => Disaster::Crash { host, returns },
                4 => Disaster::Freeze {
                    host,
                    listens: dice.percent(50),
                },
                _ => Disaster::Leave { host, returns },
            };
            let begin = dice.span(0, DISASTERS - 50);
            let long = if dice.percent(50) { 700 } else { 3000 };
            let end = begin.saturating_add(dice.span(1, long)).min(ms(DISASTERS));
            self.schedule(begin, Happening::Begins(disaster));
            self.schedule(end, Happening::Ends(disaster));
        }
    }

    fn schedule(&mut self, at: Nanos, happening: Happening) {
        self.scheduled += 1;
        self.ahead.insert((at, self.scheduled), happening);
    }

    pub(super) fn run(&mut self, until: Nanos) -> Result<(), String> {
        while let Some(next) = self.ahead.first_entry().filter(|next| next.key().0 <= until) {
            let ((at, _), happening) = next.remove_entry();
            self.now = at;
            self.happen(happening)?;
            let is_cut = |from: usize| self.cuts[from].iter().all(|cuts| *cuts > 0);
            let is_troubled = is_cut(0) || is_cut(1) || self.hosts.iter().any(Host::is_frozen);
            self.witness.look(self.now, is_troubled, &self.hosts)?;
        }
        self.now = until;
        Ok(())
    }

    pub(super) fn trace_of(mut self, until: Nanos) -> Vec<String> {
        let outcome = self.run(until);
        self.witness.trace.push(format!("{outcome:?}"));
        self.witness.trace
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        let now = self.now;
        match happening {
            Happening::Boot { host } => {
                self.witness.say(now, || format!("{} boots", name(host)));
                let effects = self.hosts[host].boot(now);
                self.perform(host, effects)
            }
            Happening::Wake { host, ticket } => {
                let effects = self.hosts[host].wake(ticket, now);
                self.perform(host, effects)
            }
            Happening::Arrival { to, link, beat } => {
                let effects = self.hosts[to].hear(link, beat, now);
                self.perform(to, effects)
            }
            Happening::Ended {
                host,
                life,
                group,
                outcome,
            } => self.end(host, life, group, outcome),
            Happening::Begins(disaster) => {
                self.witness.say(now, || format!("begins: {disaster:?}"));
                self.begin(disaster)
            }
            Happening::Ends(disaster) => {
                self.witness.say(now, || format!("ends: {disaster:?}"));
                self.cease(disaster)
            }
        }
    }

    fn end(&mut self, host: usize, life: u64, group: usize, outcome: Outcome) -> Result<(), String> {
        if self.hosts[host].life() != Some(life) {
            return Ok(());
        }
        if self.hosts[host].is_frozen() {
            let later = self.now.saturating_add(ms(10));
            self.schedule(
                later,
                Happening::Ended {
                    host,
                    life,
                    group,
                    outcome,
                },
            );
            return Ok(());
        }
        self.witness.ended(self.now, host, group, outcome);
        let effects = self.hosts[host].tell(Event::Finished { group, outcome }, self.now);
        self.perform(host, effects)
    }

    fn begin(&mut self, disaster: Disaster) -> Result<(), String> {
        match disaster {
            Disaster::Cut { from, links } => self.cut(from, links, |cuts| *cuts += 1),
            Disaster::Crash { host, .. } => {
                self.hosts[host].crash();
                self.witness.is_off(self.now, host);
            }
            Disaster::Freeze { host, listens } => self.hosts[host].freeze(listens),
            Disaster::Leave { host, .. } => {
                self.witness.is_told_to_leave(host);
                let effects = self.hosts[host].tell(Event::Leave, self.now);
                return self.perform(host, effects);
            }
        }
        Ok(())
    }

    fn cease(&mut self, disaster: Disaster) -> Result<(), String> {
        match disaster {
            Disaster::Cut { from, links } => self.cut(from, links, |cuts| *cuts -= 1),
            Disaster::Crash { host, returns } | Disaster::Leave { host, returns } => {
                if returns {
                    self.schedule(self.now, Happening::Boot { host });
                }
            }
            Disaster::Freeze { host, .. } => {
                let effects = self.hosts[host].thaw(self.now);
                return self.perform(host, effects);
            }
        }
        Ok(())
    }

    fn cut(&mut self, from: [bool; 2], links: [bool; LINKS], change: impl Fn(&mut u32)) {
        for (cuts, _) in self.cuts.iter_mut().zip(from).filter(|(_, is_cut)| *is_cut) {
            cuts.iter_mut()
                .zip(links)
                .filter(|(_, is_cut)| *is_cut)
                .for_each(|(cuts, _)| change(cuts));
        }
    }

    fn perform(&mut self, host: usize, effects: Vec<Effect>) -> Result<(), String> {
        for effect in effects {
            match effect {
                Effect::Sleep { until, ticket } => self.schedule(until, Happening::Wake { host, ticket }),
                Effect::Send(beat) => (0..LINKS).for_each(|link| self.transmit(host, link, beat)),
                Effect::Saw(what) => self.witness.saw(self.now, host, what),
                Effect::Gone => self.witness.is_off(self.now, host),
                Effect::Do(action) => self.act(host, action)?,
            }
        }
        Ok(())
    }

    /// A work begins, and its end is known at once.
    fn act(&mut self, host: usize, action: Action) -> Result<(), String> {
        self.witness.acts(self.now, host, action, &self.hosts)?;
        let (group, outcomes) = match action {
            Action::Acquire { group, .. } => (
                group,
                [Outcome::Failed, Outcome::Failed, Outcome::Failed, Outcome::Stuck],
            ),
            Action::Release { group, .. } => (group, [Outcome::Stuck; 4]),
            Action::Advertise(_) | Action::Left => return Ok(()),
        };
        let fails = self.scripts_fail && self.dice.percent(4);
        let outcome = if fails {
            outcomes[self.dice.index(4)]
        } else {
            Outcome::Done
        };
        let longest = if self.dice.percent(80) { 50 } else { SCRIPT };
        let at = self.now.saturating_add(self.dice.span(1, longest));
        if let Some(life) = self.hosts[host].life() {
            self.schedule(
                at,
                Happening::Ended {
                    host,
                    life,
                    group,
                    outcome,
                },
            );
        }
        Ok(())
    }

    /// Loses, delays and doubles. A whole link never loses more than two beats in a row, and delays by less than two
    /// intervals, so that its peer is never silent for the deadtime.
    fn transmit(&mut self, from: usize, link: usize, beat: Heard) {
        if self.cuts[from][link] > 0 {
            return;
        }
        let lost = &mut self.lost[from][link];
        if *lost < 2 && self.dice.percent(10) {
            *lost += 1;
            return;
        }
        *lost = 0;
        let copies = if self.dice.percent(3) { 2 } else { 1 };
        for _ in 0..copies {
            let slowest = if self.dice.percent(95) { 20 } else { 180 };
            let at = self.now.saturating_add(self.dice.span(0, slowest));
            self.schedule(
                at,
                Happening::Arrival {
                    to: 1 - from,
                    link,
                    beat,
                },
            );
        }
    }

    /// All faults are over and had their time: each group that a living node can run runs on one, the right one.
    pub(super) fn check_settled(&mut self) -> Result<(), String> {
        self.witness.is_settled = true;
        for group in 0..self.preferred.len() {
            let living = || (0..2).filter(|host| self.hosts[*host].life().is_some());
            let state = |host: usize| self.hosts[host].state(group);
            if living().any(|host| state(host) == GroupState::Stuck) {
                continue;
            }
            let owners: Vec<usize> = living().filter(|host| state(*host).is_owned()).collect();
            let running = living().filter(|host| matches!(state(*host), GroupState::Running | GroupState::Claimed));
            let able: Vec<usize> = living().filter(|host| state(*host) != GroupState::Failed).collect();
            let preferred = self.preferred[group];
            let is_right = match self.failback {
                Failback::Return if able.contains(&preferred) => owners == [preferred],
                Failback::Return | Failback::Stay => owners.len() == able.len().min(1),
            };
            if !is_right || running.count() != owners.len() {
                return Err(format!(
                    "group {group} of {} is owned by {owners:?}, and {able:?} can",
                    name(preferred)
                ));
            }
        }
        Ok(())
    }
}

pub(super) fn name(host: usize) -> &'static str {
    ["A", "B"][host]
}
