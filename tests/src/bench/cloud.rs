//! What hb adds to the time that a provider's API takes itself to move a floating IP: over a connection that is kept, over
//! one that has to be made first, and beside a script that does the same.

mod outcome;
mod relay;
mod script;
mod site;
mod tell;

use std::{process::Command, time::Duration};

use anyhow::{Result, ensure};

use super::{
    journal::Show,
    machine::{Load, Watch},
    plan::Plan,
};
use crate::cloud::Provider;
use outcome::Outcome;
use site::{Mover, Site};

/// How long the API takes to move an address where nothing else is said, and in `DigitalOcean`'s own example.
const ACTION: Duration = Duration::from_millis(500);
const LONG_ACTION: Duration = Duration::from_secs(11);
/// One way to an API that is in another town.
const FAR: Duration = Duration::from_millis(10);

/// The same takeover, again and again.
struct Round {
    /// How far the API is, and what else is special.
    step: &'static str,
    distance: Duration,
    action: Duration,
    is_cold: bool,
    /// How often, for docs/BENCHMARKS.md and for a first impression.
    runs: (usize, usize),
}

impl Round {
    const fn new(step: &'static str, distance: Duration, is_cold: bool, runs: (usize, usize)) -> Self {
        Self {
            step,
            distance,
            action: ACTION,
            is_cold,
            runs,
        }
    }

    fn connection(&self, mover: Mover) -> &'static str {
        match (mover, self.is_cold) {
            (Mover::Hb, false) => "warm",
            (Mover::Hb, true) => "cold",
            (Mover::Script, _) => "with curl",
        }
    }

    fn action(&self) -> String {
        format!("action of {:?}", self.action)
    }
}

const ROUNDS: [Round; 4] = [
    Round::new("10 ms away", FAR, false, (10, 2)),
    Round::new("10 ms away", FAR, true, (10, 2)),
    Round::new("next door", Duration::ZERO, false, (5, 2)),
    Round::new("next door", Duration::ZERO, true, (5, 2)),
];

const LONG: Round = Round {
    action: LONG_ACTION,
    ..Round::new("10 ms away, action of 11 s", FAR, false, (5, 1))
};

/// Measures all that is wanted, and shows each report.
pub fn measure(plan: &Plan, show: &mut Show<'_>) -> Result<()> {
    let names = Provider::ALL.map(Provider::name);
    plan.only_among(&names)?;
    let mut failures = Vec::new();
    for provider in Provider::ALL.into_iter().filter(|one| plan.wants(one.name(), &names)) {
        for mover in movers(plan, provider) {
            // The others are not lost by it.
            if let Err(error) = measure_one(plan, provider, mover, show) {
                println!("CLOUD: {}, {}: {error:#}\n", provider.name(), mover.name());
                failures.push(format!("{} with {}", provider.name(), mover.name()));
            }
        }
    }
    ensure!(failures.is_empty(), "not measured: {}", failures.join(", "));
    Ok(())
}

/// The script is the tutorial's, which knows one provider.
fn movers(plan: &Plan, provider: Provider) -> Vec<Mover> {
    let mut movers = vec![Mover::Hb];
    if provider == Provider::DigitalOcean {
        match Command::new("curl").arg("--version").output() {
            Ok(_) => movers.push(Mover::Script),
            Err(error) => println!("CLOUD: the script is left out: no curl: {error}\n"),
        }
    }
    movers.retain(|mover| plan.wants_contender(mover.name()));
    movers
}

fn measure_one(plan: &Plan, provider: Provider, mover: Mover, show: &mut Show<'_>) -> Result<()> {
    let mut site = Site::start(plan, provider, mover)?;
    let long = (provider == Provider::DigitalOcean && mover == Mover::Hb).then_some(&LONG);
    // A script has no connection that could be kept.
    let rounds = ROUNDS.iter().filter(|round| mover == Mover::Hb || !round.is_cold);
    for round in rounds.chain(long) {
        site.set(round.distance, round.action);
        let (outcomes, load) = repeat(plan, &mut site, round)?;
        match tell::report(provider, mover, round, &outcomes, load)? {
            Some(report) => show(report)?,
            None => println!("CLOUD: {}, {}: no run was as wanted\n", provider.name(), round.step),
        }
    }
    Ok(())
}

fn repeat(plan: &Plan, site: &mut Site, round: &Round) -> Result<(Vec<Outcome>, Load)> {
    let (full, quick) = round.runs;
    // The first is over a connection of the round before, or over none.
    site.takeover(round.is_cold)?;
    let watch = Watch::start()?;
    let mut outcomes = Vec::new();
    for _ in 0..plan.runs(full, quick) {
        let outcome = site.takeover(round.is_cold)?.outcome();
        outcomes.extend(outcome);
    }
    Ok((outcomes, watch.stop()?))
}
