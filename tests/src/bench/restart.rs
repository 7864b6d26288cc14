//! Restarts in place: for how long the peer hears nothing, and what it makes of that.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{
    journal::Show,
    machine::Watch,
    plan::Plan,
    report::{Counts, Figure, Goal, Report, Unit},
};
use crate::{
    clock::{Moment, pause},
    cluster::HB,
    nodes::{Files, Nodes, expect::WEB},
};

/// As fast as the issue of restarts is hard.
const TIMERS: &str = "keepalive 20ms\ndeadtime 100ms\ninitdead 2\nauto_failback off";
/// How often each of the two daemons is restarted.
const RUNS: usize = 50;
/// The same for a first impression.
const QUICK: usize = 10;
/// Between two restarts.
const CALM: Duration = Duration::from_millis(150);

/// What one restart took, in microseconds.
struct Restart {
    /// No beat left for so long, by the new process.
    silence: u64,
    /// The whole command, from the order to the answer of the new process.
    command: u64,
}

/// Restarts the owner's daemon and the other's in turn, again and again.
pub fn measure(plan: &Plan, show: &mut Show<'_>) -> Result<()> {
    let runs = plan.runs(RUNS, QUICK);
    let mut nodes = Nodes::create(2, |_| Files::of(2, TIMERS))?;
    for node in 0..2 {
        nodes.host(node).install_file(&plan.hb, HB, 0o755)?;
    }
    nodes.start_all()?;
    nodes.wait_for_owner(WEB, 0, Duration::from_secs(20))?;
    nodes.wait_until_agreed(0)?;
    let lives = nodes.incarnations()?;
    let since = Moment::now();
    let watch = Watch::start()?;
    let mut restarts = Vec::new();
    for run in 0..runs {
        for node in 0..2 {
            let one = restart(&nodes, node).with_context(|| format!("restart {} of node {}", run + 1, node + 1));
            restarts.push(one?);
        }
    }
    let load = watch.stop()?;
    nodes.wait_until_agreed(0)?;

    let (mut longest, mut promise) = (Vec::new(), 0);
    for node in 0..2 {
        let status = nodes.status(node)?;
        longest.push(micros(status.number("/peers/0/links/0/gap_max_us")?));
        promise = status.number("/restart/promise_ms")?;
        let count = status.number("/restart/count")?;
        ensure!(count == runs as u64, "node {} was restarted {count} times", node + 1);
    }
    let promised = Goal::Max(micros(promise * 1000));
    let figure = |name, value: fn(&Restart) -> u64| {
        let values = restarts.iter().map(value).map(micros).collect();
        Figure::new(name, Unit::Micros, values)
    };
    let logged = |what| (0..2).map(|node| nodes.log(node).matches(what).count() as u64).sum();
    let calls = (0..2)
        .map(|node| Ok(nodes.calls(node, WEB, since)?.len() as u64))
        .sum::<Result<u64>>()?;
    let anew = lives
        .iter()
        .zip(nodes.incarnations()?)
        .filter(|(before, after)| *before != after)
        .count();
    show(Report {
        title: format!(
            "RESTART: keepalive 20 ms, deadtime 100 ms, `hb restart` on each of two nodes in turn; {promise} ms are promised"
        ),
        subject: None,
        figures: vec![
            figure("no beat left for", |restart| restart.silence)?.goal(promised),
            Figure::new("longest gap that each peer's kernel saw", Unit::Micros, longest)?.goal(promised),
            figure("the whole command", |restart| restart.command)?,
        ],
        counts: Counts(
            [
                ("peers taken for dead", logged("peer is silent")),
                ("calls of scripts", calls),
                ("lives that ended", anew as u64),
            ]
            .map(|(what, count)| (what.to_owned(), count))
            .into(),
        ),
        load,
    })
}

fn restart(nodes: &Nodes, node: usize) -> Result<Restart> {
    pause(CALM);
    let began = Moment::now();
    nodes.host(node).run_ok(HB, &["restart"])?;
    let command = u64::try_from(began.elapsed().as_micros())?;
    let silence = nodes.status(node)?.number("/restart/silence_us")?;
    Ok(Restart { silence, command })
}

/// For the report. Benchmarks do not last for the 285 years that a double cannot count in microseconds.
#[expect(clippy::cast_precision_loss, reason = "these are microseconds of a run")]
fn micros(value: u64) -> f64 {
    value as f64
}
