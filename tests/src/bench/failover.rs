//! What becomes of a resource, of an address and of a client when the owner crashes, is cut off, is stopped, or when a cut
//! heals: hb beside its rivals, on hosts of the same kind, each with the fastest timers with which it is stable.

mod client;
mod outcome;
mod stage;
pub(super) mod tell;

use std::sync::Arc;

use anyhow::Result;

use super::{
    contender::{Contender, Field, Hb, Heartbeat, Keepalived, Timers},
    journal::Show,
    ladder::Step,
    machine::{Load, Watch},
    plan::Plan,
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

/// Those of a first impression.
const QUICK_STEPS: [Step; 3] = [Step::Idle, Step::Churn, Step::Fifo99];

/// How often each event is repeated: for docs/BENCHMARKS.md, and for a first impression.
#[derive(Clone, Copy)]
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
                crash: (6, 2),
                cut: (2, 1),
                stop: (3, 1),
                stressed: (2, 1),
            };
        }
        if contender == Keepalived::NAME {
            // Where hogs hold every core it waits for their end.
            return Self {
                stressed: (4, 1),
                ..Self::FULL
            };
        }
        Self::FULL
    }

    const FULL: Self = Self {
        crash: (50, 8),
        cut: (20, 3),
        stop: (20, 4),
        stressed: (6, 2),
    };
}

/// Measures all that is wanted, and shows each report.
pub fn measure(plan: &Plan, show: &mut Show<'_>) -> Result<()> {
    let steps = STEPS.map(Step::name);
    plan.only_among(&[&Event::NAMES[..], &steps].concat())?;
    for (name, contender) in field(plan)? {
        let measured = contender.and_then(|contender| Measurement::begin(plan, contender)?.all(show));
        match measured {
            Err(error) if name == Hb::NAME => return Err(error.context(name)),
            // The others are not lost by it.
            Err(reason) => println!("FAILOVER: {name} is left out: {reason:#}\n"),
            Ok(()) => {}
        }
    }
    Ok(())
}

type Found = Result<Arc<dyn Contender>>;
/// A name, and how its bearer is found.
type Known = (&'static str, fn(&Plan) -> Found);

/// Who can be measured, and who cannot, with the reason: all of them do something about a death.
fn field(plan: &Plan) -> Result<Vec<(&'static str, Found)>> {
    // Whoever is named must be known.
    Field::rivals(plan)?;
    let all: [Known; 3] = [
        (Hb::NAME, |plan| Ok(Arc::new(Hb::new(&plan.hb, TIMERS).with_address()))),
        (Heartbeat::NAME, |_| {
            Ok(Arc::new(Heartbeat::find(Heartbeat::FASTEST)?.with_address()))
        }),
        (Keepalived::NAME, |_| Ok(Arc::new(Keepalived::find()?))),
    ];
    let wanted = all.into_iter().filter(|(name, _)| plan.wants_contender(name));
    Ok(wanted.map(|(name, find)| (name, find(plan))).collect())
}

/// One contender's measurement.
struct Measurement<'a> {
    plan: &'a Plan,
    stage: Stage,
    repeats: Repeats,
}

/// What the runs of an event led to, those that led to something.
struct Runs<T> {
    outcomes: Vec<T>,
    /// Of the others, how many were spoilt by a death that somebody declared before there was one.
    false_deaths: u64,
    /// And after how many everything had to be started again.
    restarts: u64,
    load: Load,
}

impl<'a> Measurement<'a> {
    fn begin(plan: &'a Plan, contender: Arc<dyn Contender>) -> Result<Self> {
        Ok(Self {
            plan,
            repeats: Repeats::of(contender.name()),
            stage: Stage::start(contender)?,
        })
    }

    fn all(&self, show: &mut Show<'_>) -> Result<()> {
        let Repeats {
            crash,
            cut,
            stop,
            stressed,
        } = self.repeats;
        let wants = |event: Event| self.plan.wants(event.name(), &Event::NAMES);
        let names = STEPS.map(Step::name);
        let is_named = self.plan.only.iter().any(|only| names.contains(&only.as_str()));
        let shortened = self.plan.quick && !is_named;
        let is_wanted =
            |step: &Step| self.plan.wants(step.name(), &names) && (!shortened || QUICK_STEPS.contains(step));
        let steps = STEPS.into_iter().filter(is_wanted);
        for step in steps {
            if let Some(reason) = step.obstacle() {
                println!("FAILOVER: {step} is left out: {reason}\n");
                continue;
            }
            if wants(Event::Crash) {
                let times = if step == Step::Idle { crash } else { stressed };
                let runs = self.repeat(times, |run| self.stage.crash(run, step))?;
                self.show(Event::Crash, step, &runs, show)?;
            }
            if step != Step::Idle {
                continue;
            }
            if wants(Event::Stop) {
                let runs = self.repeat(stop, |run| self.stage.stop(run))?;
                self.show(Event::Stop, step, &runs, show)?;
            }
            if wants(Event::Cut) || wants(Event::Heal) {
                let runs = self.repeat(cut, |run| self.stage.cut_and_heal(run))?;
                let (cuts, heals) = runs.split();
                self.show(Event::Cut, step, &cuts, show)?;
                self.show(Event::Heal, step, &heals, show)?;
            }
        }
        Ok(())
    }

    fn repeat<T>(
        &self,
        (full, quick): (usize, usize),
        mut once: impl FnMut(usize) -> Result<Option<T>>,
    ) -> Result<Runs<T>> {
        let watch = Watch::start()?;
        let (mut outcomes, mut false_deaths, mut restarts) = (Vec::new(), 0, 0);
        for run in 0..self.plan.runs(full, quick) {
            match once(run) {
                Ok(Some(outcome)) => outcomes.push(outcome),
                Ok(None) => false_deaths += 1,
                // A rival that was starved may be at odds with its peer for good: that is what it came to, not the end.
                Err(error) => {
                    println!(
                        "FAILOVER: {}, run {}: {error:#}\n",
                        self.stage.contender().name(),
                        run + 1
                    );
                    restarts += 1;
                    self.stage.begin_again()?;
                }
            }
        }
        Ok(Runs {
            outcomes,
            false_deaths,
            restarts,
            load: watch.stop()?,
        })
    }

    fn show(&self, event: Event, step: Step, runs: &Runs<Outcome>, show: &mut Show<'_>) -> Result<()> {
        show(tell::report(self.stage.contender(), event, step, runs)?)?;
        Ok(())
    }
}

impl<A, B> Runs<(A, B)> {
    fn split(self) -> (Runs<A>, Runs<B>) {
        let Self {
            outcomes,
            false_deaths,
            restarts,
            load,
        } = self;
        let (left, right) = outcomes.into_iter().unzip();
        let with = |load| (false_deaths, restarts, load);
        (Runs::of(left, with(load)), Runs::of(right, with(load)))
    }
}

impl<T> Runs<T> {
    fn of(outcomes: Vec<T>, (false_deaths, restarts, load): (u64, u64, Load)) -> Self {
        Self {
            outcomes,
            false_deaths,
            restarts,
            load,
        }
    }
}
