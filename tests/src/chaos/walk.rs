//! What a seed does to a cluster.

use std::{os::unix::process::ExitStatusExt as _, time::Duration};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::{
    GROUPS, Kind, SETTLED,
    faults::{Faults, What},
};
use crate::{
    clock::{Moment, pause, poll},
    nodes::{
        Nodes,
        lan::{Station, name},
    },
    random::Random,
    stamp,
};

/// Between two deeds, in milliseconds: shorter and longer than the deadtime.
const PAUSES: [u64; 5] = [20, 100, 300, 700, 1500];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Up,
    Frozen,
    Off,
}

/// The walk of a seed through disasters.
pub(super) struct Walk<'a> {
    random: Random,
    nodes: &'a mut Nodes,
    faults: &'a mut Faults,
    states: Vec<State>,
    /// Each daemon's incarnation, once it was seen.
    lives: Vec<Option<String>>,
    is_cut: bool,
    kind: Kind,
}

impl<'a> Walk<'a> {
    pub(super) fn new(kind: Kind, seed: u64, nodes: &'a mut Nodes, faults: &'a mut Faults) -> Result<Self> {
        let count = nodes.count();
        let mut walk = Self {
            random: Random::new(seed),
            nodes,
            faults,
            states: vec![State::Up; count],
            lives: vec![None; count],
            is_cut: false,
            kind,
        };
        walk.look()?;
        Ok(walk)
    }

    /// Goes on until then.
    pub(super) fn wander(&mut self, until: Moment) -> Result<()> {
        while Moment::now() < until {
            self.step()?;
            self.look()?;
            let longest = PAUSES[self.random.below(PAUSES.len())];
            pause(Duration::from_millis(longest));
        }
        Ok(())
    }

    /// Ends every fault, and gives the time from which on there was none.
    pub(super) fn end_all_faults(&mut self) -> Result<Moment> {
        self.heal()?;
        for node in 0..self.states.len() {
            match self.states[node] {
                State::Up => {}
                State::Frozen => self.thaw(node)?,
                State::Off => self.start(node)?,
            }
        }
        let quiet = Moment::now();
        let all = 0..self.states.len();
        let is_cleared = poll(SETTLED, || {
            self.look()?;
            let is_open = all.clone().any(|node| self.faults.lasts(What::Killed(node)));
            Ok((!is_open).then_some(()))
        })?;
        ensure!(is_cleared.is_some(), "who was killed has not settled");
        Ok(quiet)
    }

    /// Each daemon's incarnation, as far as it was seen.
    pub(super) fn lives(self) -> Vec<Option<String>> {
        self.lives
    }

    fn step(&mut self) -> Result<()> {
        if self.random.below(3) == 0 {
            return if self.is_cut { self.heal() } else { self.cut() };
        }
        let node = self.random.below(self.states.len());
        let die = self.random.below(12);
        match (self.states[node], die) {
            (State::Frozen, 0..8) => self.thaw(node),
            (State::Off, 0..8) => self.start(node),
            (State::Up, 0..2) | (State::Frozen, 8..10) => self.power_off(node),
            (State::Up, 2..5) => self.freeze(node),
            (State::Up, 5..7) => self.stop(node),
            (State::Up, 7..8) => self.restart(node),
            (State::Up, 8..10) => self.order(node, "standby", &["all", "local", "foreign", "failback"]),
            (State::Up, _) => self.order(node, "takeover", &["all", "local", "foreign"]),
            (State::Frozen | State::Off, _) => Ok(()),
        }
    }

    fn cut(&mut self) -> Result<()> {
        let mut sides = [Vec::new(), Vec::new(), Vec::new()];
        for station in self.nodes.lan.stations() {
            if self.kind == Kind::Pings || station != Station::Gateway {
                sides[self.random.below(3)].push(station);
            }
        }
        let [left, right, _] = sides;
        if left.is_empty() || right.is_empty() {
            return Ok(());
        }
        let both = self.random.below(2) == 0;
        let way = if both { "<-/->" } else { "-/->" };
        self.faults.note(format!("cut {left:?} {way} {right:?}"));
        if self.faults.is_undecidable(&left, &right) {
            self.faults.begin(What::Apart);
        }
        self.is_cut = true;
        if both {
            self.nodes.lan.cut(&left, &right)
        } else {
            self.nodes.lan.cut_one_way(&left, &right)
        }
    }

    fn heal(&mut self) -> Result<()> {
        self.faults.note("heal");
        self.nodes.lan.heal()?;
        self.is_cut = false;
        self.faults.over(What::Apart);
        Ok(())
    }

    fn power_off(&mut self, node: usize) -> Result<()> {
        self.faults.note(format!("power off {}", name(node)));
        self.nodes.power_off(node)?;
        self.faults.over(What::Frozen(node));
        self.faults.over(What::Killed(node));
        self.gone(node);
        Ok(())
    }

    fn freeze(&mut self, node: usize) -> Result<()> {
        self.faults.note(format!("freeze {}", name(node)));
        self.faults.begin(What::Frozen(node));
        self.states[node] = State::Frozen;
        self.nodes.freeze(node)
    }

    fn thaw(&mut self, node: usize) -> Result<()> {
        self.faults.note(format!("thaw {}", name(node)));
        self.nodes.thaw(node)?;
        self.faults.over(What::Frozen(node));
        self.states[node] = State::Up;
        Ok(())
    }

    fn stop(&mut self, node: usize) -> Result<()> {
        self.faults.note(format!("stop {}", name(node)));
        self.nodes.term(node)?;
        let status = self.nodes.wait_exit(node)?;
        // Before it minds signals it has done nothing yet.
        let is_early = self.lives[node].is_none() && status.signal() == Some(Signal::SIGTERM as i32);
        ensure!(status.success() || is_early, "hb on {} ended with {status}", name(node));
        self.gone(node);
        self.faults.note(format!("{} is stopped", name(node)));
        Ok(())
    }

    fn start(&mut self, node: usize) -> Result<()> {
        self.faults.note(format!("start {}", name(node)));
        self.states[node] = State::Up;
        self.nodes.start(node)
    }

    /// Kills the daemon alone, and starts it at once, as a supervisor does.
    fn restart(&mut self, node: usize) -> Result<()> {
        self.faults
            .note(format!("kill the daemon of {} and start it", name(node)));
        self.faults.begin(What::Killed(node));
        self.nodes.kill9(node)?;
        self.gone(node);
        self.states[node] = State::Up;
        self.nodes.start(node)
    }

    fn gone(&mut self, node: usize) {
        self.states[node] = State::Off;
        self.lives[node] = None;
    }

    fn order(&mut self, node: usize, order: &str, which: &[&str]) -> Result<()> {
        let which = which[self.random.below(which.len())];
        let ran = self.nodes.run(node, &[order, which, "--no-wait"])?;
        self.faults.note(format!(
            "{order} {which} on {}: {:?} {}",
            name(node),
            ran.code,
            ran.out.trim()
        ));
        // Done, refused, or not yet running.
        ensure!(matches!(ran.code, Some(0 | 1 | 3)), "{order}: {ran:?}");
        self.faults.order();
        Ok(())
    }

    /// Looks after every daemon that should run.
    fn look(&mut self) -> Result<()> {
        for node in 0..self.states.len() {
            if self.states[node] != State::Up {
                continue;
            }
            if let Some(ended) = self.nodes.daemon(node)?.exit_status()? {
                anyhow::bail!("hb on {} ended with {ended}", name(node));
            }
            // It may not answer yet.
            let Ok(status) = self.nodes.status(node) else { continue };
            let now = status.text("/incarnation")?;
            match &self.lives[node] {
                None => self.lives[node] = Some(now.to_owned()),
                Some(before) => ensure!(before == now, "{} is {now}, and was {before}", name(node)),
            }
            if self.faults.lasts(What::Killed(node)) && status.text("/status")? == "up" {
                self.clear(node, &status)?;
            }
        }
        Ok(())
    }

    /// A daemon that was killed left what it had. Unless the next one found it in time, and nobody else did, an operator
    /// has to clear that up: hb does not know of it.
    fn clear(&mut self, node: usize, status: &crate::status::Status) -> Result<()> {
        for group in GROUPS {
            if !stamp::runs_on(self.nodes.host(node), group)? {
                continue;
            }
            let view = status.groups.iter().find(|view| view.name.ends_with(group));
            let Some(view) = view else { return Ok(()) };
            let holds = matches!(view.state.as_str(), "acquiring" | "running" | "claimed" | "releasing");
            match &view.owner {
                _ if holds => {}
                Some(owner) if *owner != name(node) => {
                    self.faults
                        .note(format!("an operator stops the rest of {group} on {}", name(node)));
                    stamp::stop(self.nodes.host(node), group)?;
                }
                Some(_) | None => return Ok(()),
            }
        }
        self.faults.over(What::Killed(node));
        Ok(())
    }
}
