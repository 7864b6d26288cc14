//! What becomes of a resource, of an address and of a client when the owner crashes, is cut off, is stopped, or when a cut
//! heals: hb beside its rivals, on hosts of the same kind, each with the fastest timers with which it is stable.

mod client;
mod outcome;
mod stage;
mod tell;

use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::{
    contender::{Contender, Field, Hb, Heartbeat, Keepalived, Timers},
    ladder::Step,
    machine::Watch,
    plan::Plan,
    report::Report,
};
use outcome::Outcome;
use stage::Stage;

/// The timers of hb: those of its fastest rival.
const TIMERS: Timers = Timers::millis(10, 30);

/// What happens to the owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// Its daemon ends by SIGKILL, and its cable is pulled in the same moment.
    Crash,
    /// The switch loses all that it sends, and all that is sent to it. The carrier stays.
    Cut,
    /// That cut ends.
    Heal,
    /// Its daemon is asked to stop in good order.
    Stop,
}

impl Event {
    const NAMES: [&str; 4] = ["crash", "cut", "heal", "stop"];

    /// As in `--only`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Cut => "cut",
            Self::Heal => "heal",
            Self::Stop => "stop",
        }
    }
}

/// The steps of the ladder on which the owner crashes; on the first of them everything else happens as well.
const STEPS: [Step; 5] = [Step::Idle, Step::Hogs, Step::Churn, Step::Fifo40, Step::Fifo99];

/// How often each event is repeated: for docs/BENCHMARKS.md, and for a first impression.
struct Repeats {
    crash: (usize, usize),
    cut: (usize, usize),
    stop: (usize, usize),
    stressed: (usize, usize),
}

impl Repeats {
    fn of(contender: &str) -> Self {
        if contender == Heartbeat::NAME {
            // A death, and the return, take it ten seconds; a healed cut half a minute.
            return Self {
                crash: (8, 2),
                cut: (3, 1),
                stop: (4, 1),
                stressed: (2, 1),
            };
        }
        Self {
            crash: (50, 10),
            cut: (20, 3),
            stop: (20, 5),
            stressed: (8, 2),
        }
    }
}

/// Measures all that is wanted, and shows each report.
pub fn measure(plan: &Plan, show: &mut dyn FnMut(Report)) -> Result<()> {
    let steps = STEPS.map(Step::name);
    plan.only_among(&[&Event::NAMES[..], &steps].concat())?;
    for (name, contender) in field(plan)? {
        let mut show_one = |report| show(report);
        match contender {
            Ok(contender) => measure_one(plan, contender, &mut show_one).context(name)?,
            Err(reason) => println!("FAILOVER: {name} is left out: {reason:#}\n"),
        }
    }
    Ok(())
}

type Found = Result<Arc<dyn Contender>>;

/// Who can be measured, and who cannot, with the reason: all of them do something about a death.
fn field(plan: &Plan) -> Result<Vec<(&'static str, Found)>> {
    // Whoever is named must be known.
    Field::rivals(plan)?;
    let all: [(&'static str, fn(&Plan) -> Found); 3] = [
        (Hb::NAME, |plan| Ok(Arc::new(Hb::new(&plan.hb, TIMERS).with_address()))),
        (Heartbeat::NAME, |_| {
            Ok(Arc::new(Heartbeat::find(Heartbeat::FASTEST)?.with_address()))
        }),
        (Keepalived::NAME, |_| Ok(Arc::new(Keepalived::find()?))),
    ];
    let wanted = all.into_iter().filter(|(name, _)| plan.wants_contender(name));
    Ok(wanted.map(|(name, find)| (name, find(plan))).collect())
}

fn measure_one(plan: &Plan, contender: Arc<dyn Contender>, show: &mut dyn FnMut(Report)) -> Result<()> {
    let stage = Stage::start(contender)?;
    let name = stage.contender().name();
    let repeats = Repeats::of(name);
    let wants = |event: Event| plan.wants(event.name(), &Event::NAMES);
    let wants_step = |step: Step| plan.wants(step.name(), &STEPS.map(Step::name));
    let times = |(full, quick)| plan.runs(full, quick);
    let watch = Watch::start()?;

    if wants_step(Step::Idle) {
        if wants(Event::Crash) {
            let outcomes = repeat(times(repeats.crash), |run| stage.crash(run, Step::Idle))?;
            show(tell::report(
                stage.contender(),
                Event::Crash,
                Step::Idle,
                &outcomes,
                watch.stop()?,
            )?);
        }
        if wants(Event::Stop) {
            let watch = Watch::start()?;
            let outcomes = repeat(times(repeats.stop), |run| stage.stop(run))?;
            show(tell::report(
                stage.contender(),
                Event::Stop,
                Step::Idle,
                &outcomes,
                watch.stop()?,
            )?);
        }
        if wants(Event::Cut) || wants(Event::Heal) {
            let watch = Watch::start()?;
            let (cuts, heals): (Vec<_>, Vec<_>) = repeat(times(repeats.cut), |run| stage.cut_and_heal(run))?
                .into_iter()
                .unzip();
            show(tell::report(
                stage.contender(),
                Event::Cut,
                Step::Idle,
                &cuts,
                watch.stop()?,
            )?);
            show(tell::report(
                stage.contender(),
                Event::Heal,
                Step::Idle,
                &heals,
                watch.stop()?,
            )?);
        }
    }
    for step in STEPS
        .into_iter()
        .filter(|step| *step != Step::Idle && wants_step(*step))
    {
        if !wants(Event::Crash) {
            continue;
        }
        if let Some(reason) = step.obstacle() {
            println!("FAILOVER: {name}, {step}: left out: {reason}\n");
            continue;
        }
        let watch = Watch::start()?;
        let outcomes = repeat(times(repeats.stressed), |run| stage.crash(run, step))?;
        show(tell::report(
            stage.contender(),
            Event::Crash,
            step,
            &outcomes,
            watch.stop()?,
        )?);
    }
    Ok(())
}

fn repeat<T>(runs: usize, mut once: impl FnMut(usize) -> Result<T>) -> Result<Vec<T>> {
    (0..runs)
        .map(|run| once(run).with_context(|| format!("run {}", run + 1)))
        .collect()
}
