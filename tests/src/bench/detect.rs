//! From the deadline of a peer that was killed to the script that takes over.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};

use super::{
    machine::Watch,
    pair::Pair,
    report::{Figure, Goal, Report, Unit},
};
use crate::{
    clock::{Moment, pause},
    network::Server,
};

/// How often the peer is killed unless asked otherwise.
pub const RUNS: usize = 50;

/// The timers of this measurement.
pub(super) const TIMERS: &str = "keepalive 20ms\ndeadtime 100ms";
const INTERVAL: Duration = Duration::from_millis(20);
const DEADTIME: Duration = Duration::from_millis(100);

/// Calm before a kill.
const CALM: Duration = Duration::from_millis(150);
/// How long nobody asks anything after it: the deadtime, and as long as a takeover takes.
const TAKEOVER: Duration = Duration::from_millis(150);

/// What one kill led to, in microseconds.
struct Kill {
    overshoot: i64,
    decision: i64,
    spawn: i64,
    run: i64,
    /// The silence was longer than the deadtime because secondary took itself for late.
    graced: bool,
}

/// Kills primary's daemon again and again.
pub fn measure(hb: &Path, runs: usize) -> Result<Report> {
    let mut pair = Pair::start(hb, TIMERS)?;
    let watch = Watch::start()?;
    let kills = (0..runs).map(|run| kill(&mut pair, run).with_context(|| format!("kill {}", run + 1)));
    let kills = kills.collect::<Result<Vec<_>>>()?;
    let load = watch.stop()?;

    let figure = |name, value: fn(&Kill) -> i64| {
        let values = kills.iter().map(value).map(micros).collect();
        Figure::new(name, Unit::Micros, values)
    };
    let counted = |what| pair.logged(Server::Primary, what) + pair.logged(Server::Secondary, what);
    Ok(Report {
        title: "DETECTION: keepalive 20 ms, deadtime 100 ms, the owner's daemon ends by kill -9, idle hosts".into(),
        subject: None,
        figures: vec![
            figure("overshoot beyond the deadline", |kill| kill.overshoot)?.goal(Goal::Median(150.0)),
            figure("decision after the detection", |kill| kill.decision)?,
            figure("script started after the decision", |kill| kill.spawn)?.goal(Goal::Max(5000.0)),
            figure("script's first command after the decision", |kill| kill.run)?.goal(Goal::Max(5000.0)),
        ],
        counts: [
            ("false deaths", counted("peer is silent").saturating_sub(runs as u64)),
            (
                "graces (late wake-ups of a daemon itself)",
                counted("this node was late itself"),
            ),
            (
                "kills detected only after a grace",
                kills.iter().filter(|kill| kill.graced).count() as u64,
            ),
            ("late beats (beyond half a deadtime)", counted("late beat")),
        ]
        .into(),
        load,
    })
}

fn kill(pair: &mut Pair, run: usize) -> Result<Kill> {
    // Kills spread over the interval, whatever the cycle's own rhythm.
    let phase = INTERVAL * u32::try_from(run % 7)? / 7;
    pause(CALM + phase);
    let killed = Moment::now();
    pair.hb(Server::Primary)?.kill9()?;
    pause(TAKEOVER);

    let takeover = pair.takeover(killed)?;
    let detected = takeover.detected_us.context("nothing was detected")?;
    let decided = takeover.decided_us.context("nothing was decided")?;
    let script = takeover.steps.first().context("no script was started")?;
    let decision = takeover.moment(decided).context("the decision has no time")?;
    // A grace moves the deadline: beyond the one that was promised is what counts.
    let deadline = i64::try_from(DEADTIME.as_micros())?;
    let kill = Kill {
        overshoot: detected - deadline,
        decision: decided - detected,
        spawn: script.started_us - decided,
        run: pair.script_ran(decision)?.micros_since(decision),
        graced: takeover.deadline_us.is_some_and(|shown| shown > deadline + 1),
    };

    pair.start_hb(Server::Primary)?;
    pair.settle()?;
    Ok(kill)
}

/// For the report. Benchmarks do not last for the 285 years that a double cannot count in microseconds.
#[expect(clippy::cast_precision_loss, reason = "these are microseconds of a run")]
pub(super) fn micros(value: i64) -> f64 {
    value as f64
}
