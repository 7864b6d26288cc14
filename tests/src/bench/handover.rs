//! From the SIGTERM of the owner to the start on its peer: an orderly stop waits for no deadline.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};

use super::{
    detect::micros,
    machine::Watch,
    pair::Pair,
    report::{Figure, Report, Unit},
};
use crate::{
    clock::{Moment, pause},
    network::Server,
};

/// How often the owner is stopped unless asked otherwise.
pub const RUNS: usize = 20;

/// The timers of this measurement.
const TIMERS: &str = "keepalive 20ms\ndeadtime 100ms";

/// Calm before a stop.
const CALM: Duration = Duration::from_millis(150);
/// How long nobody asks anything after it.
const HANDOVER: Duration = Duration::from_millis(100);
/// Longest that the daemon may take to end.
const STOPPING: Duration = Duration::from_secs(10);

/// What one stop led to, in microseconds after the SIGTERM.
struct Stop {
    decided: i64,
    first_script: i64,
    start: i64,
    ended: i64,
}

/// Stops primary's daemon again and again.
pub fn measure(hb: &Path, runs: usize) -> Result<Report> {
    let mut pair = Pair::start(hb, TIMERS)?;
    let watch = Watch::start()?;
    let stops = (0..runs).map(|run| stop(&mut pair).with_context(|| format!("stop {}", run + 1)));
    let stops = stops.collect::<Result<Vec<_>>>()?;
    let load = watch.stop()?;

    let figure = |name, value: fn(&Stop) -> i64| {
        let values = stops.iter().map(value).map(micros).collect();
        Figure::new(name, Unit::Micros, values)
    };
    let counted = |what| pair.logged(Server::Primary, what) + pair.logged(Server::Secondary, what);
    Ok(Report {
        title: "HANDOVER: the owner's daemon gets SIGTERM; times after that, its own `stop` script included".into(),
        subject: None,
        figures: vec![
            figure("decided by the peer", |stop| stop.decided)?,
            figure("its first script (status) started", |stop| stop.first_script)?,
            figure("its `start` started", |stop| stop.start)?,
            figure("its `start` ended", |stop| stop.ended)?,
        ],
        counts: [("false deaths", counted("peer is silent"))].into(),
        load,
    })
}

fn stop(pair: &mut Pair) -> Result<Stop> {
    pause(CALM);
    let asked = Moment::now();
    pair.hb(Server::Primary)?.term()?;
    pause(HANDOVER);

    let takeover = pair.takeover(asked)?;
    let after = |micros: Option<i64>| {
        let moment = micros.and_then(|micros| takeover.moment(micros));
        moment
            .map(|moment| moment.micros_since(asked))
            .context("a time is missing in the takeover")
    };
    let start = takeover.start().context("no start")?;
    let stop = Stop {
        decided: after(takeover.decided_us)?,
        first_script: after(takeover.steps.first().map(|step| step.started_us))?,
        start: after(Some(start.started_us))?,
        ended: after(start.ended_us)?,
    };

    pair.hb(Server::Primary)?.wait_exit(STOPPING)?;
    pair.start_hb(Server::Primary)?;
    pair.settle()?;
    Ok(stop)
}
