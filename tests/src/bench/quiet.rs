//! Nobody dies: who is declared dead all the same, and what being quiet costs. hb and its rivals stand side by side, each on
//! hosts of its own, so that all of them go through the same.

mod gaps;
mod window;

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};

use super::{
    arena::{Arena, NODES},
    contender::{Contender, Field, Hb, Timers},
    detect::{BESIDE, subject, title},
    journal::Show,
    ladder::{Step, Stress},
    machine::{Load, Watch},
    plan::Plan,
    report::{Figure, Goal, Report, Unit},
};
use crate::clock::{Moment, pause, poll};
use window::{Open, Window};

/// From one beat of a node to its next, the longest in each slice.
pub const GAP: &str = "longest gap between beats of a node";
/// Of all its daemon's processes.
pub const CPU: &str = "CPU of a node";
/// Of all its daemon's processes, what they share counted in parts.
pub const MEMORY: &str = "memory of a node (PSS)";

/// The timers of the goal for what idling costs.
const COST: Timers = Timers::millis(50, 200);

/// How long each step is watched.
const FULL: Duration = Duration::from_mins(1);
const QUICK: Duration = Duration::from_secs(10);
const FREEZING: Duration = Duration::from_secs(30);
/// Between two slices of a step that may not go on for so long.
const PAUSE: Duration = Duration::from_secs(3);
/// What a step has done to a daemon shows when it gets to run again.
const AFTERMATH: Duration = Duration::from_millis(700);
/// What is left of a slice's limit for beginning and ending it.
const MARGIN: Duration = Duration::from_millis(1500);
/// From one freeze to the next, in which all that comes of it happens.
const FREEZE_EVERY: Duration = Duration::from_secs(1);
/// Longest that the count of deaths may take to show a death.
const COUNTED: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// The steps of a first impression.
const QUICK_STEPS: [Step; 3] = [Step::Idle, Step::Timers, Step::Fifo99];

/// Measures everybody that is wanted on every step that is wanted, and shows each report.
pub fn measure(plan: &Plan, show: &mut Show<'_>) -> Result<()> {
    let field = Field::rivals(plan)?;
    for (name, reason) in &field.skipped {
        println!("QUIET: {name} left out: {reason:#}\n");
    }
    let steps = Step::wanted(plan, &QUICK_STEPS);
    let length = if plan.quick { QUICK } else { FULL };
    let hb = |timers| Arc::new(Hb::new(&plan.hb, timers).with_address()) as Arc<dyn Contender>;
    let wants_hb = plan.wants_contender(Hb::NAME);

    let beside = wants_hb.then(|| hb(BESIDE)).into_iter().chain(field.contenders);
    let mut arenas = beside.map(Arena::start).collect::<Result<Vec<_>>>()?;
    let mut failed = Vec::new();
    for step in &steps {
        // Freezes are so many a second, not a chance that needs a minute to come.
        let length = if step.freeze().is_some() {
            length.min(FREEZING)
        } else {
            length
        };
        // The other steps are not lost by it.
        if let Err(error) = watch_step(&mut arenas, *step, length, show) {
            println!("QUIET: {step}: {error:#}\n");
            failed.push(step.name());
        }
    }
    arenas.iter_mut().try_for_each(ensure_counted)?;
    drop(arenas);

    if wants_hb && steps.contains(&Step::Idle) {
        watch_step(&mut [Arena::start(hb(COST))?], Step::Idle, length.min(QUICK), show)?;
    }
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

/// All contenders on one step.
fn watch_step(arenas: &mut [Arena], step: Step, length: Duration, show: &mut Show<'_>) -> Result<()> {
    let mut windows: Vec<Vec<Window>> = arenas.iter().map(|_| Vec::new()).collect();
    let mut loads = Vec::new();
    let mut left = length;
    while !left.is_zero() {
        for arena in arenas.iter_mut() {
            arena.settle_somehow()?;
        }
        let slice = left.min(step.limit().saturating_sub(MARGIN));
        left -= slice;
        // What the begin and the end of a step do to anybody is part of it.
        let open = arenas.iter().map(Open::new).collect::<Result<Vec<_>>>()?;
        let (freezes, load) = Stress::during(step, |stress| {
            let watch = Watch::start()?;
            let freezes = match (stress, arenas.first()) {
                (Some(stress), Some(arena)) => {
                    let (ending, end) = (stress.ending()?, Moment::now() + slice);
                    arena.trigger().fire_and(Vec::new(), move || {
                        pause(end - Moment::now());
                        ending.end()
                    })?;
                    arenas.iter().map(|_| Vec::new()).collect()
                }
                (None, _) | (_, None) => wait(arenas, &open, step, slice)?,
            };
            Ok((freezes, watch.stop()?))
        })?;
        pause(AFTERMATH);
        for ((windows, arena), (open, freezes)) in windows.iter_mut().zip(&*arenas).zip(open.iter().zip(freezes)) {
            windows.push(open.close(arena, &freezes)?);
        }
        loads.push(load);
        arenas.iter().try_for_each(Arena::ensure_steady)?;
        if step.limit() < length {
            pause(PAUSE);
        }
    }
    let load = Load::of_all(&loads);
    for (arena, windows) in arenas.iter().zip(&windows) {
        show(report(arena, step, windows, load)?)?;
    }
    Ok(())
}

/// Lets the time pass. Where the step freezes daemons, that happens now, once a second and to one node after the other;
/// gives whom each arena froze when.
fn wait(arenas: &[Arena], open: &[Open], step: Step, slice: Duration) -> Result<Vec<Vec<window::Freeze>>> {
    let mut freezes: Vec<_> = arenas.iter().map(|_| Vec::new()).collect();
    let Some(deadtimes) = step.freeze() else {
        pause(slice);
        return Ok(freezes);
    };
    let end = Moment::now() + slice;
    let mut node = 0;
    while Moment::now() + FREEZE_EVERY <= end {
        let next = Moment::now() + FREEZE_EVERY;
        for ((arena, open), freezes) in arenas.iter().zip(open).zip(&mut freezes) {
            freezes.push(open.freeze(arena, node, deadtimes)?);
        }
        pause(next - Moment::now());
        node = (node + 1) % NODES;
    }
    Ok(freezes)
}

/// Insists that a death is counted where there is one: a count of none says something only then.
fn ensure_counted(arena: &mut Arena) -> Result<()> {
    let owner = arena.settle_somehow()?;
    let survivor = 1 - owner;
    let since = Moment::now();
    let before = arena.deaths(survivor, since)?;
    arena.kill(owner)?;
    let counted = poll(COUNTED, || {
        pause(LOOK);
        Ok((arena.deaths(survivor, since)? > before).then_some(()))
    })?;
    ensure!(
        counted.is_some(),
        "{}: a death was not counted, so none of the counts is worth anything\n{}",
        arena.contender().name(),
        arena.logs()
    );
    Ok(())
}

fn report(arena: &Arena, step: Step, windows: &[Window], load: Load) -> Result<Report> {
    let contender = arena.contender();
    let seconds: f64 = windows.iter().map(|window| window.length.as_secs_f64()).sum();
    let mut figures = Vec::new();
    let mut add = |name: &'static str, unit, values: Vec<f64>| -> Result<()> {
        if !values.is_empty() {
            let figure = Figure::new(name, unit, values)?;
            figures.push(goals(contender, step, name).into_iter().fold(figure, Figure::goal));
        }
        Ok(())
    };
    // Who is frozen does not beat.
    if step.freeze().is_none() {
        let gaps = windows.iter().flat_map(|window| &window.gaps);
        add(
            GAP,
            Unit::Millis,
            gaps.map(|gap| gap.longest.as_secs_f64() * 1000.0).collect(),
        )?;
    }
    let nodes = || windows.iter().flat_map(|window| &window.usages);
    add(CPU, Unit::Percent, nodes().map(|usage| usage.percent).collect())?;
    add(MEMORY, Unit::Megabytes, nodes().map(|usage| usage.megabytes).collect())?;
    let late = windows.iter().flat_map(|window| &window.gaps).map(|gap| gap.late).sum();
    Ok(Report {
        title: title("QUIET", contender, &format!("{step}, {seconds:.0} s without a fault")),
        subject: Some(subject(contender, "none", step)),
        figures,
        counts: [
            ("false deaths", windows.iter().map(|window| window.false_deaths).sum()),
            ("late beats (beyond half a deadtime)", late),
            (
                "daemons that ended by themselves",
                windows.iter().map(|window| window.ended).sum(),
            ),
            ("slices", windows.len() as u64),
            ("packets that the observer lost", arena.observer().dropped()),
        ]
        .into(),
        load,
    })
}

/// What hb should reach.
fn goals(contender: &dyn Contender, step: Step, figure: &str) -> Vec<Goal> {
    if contender.name() != Hb::NAME {
        return Vec::new();
    }
    let beside = contender.timers() == BESIDE;
    match (step, figure) {
        (Step::Timers | Step::HighResolution | Step::Fifo40 | Step::Fifo99 | Step::Memory, GAP) if beside => {
            vec![Goal::Max(20.0)]
        }
        (Step::Idle, CPU) if beside => vec![Goal::Median(1.0)],
        (Step::Idle, CPU) if contender.timers() == COST => vec![Goal::Median(0.3)],
        (Step::Idle, MEMORY) => vec![Goal::Max(12.0)],
        (_, _) => Vec::new(),
    }
}
