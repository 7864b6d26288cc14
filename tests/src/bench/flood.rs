//! A flood at the port of the standby, from a third host: how much it survives, what it costs, and what becomes of the
//! detection meanwhile.
//!
//! The victim's daemon has a processor of its own; the sender and the owner's share another. Without that the result would
//! say how well two processes share a processor. These hosts' interfaces take in and drop, or hand on to a socket, what is
//! sent to them on the processor of who sends: so the frames a second are what one processor can send and drop.

mod kind;

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};

use super::{
    arena::Arena,
    contender::{Contender, Field, Hb},
    detect::{BESIDE, CUT_OFF, kill, micros, subject, title},
    journal::Show,
    ladder::Step,
    machine::Watch,
    plan::Plan,
    report::{Figure, Goal, Report, Unit},
};
use crate::{
    clock::{Moment, pause},
    flood::{Flood, pin_processes},
    network::INTERFACE,
    status::Status,
};
use kind::Kind;

/// Of all its processes, while nobody dies.
pub const CPU: &str = "CPU of the victim's daemon";
/// Declared by either node, while nobody dies.
pub const FALSE_DEATHS: &str = "false deaths while it was watched";

/// The processor of the victim, and that of everybody else.
const VICTIM: usize = 0;
const OTHERS: usize = 1;

/// Longest that a flood goes on if nobody ends it.
const LIMIT: Duration = Duration::from_secs(30);
/// From the start of a flood until it counts.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long somebody is killed again and again in one flood, at most: the run that has begun is brought to its end.
const DEATHS_LIMIT: Duration = Duration::from_secs(40);
/// Calm before a death.
const BEFORE: Duration = Duration::from_millis(300);

/// How long a flood is watched, and how often somebody dies in one.
struct Effort {
    watched: Duration,
    deaths: usize,
}

/// Measures everybody that is wanted under every kind of flood that is wanted, and shows each report.
pub fn measure(plan: &Plan, show: &mut Show<'_>) -> Result<()> {
    let effort = Effort {
        watched: Duration::from_secs(if plan.quick { 3 } else { 15 }),
        deaths: plan.runs(5, 1),
    };
    let mut contenders: Vec<Arc<dyn Contender>> = Vec::new();
    if plan.wants_contender(Hb::NAME) {
        contenders.push(Arc::new(Hb::new(&plan.hb, BESIDE).with_address()));
    }
    let field = Field::rivals(plan)?;
    for (name, reason) in &field.skipped {
        println!("FLOOD: {name} left out: {reason:#}\n");
    }
    contenders.extend(field.contenders);
    let mut failed = Vec::new();
    for contender in contenders {
        let mut arena = None;
        for kind in Kind::ALL {
            if !plan.wants(kind.name(), &Kind::names()) || !kind.is_for(&*contender) {
                continue;
            }
            let hosts = match arena.take() {
                Some(hosts) => Ok(hosts),
                None => Arena::start(Arc::clone(&contender)),
            };
            let measured = hosts.and_then(|hosts| Ok((measure_kind(&hosts, kind, &effort)?, hosts)));
            match measured {
                Ok((report, hosts)) => {
                    show(report)?;
                    arena = Some(hosts);
                }
                // The others are not lost by it, and begin on other hosts.
                Err(error) => {
                    let what = format!("{}, {}", contender.name(), kind.name());
                    println!("FLOOD: {what}: {error:#}\n");
                    failed.push(what);
                }
            }
        }
    }
    ensure!(failed.is_empty(), "not measured: {}", failed.join("; "));
    Ok(())
}

/// What one flood did to its victim.
struct Watched {
    sent: f64,
    cpu: f64,
    /// `None` for who does not beat while it stands by.
    gap: Option<Duration>,
    false_deaths: u64,
}

fn measure_kind(arena: &Arena, kind: Kind, effort: &Effort) -> Result<Report> {
    arena.settle()?;
    let watch = Watch::start()?;
    let before = counters(arena)?;
    let watched = watched(arena, kind, effort.watched)?;
    let after = counters(arena)?;
    let mut overshoots = Vec::new();
    let (mut spoilt, mut missed, mut done) = (0, 0, 0);
    let began = Moment::now();
    for _ in 0..effort.deaths {
        if began.elapsed() > DEATHS_LIMIT {
            break;
        }
        done += 1;
        match death(arena, kind)? {
            kill::Outcome::Noticed(noticed) => {
                let deadline = noticed.last_beat + arena.contender().timers().deadtime;
                let action = noticed.action().unwrap_or(noticed.verdict);
                overshoots.push(micros(action.micros_since(deadline)));
            }
            kill::Outcome::False => spoilt += 1,
            kill::Outcome::Missed => missed += 1,
        }
    }
    arena.ensure_steady()?;
    let contender = arena.contender();
    let is_hb = contender.name() == Hb::NAME;
    let cpu = Figure::new(CPU, Unit::Percent, vec![watched.cpu])?;
    let mut figures = vec![
        Figure::new("frames sent", Unit::PerSecond, vec![watched.sent])?,
        if is_hb { cpu.goal(Goal::Max(5.0)) } else { cpu },
    ];
    if let Some(gap) = watched.gap {
        let gap = micros(i64::try_from(gap.as_micros())?) / 1000.0;
        figures.push(Figure::new(
            "longest gap between the victim's beats",
            Unit::Millis,
            vec![gap],
        )?);
    }
    if !overshoots.is_empty() {
        figures.push(Figure::new(
            "action after the deadline, in the flood",
            Unit::Micros,
            overshoots,
        )?);
    }
    let counts = [
        (FALSE_DEATHS, watched.false_deaths),
        ("deaths declared before there was one", spoilt),
        ("deaths that nobody noticed while it was waited", missed),
        (CUT_OFF, (effort.deaths - done) as u64),
        ("packets that the observer lost", arena.observer().dropped()),
    ];
    let mut report = Report {
        title: title(
            "FLOOD",
            contender,
            &format!(
                "{}, at the standby, watched for {} s; deaths in it: {}",
                kind.describe(),
                effort.watched.as_secs(),
                done
            ),
        ),
        subject: Some(subject(contender, &format!("flood: {}", kind.name()), Step::Idle)),
        figures,
        counts: counts.into(),
        load: watch.stop()?,
    };
    // What hb itself counted of it shows that the flood has come.
    for ((name, before), (_, after)) in before.into_iter().zip(after) {
        if after > before {
            report.counts.0.insert(format!("verdict {name}"), after - before);
        }
    }
    Ok(report)
}

/// Watches the victim in a flood in which nobody dies.
fn watched(arena: &Arena, kind: Kind, span: Duration) -> Result<Watched> {
    let victim = prepare(arena)?;
    let flood = begin(arena, kind, victim)?;
    pause(WARM_UP);
    let (began, ran) = (Moment::now(), ran(arena, victim)?);
    pause(span);
    let (ended, after) = (Moment::now(), self::ran(arena, victim)?);
    let false_deaths = arena.verdicts(began)?.len() as u64;
    let sent = flood.stop()?;
    let beats = arena.observer().since(began)?;
    let mut beats = beats
        .iter()
        .filter(|seen| seen.sender == victim && seen.at <= ended && arena.contender().is_beat(&seen.packet))
        .map(|seen| seen.at);
    let gap = beats.next().map(|first| {
        let mut last = first;
        let gaps = beats.chain([ended]).map(|at| at - std::mem::replace(&mut last, at));
        gaps.fold(first - began, Duration::max)
    });
    Ok(Watched {
        sent: sent.rate(),
        cpu: after.saturating_sub(ran).as_secs_f64() / (ended - began).as_secs_f64() * 100.0,
        gap,
        false_deaths,
    })
}

/// Lets the owner die while the standby is flooded.
fn death(arena: &Arena, kind: Kind) -> Result<kill::Outcome> {
    let victim = prepare(arena)?;
    let flood = begin(arena, kind, victim)?;
    pause(BEFORE);
    let outcome = kill::kill(arena, Step::Idle, Duration::ZERO);
    flood.stop()?;
    outcome
}

/// Waits until all is calm, and gives each its processor. Gives the standby, who is the victim.
fn prepare(arena: &Arena) -> Result<usize> {
    let owner = arena.settle()?;
    let victim = 1 - owner;
    for (node, processor) in [(victim, VICTIM), (owner, OTHERS)] {
        // Threads that have reserved time cannot be pinned: nothing starves them anyway.
        pin_processes(&arena.pids(node)?, processor)?;
    }
    Ok(victim)
}

fn begin(arena: &Arena, kind: Kind, victim: usize) -> Result<Flood> {
    let frames = kind.frames(arena, victim)?;
    Flood::start(&arena.lan().gateway, INTERFACE, frames, Some(OTHERS), LIMIT)
}

fn ran(arena: &Arena, node: usize) -> Result<Duration> {
    Ok(arena.processes(node)?.iter().map(|process| process.ran).sum())
}

/// How often hb gave each verdict, on both nodes; nothing for others.
fn counters(arena: &Arena) -> Result<Vec<(&'static str, u64)>> {
    if arena.contender().name() != Hb::NAME {
        return Ok(Vec::new());
    }
    let nodes = [0, 1].map(|node| Status::of_host(arena.host(node)));
    let nodes = nodes.into_iter().collect::<Result<Vec<_>>>()?;
    let sum = |name| nodes.iter().map(|status| status.verdict(name)).sum();
    Ok(hb_ebpf::Verdict::ALL
        .into_iter()
        .map(|verdict| (verdict.name(), sum(verdict.name())))
        .collect())
}
