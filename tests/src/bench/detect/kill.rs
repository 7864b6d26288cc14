//! One death: the owner's daemon is killed, and the other one notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use nix::{sys::signal::Signal, unistd::Pid};

use crate::{
    bench::{
        arena::Arena,
        ladder::{Step, Stress},
        trigger::Shot,
    },
    clock::{Moment, pause, poll},
};

/// Calm before a kill, or before what goes on meanwhile.
const CALM: Duration = Duration::from_millis(100);
/// How long nobody asks anything after a kill: the deadtime, and as long as a takeover takes where nothing hinders it.
const TAKEOVER: Duration = Duration::from_millis(100);
/// How often is looked after that.
const LOOK: Duration = Duration::from_millis(50);
/// Longest that is waited while something else goes on: what is not done by then is done when that ends.
const PATIENCE: Duration = Duration::from_secs(6);
/// Longest that is waited after that.
const AFTERWARDS: Duration = Duration::from_secs(10);
/// From the freeze of the survivor to the kill.
const FROZEN_FIRST: Duration = Duration::from_micros(200);

/// What came of a kill.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// The death was noticed.
    Noticed(Noticed),
    /// Somebody had been declared dead before anybody was.
    False,
    /// Nothing happened.
    Missed,
}

/// How a death was noticed: moments.
#[derive(Clone, Copy, Debug)]
pub struct Noticed {
    /// The kill, by the killer's clock.
    pub killed: Moment,
    /// The last beat of who was killed, by the observer.
    pub last_beat: Moment,
    /// The verdict, as the survivor knows it.
    pub verdict: Moment,
    /// The verdict, as the survivor's packets tell it, if they do.
    pub told: Option<Moment>,
    /// The first call of a script.
    pub first_script: Option<Moment>,
    /// The call of the script with `start`.
    pub start: Option<Moment>,
    /// The announcement of the address, by the observer.
    pub announced: Option<Moment>,
    /// Whether it all happened while the step was stood on, and not only when that had ended.
    pub under_stress: bool,
}

impl Noticed {
    /// Whether the daemon had been silent for so long when it was killed that it should have been dead already.
    #[must_use]
    pub fn was_silent(&self, deadtime: Duration) -> bool {
        self.last_beat + deadtime < self.killed
    }

    /// When something was done about it: what came first.
    #[must_use]
    pub fn action(&self) -> Option<Moment> {
        [self.start, self.announced].into_iter().flatten().min()
    }
}

/// Kills the owner's daemon under a step of the ladder, `phase` after the calm, waits for what the survivor does about it,
/// and brings the owner back as the other's standby.
pub fn kill(arena: &Arena, step: Step, phase: Duration) -> Result<Outcome> {
    let owner = arena.settle()?;
    let began = Moment::now();
    let targets = [arena.pids(owner)?, arena.pids(1 - owner)?];
    let survivor = 1 - owner;
    let under_stress = Arc::new(AtomicBool::new(false));
    let fired = Stress::during(step, |stress| {
        let shots = plan(arena, targets, step, phase);
        let unseen = arena.contender().timers().deadtime + TAKEOVER;
        let patience = PATIENCE.min(step.limit().saturating_sub(began.elapsed()));
        let noticing = arena.contender().noticing(arena.host(survivor))?;
        let ending = stress.map(Stress::ending).transpose()?;
        let under_stress = Arc::clone(&under_stress);
        arena.trigger().fire_and(shots, move || {
            let end = Moment::now() + patience;
            pause(unseen);
            while !noticing() && Moment::now() < end {
                pause(LOOK);
            }
            under_stress.store(noticing(), Ordering::Relaxed);
            ending.map_or(Ok(()), |ending| ending.end())
        })
    })?;
    let killed = *fired.get(usize::from(step.freeze().is_some())).context("no kill")?;
    noticed(arena, survivor, killed, AFTERWARDS)?;
    let under_stress = under_stress.load(Ordering::Relaxed);
    let outcome = outcome(arena, owner, began, killed, under_stress)?;
    arena.revive(owner)?;
    Ok(outcome)
}

/// The kill of the first; and where the second, the survivor, is to be frozen, that before it, and its end.
fn plan(arena: &Arena, [owner, survivor]: [Vec<Pid>; 2], step: Step, phase: Duration) -> Vec<Shot> {
    let at = Moment::now() + CALM + phase;
    let kill = Shot {
        at,
        signal: Signal::SIGKILL,
        targets: owner,
    };
    let Some(deadtimes) = step.freeze() else {
        return vec![kill];
    };
    let freeze = |at, signal| Shot {
        at,
        signal,
        targets: survivor.clone(),
    };
    let frozen = arena.contender().timers().deadtime.mul_f64(deadtimes);
    vec![
        freeze(at.earlier(FROZEN_FIRST), Signal::SIGSTOP),
        kill,
        freeze(at + frozen, Signal::SIGCONT),
    ]
}

/// Waits until the survivor has noticed and, where it acts, acted, or until some time has passed.
fn noticed(arena: &Arena, survivor: usize, killed: Moment, within: Duration) -> Result<()> {
    let contender = arena.contender();
    poll(within, || {
        let acted = !contender.acts() || arena.owners()?[survivor];
        if acted && arena.detected(survivor, killed)?.is_some() {
            return Ok(Some(()));
        }
        pause(LOOK);
        Ok(None)
    })
    .map(|_| ())
}

fn outcome(arena: &Arena, owner: usize, began: Moment, killed: Moment, under_stress: bool) -> Result<Outcome> {
    let survivor = 1 - owner;
    let verdicts = arena.verdicts(began)?;
    if verdicts
        .iter()
        .any(|verdict| verdict.by == owner || verdict.at < killed)
    {
        return Ok(Outcome::False);
    }
    let Some(verdict) = arena.detected(survivor, killed)? else {
        return Ok(Outcome::Missed);
    };
    let last_beat = arena.last_beat(owner)?.context("the owner never beat")?.at;
    let acted = arena.acted(survivor, killed)?;
    Ok(Outcome::Noticed(Noticed {
        killed,
        last_beat,
        verdict,
        told: verdicts.iter().find(|told| told.by == survivor).map(|told| told.at),
        first_script: acted.first_script,
        start: acted.start,
        announced: arena.announced(survivor, killed)?,
        under_stress,
    }))
}
