//! The reports.

use anyhow::Result;

use super::{Event, Outcome, Runs};
use crate::bench::{
    contender::{Contender, Hb},
    ladder::Step,
    report::{Counts, Figure, Goal, Report, Subject, Unit},
};

/// A figure of an event: its name, what it is of an outcome, and which goals it has on a step.
struct Row {
    name: &'static str,
    value: fn(&Outcome) -> Option<f64>,
    goals: fn(Step) -> Vec<Goal>,
}

/// Until the other's script is called.
pub(in crate::bench) const START: &str = "until the other's start";
/// Until the other announces the address.
pub(in crate::bench) const ANNOUNCED: &str = "until the other announces the address";
/// Until the other answers the client.
pub(in crate::bench) const ANSWERED: &str = "until the other answers the client";
/// The longest time without an answer.
pub(in crate::bench) const SILENT: &str = "the client without an answer";
/// From stop to start.
pub(in crate::bench) const HANDOVER: &str = "from the owner's stop to the other's start";
/// The script's own part of that.
pub(in crate::bench) const STOPPING: &str = "of that the owner's stop itself";
/// The rest.
pub(in crate::bench) const BEYOND: &str = "of that beyond the stop itself";
/// Nobody owns it.
pub(in crate::bench) const NO_OWNER: &str = "no owner";
/// Both own it.
pub(in crate::bench) const TWO_OWNERS: &str = "two owners";
/// Until nothing moves any more.
pub(in crate::bench) const SETTLED: &str = "until one stable owner";

const fn row(name: &'static str, value: fn(&Outcome) -> Option<f64>) -> Row {
    Row {
        name,
        value,
        goals: |_| Vec::new(),
    }
}

/// From a crash to an action: 30 ms, from which a crash takes away what has passed of the interval, and what may be added.
fn goals_of_a_start(step: Step) -> Vec<Goal> {
    match step {
        Step::Idle | Step::Hogs => vec![Goal::Median(31.0)],
        Step::Churn => vec![Goal::Median(33.0)],
        // Scripts run in the normal class, on purpose: where that gets nothing they wait.
        Step::Timers
        | Step::HighResolution
        | Step::Memory
        | Step::Fifo40
        | Step::Fifo99
        | Step::FrozenBriefly
        | Step::Frozen => Vec::new(),
    }
}

/// The same for an address, which is moved with real-time priority.
fn goals_of_an_address(step: Step) -> Vec<Goal> {
    match step {
        Step::Fifo40 | Step::Fifo99 => vec![Goal::Median(35.0)],
        Step::Idle
        | Step::Hogs
        | Step::Churn
        | Step::Timers
        | Step::HighResolution
        | Step::Memory
        | Step::FrozenBriefly
        | Step::Frozen => goals_of_a_start(step),
    }
}

fn rows(event: Event) -> Vec<Row> {
    let start = Row {
        goals: goals_of_a_start,
        ..row(START, |outcome| outcome.start)
    };
    let announced = Row {
        goals: goals_of_an_address,
        ..row(ANNOUNCED, |outcome| outcome.announced)
    };
    let answered = row(ANSWERED, |outcome| outcome.answered);
    let silent = row(SILENT, |outcome| Some(outcome.silent));
    let no_owner = row(NO_OWNER, |outcome| Some(outcome.no_owner));
    let two_owners = row(TWO_OWNERS, |outcome| Some(outcome.two_owners));
    match event {
        Event::Crash => vec![start, announced, answered, no_owner, two_owners],
        // The owner does not know of it: for how long there are two depends on when it ends.
        Event::Cut => vec![start, announced, answered],
        Event::Stop => vec![
            row(HANDOVER, |outcome| outcome.handover),
            row(STOPPING, |outcome| outcome.stopping),
            Row {
                goals: |_| vec![Goal::Median(3.0)],
                ..row(BEYOND, |outcome| {
                    outcome.handover.zip(outcome.stopping).map(|(all, own)| all - own)
                })
            },
            silent,
            no_owner,
            two_owners,
        ],
        Event::Heal => vec![
            two_owners,
            no_owner,
            // A script takes some milliseconds, twice, and a beat up to an interval.
            row(SETTLED, |outcome| outcome.settled),
            silent,
        ],
    }
}

/// What some outcomes of the same kind say.
pub(super) fn report(contender: &dyn Contender, event: Event, step: Step, runs: &Runs<Outcome>) -> Result<Report> {
    let (name, timers) = (contender.name(), contender.timers());
    let has_goals = name == Hb::NAME;
    let mut figures = Vec::new();
    let mut counts = Counts::from([
        (
            "runs spoilt by a death declared before there was one",
            runs.false_deaths,
        ),
        ("runs after which both daemons had to be restarted", runs.restarts),
    ]);
    let outcomes = &runs.outcomes;
    for row in rows(event) {
        let values: Vec<_> = outcomes.iter().filter_map(row.value).collect();
        let missing = outcomes.len() - values.len();
        if missing > 0 {
            counts.0.insert(format!("times without: {}", row.name), missing as u64);
        }
        if values.is_empty() {
            continue;
        }
        let figure = Figure::new(row.name, Unit::Millis, values)?;
        let goals = if has_goals { (row.goals)(step) } else { Vec::new() };
        figures.push(goals.into_iter().fold(figure, Figure::goal));
    }
    let setup = match contender.setup() {
        "" => String::new(),
        setup => format!(" ({setup})"),
    };
    Ok(Report {
        title: format!(
            "FAILOVER, {}, {step}: {name} {timers}{setup}; milliseconds after the {}",
            event.name(),
            event.name()
        ),
        subject: Some(Subject {
            contender: name.to_owned(),
            timers: timers.to_string(),
            event: event.name().to_owned(),
            step: step.name().to_owned(),
        }),
        figures,
        counts,
        load: runs.load,
    })
}
