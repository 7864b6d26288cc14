//! Sees what really runs where, and knows what must not be.

use hb_ebpf::Nanos;

use super::host::{Host, Sight};
use super::world::name;
use super::{CALM, GROUPS, Tally};
use crate::core::{Action, Cause, Failback, GroupState, Outcome};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Work {
    Start,
    Stop,
}

/// A group on a host, from outside.
#[derive(Clone, Copy, Debug, Default)]
struct Fact {
    /// From the first `start` to the end of the last `stop`.
    is_running: bool,
    work: Option<Work>,
    is_stuck: bool,
    /// It could not be started here once.
    has_failed: bool,
    last_ran: Option<Nanos>,
}

pub(super) struct Witness {
    pub(super) tally: Tally,
    pub(super) trace: Vec<String>,
    /// From now on nothing may move.
    pub(super) is_settled: bool,
    is_traced: bool,
    preferred: Vec<usize>,
    failback: Failback,
    facts: [[Fact; GROUPS]; 2],
    was_told_to_leave: [bool; 2],
    /// When the host was last off, and when the network was last cut or a host frozen.
    last_off: [Option<Nanos>; 2],
    last_trouble: Option<Nanos>,
    had_two: [bool; GROUPS],
}

impl Witness {
    pub(super) fn new(preferred: Vec<usize>, failback: Failback, is_traced: bool) -> Self {
        Self {
            tally: Tally::new(),
            trace: Vec::new(),
            is_settled: false,
            is_traced,
            preferred,
            failback,
            facts: Default::default(),
            was_told_to_leave: [false; 2],
            last_off: [None; 2],
            last_trouble: None,
            had_two: [false; GROUPS],
        }
    }

    pub(super) fn say(&mut self, now: Nanos, what: impl FnOnce() -> String) {
        if self.is_traced {
            let micros = now.as_micros();
            self.trace
                .push(format!("{:>6}.{:03} ms  {}", micros / 1000, micros % 1000, what()));
        }
    }

    fn count(&mut self, name: &'static str) {
        *self.tally.entry(name).or_default() += 1;
    }

    pub(super) fn saw(&mut self, now: Nanos, host: usize, what: Sight) {
        self.count(match what {
            Sight::Up { .. } => "up",
            Sight::Dead => "dead",
            Sight::Graced => "graced",
        });
        self.say(now, || format!("{} sees {what:?}", name(host)));
    }

    pub(super) fn is_told_to_leave(&mut self, host: usize) {
        self.was_told_to_leave[host] = true;
    }

    /// A host without power runs nothing. A daemon that has left may have left a group behind that it could not stop:
    /// we take it that somebody cleans up.
    pub(super) fn is_off(&mut self, now: Nanos, host: usize) {
        self.say(now, || format!("{} is off", name(host)));
        for fact in &mut self.facts[host] {
            *fact = Fact {
                has_failed: fact.has_failed,
                last_ran: fact.last_ran,
                ..Fact::default()
            };
        }
    }

    pub(super) fn ended(&mut self, now: Nanos, host: usize, group: usize, outcome: Outcome) {
        self.say(now, || format!("{} is done with {group}: {outcome:?}", name(host)));
        let fact = &mut self.facts[host][group];
        let work = fact.work.take();
        match outcome {
            Outcome::Done => fact.is_running = work == Some(Work::Start),
            Outcome::Failed => {
                fact.is_running = false;
                fact.has_failed = true;
            }
            Outcome::Stuck => fact.is_stuck = true,
        }
    }

    /// Checks an action before it is done.
    pub(super) fn acts(&mut self, now: Nanos, host: usize, action: Action, hosts: &[Host; 2]) -> Result<(), String> {
        self.say(now, || format!("{} {}", name(host), words(action)));
        let (group, cause, work, should_run) = match action {
            Action::Advertise(_) | Action::Left => return Ok(()),
            Action::Acquire { group, cause, reassert } => (group, cause, Work::Start, reassert),
            Action::Release { group, cause } => (group, cause, Work::Stop, true),
        };
        let fact = self.facts[host][group];
        if fact.is_running != should_run || fact.work.is_some() || fact.is_stuck {
            return Err(format!("{} was asked for {action:?} with {fact:?}", name(host)));
        }
        if self.is_settled || !self.is_true(now, group, cause, hosts) {
            return Err(format!("there is no cause for {action:?} of {}", name(host)));
        }
        self.count(cause.name());
        if should_run && work == Work::Start {
            self.count("again");
        }
        let fact = &mut self.facts[host][group];
        fact.work = Some(work);
        fact.is_running = true;
        Ok(())
    }

    /// Whether the world gives a node the reason that it names.
    fn is_true(&self, now: Nanos, group: usize, cause: Cause, hosts: &[Host; 2]) -> bool {
        let is_recent = |at: Option<Nanos>| at.is_some_and(|at| now.since(at) < CALM);
        let is_troubled = is_recent(self.last_trouble);
        let was_off = |host: usize| hosts[host].life().is_none() || is_recent(self.last_off[host]);
        match cause {
            Cause::Start => is_troubled || self.facts.iter().all(|facts| !facts[group].is_running),
            Cause::PeerDied(peer) => is_troubled || was_off(peer),
            Cause::PeerLeft(peer) => self.was_told_to_leave[peer],
            Cause::PeerFailed(peer) => self.facts[peer][group].has_failed,
            Cause::FailBack(peer) => self.failback == Failback::Return && self.preferred[group] == peer,
            Cause::Conflict(peer) => is_troubled && is_recent(self.facts[peer][group].last_ran),
            Cause::Leave => self.was_told_to_leave.contains(&true),
        }
    }

    /// Looks at what runs, after every happening.
    pub(super) fn look(&mut self, now: Nanos, is_troubled: bool, hosts: &[Host; 2]) -> Result<(), String> {
        if is_troubled {
            self.last_trouble = Some(now);
        }
        for (last_off, host) in self.last_off.iter_mut().zip(hosts) {
            if host.life().is_none() {
                *last_off = Some(now);
            }
        }
        let may_be_two = self.last_trouble.is_some_and(|last| now.since(last) < CALM);
        for group in 0..GROUPS {
            for facts in &mut self.facts {
                if facts[group].is_running {
                    facts[group].last_ran = Some(now);
                }
            }
            let both = self.facts.iter().all(|facts| facts[group].is_running);
            let hopeless = self.facts.iter().all(|facts| facts[group].is_stuck);
            if both && !self.had_two[group] {
                self.count("two owners");
                self.say(now, || format!("two run {group}"));
            }
            self.had_two[group] = both;
            if both && !may_be_two && !hopeless {
                let states: [GroupState; 2] = [0, 1].map(|host| hosts[host].state(group));
                return Err(format!("two run {group}, {states:?}"));
            }
        }
        Ok(())
    }
}

/// An action, to be read.
fn words(action: Action) -> String {
    match action {
        Action::Advertise(advert) => {
            let states = (0..GROUPS).map(|group| GroupState::from_bits(advert.groups.get(group)).name());
            let states: Vec<_> = states.collect();
            format!("says {:?}: {}", advert.status, states.join(", "))
        }
        Action::Acquire { group, cause, reassert } => {
            let again = if reassert { " again" } else { "" };
            format!("starts {group}{again}: {cause:?}")
        }
        Action::Release { group, cause } => format!("stops {group}: {cause:?}"),
        Action::Left => "leaves".into(),
    }
}
