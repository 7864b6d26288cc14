//! From the last beat of a daemon that was killed to the verdict, and to what is done about it: hb beside its rivals, on
//! each step of the ladder.

pub mod kill;

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};

use super::{
    arena::Arena,
    contender::{Contender, Field, Hb, Heartbeat, Timers},
    journal::Show,
    ladder::Step,
    machine::Watch,
    plan::Plan,
    report::{Figure, Goal, Report, Subject, Unit},
};
use crate::clock::Moment;
use kill::{Noticed, Outcome, kill};

/// The verdict, as its owner knows it, after the deadline: microseconds.
pub const VERDICT: &str = "verdict after the deadline";
/// The verdict, as its owner's packets tell it.
pub const TOLD: &str = "packet that tells it after the deadline";
/// The first call of a script, with whatever.
pub const FIRST_SCRIPT: &str = "first script call after the deadline";
/// The call of the script with `start`.
pub const START: &str = "start script after the deadline";
/// The announcement of the address that moves.
pub const ANNOUNCED: &str = "address announced after the deadline";
/// The start of the script or the announcement, whichever came first.
pub const ACTION: &str = "action after the deadline";
/// The same, from the last beat.
pub const FROM_LAST_BEAT: &str = "last beat to action";
/// The same, from the kill.
pub const FROM_CRASH: &str = "crash to action";

/// The runs that were not begun because the earlier ones had taken too long.
pub const CUT_OFF: &str = "runs left out, for lack of time";

/// The timers with which hb is measured on an idle machine.
pub const TIMERS: [Timers; 7] = [
    Timers::millis(100, 500),
    Timers::millis(50, 200),
    Timers::millis(20, 100),
    Timers::millis(10, 50),
    Timers::millis(10, 30),
    Timers::millis(5, 15),
    Timers::millis(1, 5),
];
/// Those with which it is measured under stress.
const UNDER_STRESS: [Timers; 3] = [BESIDE_HEARTBEAT, BESIDE, Timers::millis(1, 5)];
/// Those with which it stands beside the rivals, and of which the goals are.
pub const BESIDE: Timers = Timers::millis(10, 30);
/// Those of its slowest rival.
const BESIDE_HEARTBEAT: Timers = Heartbeat::FASTEST;

/// How long somebody is killed again and again on one step, at most: the run that has begun is brought to its end.
const LIMIT: Duration = Duration::from_secs(90);

/// The steps of a first impression.
const QUICK_STEPS: [Step; 4] = [Step::Idle, Step::Churn, Step::Fifo99, Step::Frozen];

/// Somebody on a step.
struct Turn {
    contender: Arc<dyn Contender>,
    step: Step,
    /// How often he is killed.
    runs: usize,
}

/// Measures everybody that is wanted on every step that is wanted, and shows each report.
pub fn measure(plan: &Plan, show: &mut Show<'_>) -> Result<()> {
    let mut failures = Vec::new();
    for turn in turns(plan)? {
        let who = format!("{} {} on {}", turn.contender.name(), turn.contender.timers(), turn.step);
        // Hosts of its own for each, so that nobody else's daemons run, and nothing is left of an earlier step.
        match Arena::start(Arc::clone(&turn.contender)).and_then(|arena| measure_turn(arena, &turn)) {
            Ok(report) => show(report)?,
            // The others are not lost by it.
            Err(error) => {
                println!("DETECTION: {who}: {error:#}\n");
                failures.push(who);
            }
        }
    }
    ensure!(failures.is_empty(), "not measured: {}", failures.join(", "));
    Ok(())
}

/// Who is measured on which step, in this order: what is compared comes first, step by step, so that whoever interrupts
/// it has whole steps.
fn turns(plan: &Plan) -> Result<Vec<Turn>> {
    let field = Field::rivals(plan)?;
    for (name, reason) in &field.skipped {
        println!("DETECTION: {name} left out: {reason:#}\n");
    }
    let hb = |timers| Arc::new(Hb::new(&plan.hb, timers).with_address()) as Arc<dyn Contender>;
    let hb_is_wanted = plan.wants_contender(Hb::NAME);
    let steps = Step::wanted(plan, &QUICK_STEPS);

    let mut turns = Vec::new();
    for step in &steps {
        let mut add = |contender: Arc<dyn Contender>| {
            let runs = runs(plan, &*contender, *step);
            turns.push(Turn {
                contender,
                step: *step,
                runs,
            });
        };
        if hb_is_wanted {
            add(hb(BESIDE));
        }
        field.contenders.iter().cloned().for_each(add);
    }
    if hb_is_wanted && !plan.quick {
        for step in steps {
            let others = TIMERS.into_iter().filter(|timers| *timers != BESIDE);
            for timers in others.filter(|timers| step == Step::Idle || UNDER_STRESS.contains(timers)) {
                let contender = hb(timers);
                let runs = runs(plan, &*contender, step);
                turns.push(Turn { contender, step, runs });
            }
        }
    }
    Ok(turns)
}

/// How often somebody is killed.
fn runs(plan: &Plan, contender: &dyn Contender, step: Step) -> usize {
    let (full, quick) = match (contender.name(), step) {
        // Each takes it ten seconds.
        (Heartbeat::NAME, Step::Idle) => (10, 2),
        (Heartbeat::NAME, _) => (2, 1),
        (Hb::NAME, Step::Idle) if [BESIDE, BESIDE_HEARTBEAT].contains(&contender.timers()) => (50, 10),
        (Hb::NAME, Step::Idle) => (20, 10),
        (Hb::NAME, _) if contender.timers() == BESIDE => (5, 2),
        (_, Step::Idle) => (50, 5),
        (_, _) => (3, 1),
    };
    plan.runs(full, quick)
}

fn measure_turn(mut arena: Arena, &Turn { step, runs, .. }: &Turn) -> Result<Report> {
    let Timers { interval, deadtime } = arena.contender().timers();
    if let Some(reason) = arena.trigger().refused() {
        println!("DETECTION: the killer has no reserved time, its moments may be late under hogs: {reason}\n");
    }
    let (watch, began) = (Watch::start()?, Moment::now());
    let (mut noticed, mut false_deaths, mut missed, mut restarts, mut done) = (Vec::new(), 0, 0, 0, 0);
    for run in 0..runs {
        if began.elapsed() > LIMIT {
            break;
        }
        done += 1;
        // Kills spread over the interval, whatever the cycle's own rhythm.
        let phase = interval * u32::try_from(run % 7)? / 7;
        match kill(&arena, step, phase) {
            Ok(Outcome::Noticed(one)) => noticed.push(one),
            Ok(Outcome::False) => false_deaths += 1,
            Ok(Outcome::Missed) => missed += 1,
            // Who was starved may be at odds with its peer for good: that is what it came to, and not the end.
            Err(error) => {
                println!("DETECTION: {step}, run {}: {error:#}\n", run + 1);
                restarts += 1;
                arena.settle_somehow()?;
            }
        }
    }
    arena.ensure_steady()?;
    let load = watch.stop()?;
    let contender = arena.contender();
    Ok(Report {
        title: title(
            "DETECTION",
            contender,
            &format!("{step}, killed {done} times by kill -9"),
        ),
        subject: Some(subject(contender, "crash", step)),
        figures: figures(contender, step, deadtime, &noticed)?,
        counts: [
            ("runs spoilt by a death declared before there was one", false_deaths),
            ("deaths that nobody noticed while it was waited", missed),
            (
                "deaths noticed, or acted on, only when the step had ended",
                count(&noticed, |one| !one.under_stress),
            ),
            (
                "kills of a daemon that had been silent for longer than the deadtime",
                count(&noticed, |one| one.was_silent(deadtime)),
            ),
            ("runs that failed, after which both daemons began again", restarts),
            (CUT_OFF, (runs - done) as u64),
            ("packets that the observer lost", arena.observer().dropped()),
        ]
        .into(),
        load,
    })
}

fn count(noticed: &[Noticed], wanted: impl Fn(&Noticed) -> bool) -> u64 {
    noticed.iter().filter(|one| wanted(one)).count() as u64
}

/// `DETECTION: keepalived 10/30 ms (VRRPv3, ...): idle, ...`.
pub(super) fn title(part: &str, contender: &dyn Contender, what: &str) -> String {
    let setup = match contender.setup() {
        "" => String::new(),
        setup => format!(" ({setup})"),
    };
    format!("{part}: {} {}{setup}: {what}", contender.name(), contender.timers())
}

/// Whose figures these are.
pub(super) fn subject(contender: &dyn Contender, event: &str, step: Step) -> Subject {
    Subject {
        contender: contender.name().to_owned(),
        timers: contender.timers().to_string(),
        event: event.to_owned(),
        step: step.name().to_owned(),
    }
}

fn figures(contender: &dyn Contender, step: Step, deadtime: Duration, noticed: &[Noticed]) -> Result<Vec<Figure>> {
    type Value = fn(&Noticed) -> Option<Moment>;
    let after_deadline: [(&str, Value); 6] = [
        (VERDICT, |one| Some(one.verdict)),
        (TOLD, |one| one.told),
        (FIRST_SCRIPT, |one| one.first_script),
        (START, |one| one.start),
        (ANNOUNCED, |one| one.announced),
        (ACTION, Noticed::action),
    ];
    let mut figures = Vec::new();
    let mut add = |name: &'static str, unit, values: Vec<f64>| -> Result<()> {
        if !values.is_empty() {
            let figure = Figure::new(name, unit, values)?;
            let goals = goals(contender, step, name);
            figures.push(goals.into_iter().fold(figure, Figure::goal));
        }
        Ok(())
    };
    for (name, moment) in after_deadline {
        let values = noticed.iter().filter_map(|one| Some((one, moment(one)?)));
        let values = values.map(|(one, at)| micros(at.micros_since(one.last_beat + deadtime)));
        add(name, Unit::Micros, values.collect())?;
    }
    let from: [(&str, Value); 2] = [
        (FROM_LAST_BEAT, |one| Some(one.last_beat)),
        (FROM_CRASH, |one| Some(one.killed)),
    ];
    for (name, origin) in from {
        let values = noticed.iter().filter_map(|one| Some((origin(one)?, one.action()?)));
        let values = values.map(|(origin, at)| micros(at.micros_since(origin)) / 1000.0);
        add(name, Unit::Millis, values.collect())?;
    }
    Ok(figures)
}

/// What hb should reach, beside the rivals: with the timers at which they were measured.
fn goals(contender: &dyn Contender, step: Step, figure: &str) -> Vec<Goal> {
    if contender.name() != Hb::NAME || contender.timers() != BESIDE {
        return Vec::new();
    }
    match (step, figure) {
        (Step::Idle, VERDICT) => vec![Goal::Median(100.0), Goal::Max(1000.0)],
        (Step::Idle, ACTION) => vec![Goal::Median(500.0), Goal::Max(3000.0)],
        (Step::Idle | Step::Hogs, FROM_CRASH) => vec![Goal::Median(31.0)],
        (Step::Churn, FROM_CRASH) => vec![Goal::Median(33.0)],
        (Step::Fifo40 | Step::Fifo99, ACTION) => vec![Goal::Max(5000.0)],
        (Step::Fifo40 | Step::Fifo99 | Step::FrozenBriefly | Step::Frozen, VERDICT) => vec![Goal::Max(1000.0)],
        (_, _) => Vec::new(),
    }
}

/// For the report. Benchmarks do not last for the 285 years that a double cannot count in microseconds.
#[expect(clippy::cast_precision_loss, reason = "these are microseconds of a run")]
pub(super) fn micros(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
