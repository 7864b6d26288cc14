//! A time in which nobody dies, and what became of it.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::gaps::Gaps;
use crate::{
    bench::{
        arena::{Arena, NODES},
        processes::{self, Process},
        trigger::Shot,
    },
    clock::Moment,
};

/// Who beat within so many intervals before a window is expected to go on: the standby of some contenders is silent.
const BEATING: u32 = 20;

/// What was found in a window.
#[derive(Debug)]
pub struct Window {
    /// How long it was open.
    pub length: Duration,
    /// How often a living peer was declared dead.
    pub false_deaths: u64,
    /// The beats of each node that was expected to beat.
    pub gaps: Vec<Gaps>,
    /// What each node's daemon used.
    pub usages: Vec<Usage>,
    /// How many daemons are gone.
    pub ended: u64,
}

/// What a daemon used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Of a core.
    pub percent: f64,
    /// Of memory.
    pub megabytes: f64,
}

/// A daemon was frozen.
#[derive(Clone, Copy, Debug)]
pub struct Freeze {
    /// Which node's.
    pub node: usize,
    /// Whether for longer than the deadtime: then its peer is right to declare it dead.
    pub deadly: bool,
    /// How often each node had declared its peer dead before.
    deaths: [u64; NODES],
}

/// A window that is open.
#[derive(Debug)]
pub struct Open {
    from: Moment,
    deaths: [u64; NODES],
    processes: Vec<Vec<Process>>,
    beating: Vec<usize>,
}

impl Open {
    /// From now on.
    pub fn new(arena: &Arena) -> Result<Self> {
        let processes = (0..NODES).map(|node| arena.processes(node)).collect::<Result<_>>()?;
        let from = Moment::now();
        let recent = from.earlier(arena.contender().timers().interval * BEATING);
        let mut beating = Vec::new();
        for node in 0..NODES {
            if arena.last_beat(node)?.is_some_and(|beat| beat.at >= recent) {
                beating.push(node);
            }
        }
        Ok(Self {
            from,
            deaths: deaths(arena, from)?,
            processes,
            beating,
        })
    }

    /// Until now.
    pub fn close(&self, arena: &Arena, freezes: &[Freeze]) -> Result<Window> {
        let to = Moment::now();
        let length = to - self.from;
        let after = deaths(arena, self.from)?;
        let timers = arena.contender().timers();
        let seen = arena.observer().since(self.from)?;
        let gaps = self.beating.iter().map(|node| {
            let own = seen
                .iter()
                .filter(|seen| seen.sender == *node && arena.contender().is_beat(&seen.packet));
            let beats: Vec<_> = own.map(|seen| seen.at).collect();
            Gaps::of(&beats, self.from, to, timers.deadtime / 2)
        });
        let gaps = gaps.collect();
        let (mut usages, mut ended) = (Vec::new(), 0);
        for (node, before) in self.processes.iter().enumerate() {
            let processes = arena.processes(node)?;
            if processes.is_empty() {
                ended += 1;
                continue;
            }
            usages.push(Usage::between(before, &processes, length)?);
        }
        Ok(Window {
            length,
            false_deaths: false_deaths(self.deaths, freezes, after),
            gaps,
            usages,
            ended,
        })
    }

    /// Freezes a node's daemon for so many deadtimes, and lets it go on.
    pub fn freeze(&self, arena: &Arena, node: usize, deadtimes: f64) -> Result<Freeze> {
        let deaths = deaths(arena, self.from)?;
        let targets = arena.pids(node)?;
        let at = Moment::now();
        let shot = |at, signal| Shot {
            at,
            signal,
            targets: targets.clone(),
        };
        let thaw = at + arena.contender().timers().deadtime.mul_f64(deadtimes);
        arena
            .trigger()
            .fire(vec![shot(at, Signal::SIGSTOP), shot(thaw, Signal::SIGCONT)])?;
        Ok(Freeze {
            node,
            deadly: deadtimes >= 1.0,
            deaths,
        })
    }
}

/// Of all deaths that were declared, those that were not due to a freeze: while a node is frozen for longer than the
/// deadtime, and until the next freeze, its peer may declare it dead.
fn false_deaths(before: [u64; NODES], freezes: &[Freeze], after: [u64; NODES]) -> u64 {
    let mut bounds: Vec<_> = freezes.iter().map(|freeze| freeze.deaths).collect();
    bounds.push(after);
    let first = bounds.first().copied().unwrap_or(after);
    let declared = |from: [u64; NODES], to: [u64; NODES], by: usize| to[by].saturating_sub(from[by]);
    let at_first: u64 = (0..NODES).map(|by| declared(before, first, by)).sum();
    let later = freezes.iter().zip(bounds.windows(2)).map(|(freeze, pair)| {
        let by_whom = (0..NODES).filter(|by| !freeze.deadly || *by == freeze.node);
        by_whom.map(|by| declared(pair[0], pair[1], by)).sum::<u64>()
    });
    at_first + later.sum::<u64>()
}

fn deaths(arena: &Arena, since: Moment) -> Result<[u64; NODES]> {
    Ok([arena.deaths(0, since)?, arena.deaths(1, since)?])
}

impl Usage {
    fn between(before: &[Process], after: &[Process], length: Duration) -> Result<Self> {
        let earlier = |process: &Process| before.iter().find(|other| other.pid == process.pid);
        let ran = after.iter().map(|process| {
            let earlier = earlier(process).map_or(Duration::ZERO, |earlier| earlier.ran);
            process.ran.saturating_sub(earlier)
        });
        let ran: Duration = ran.sum();
        let bytes = processes::proportional_memory(after)?;
        Ok(Self {
            percent: ran.as_secs_f64() / length.as_secs_f64() * 100.0,
            megabytes: megabytes(bytes),
        })
    }
}

/// No process has the 9 million GB that a double cannot count.
#[expect(clippy::cast_precision_loss, reason = "this is the memory of some processes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_rightful_only_where_the_peer_was_frozen_for_long() {
        let freeze = |node, deadly, deaths| Freeze { node, deadly, deaths };
        assert_eq!(false_deaths([1, 2], &[], [1, 2]), 0);
        assert_eq!(false_deaths([1, 2], &[], [2, 5]), 4);
        // n1 is frozen, n2 declares it dead; then n2 is frozen, and on waking declares n1 dead, which declares it dead, too.
        let freezes = [freeze(0, true, [0, 0]), freeze(1, true, [0, 1])];
        assert_eq!(false_deaths([0, 0], &freezes, [1, 2]), 1);
        assert_eq!(false_deaths([0, 0], &[freeze(0, false, [0, 0])], [0, 1]), 1);
        assert_eq!(false_deaths([0, 0], &[freeze(0, false, [3, 0])], [3, 0]), 3);
    }
}
