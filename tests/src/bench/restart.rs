//! Restarts in place: for how long the peer hears nothing, and what it makes of that.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{
    detect::{TIMERS, micros},
    machine::Watch,
    pair::Pair,
    report::{Figure, Goal, Report, Unit},
};
use crate::{
    clock::{Moment, pause},
    network::Server,
};

/// How often each daemon in turn is restarted unless asked otherwise: a hundred restarts.
pub const RUNS: usize = 50;

/// Between two restarts.
const CALM: Duration = Duration::from_millis(150);

/// What one restart took, in microseconds.
struct Restart {
    /// No beat left for so long, by the new process.
    silence: i64,
    /// The whole command, from the order to the answer of the new process.
    command: i64,
}

/// Restarts the owner's daemon and the other's in turn, again and again.
pub fn measure(hb: &Path, runs: usize) -> Result<Report> {
    let pair = Pair::start(hb, TIMERS)?;
    let before = Server::ALL.map(|server| pair.status(server));
    let watch = Watch::start()?;
    let mut restarts = Vec::new();
    for run in 0..runs {
        for server in Server::ALL {
            let one = restart(&pair, server);
            restarts.push(one.with_context(|| format!("restart {} of {}", run + 1, server.name()))?);
        }
    }
    let load = watch.stop()?;
    pair.settle()?;

    let (mut longest, mut promise, mut lives) = (Vec::new(), 0, 0);
    for (server, before) in Server::ALL.into_iter().zip(before) {
        let (before, after) = (before?, pair.status(server)?);
        longest.push(micros(i64::try_from(after.number("/peers/0/links/0/gap_max_us")?)?));
        promise = after.number("/restart/promise_ms")?;
        lives += u64::from(before.text("/incarnation")? != after.text("/incarnation")?);
        let count = after.number("/restart/count")?;
        ensure!(count == runs as u64, "{} restarted {count} times", server.name());
    }
    let promised = micros(i64::try_from(promise * 1000)?);
    let figure = |name, value: fn(&Restart) -> i64| {
        let values = restarts.iter().map(value).map(micros).collect();
        Figure::new(name, Unit::Micros, values)
    };
    let counted = |what| pair.logged(Server::Primary, what) + pair.logged(Server::Secondary, what);
    Ok(Report {
        title: format!(
            "RESTART: keepalive 20 ms, deadtime 100 ms, `hb restart` on each of two nodes in turn; {promise} ms are promised"
        ),
        figures: vec![
            figure("no beat left for", |restart| restart.silence)?.goal(Goal::Max(promised)),
            Figure::new("longest gap that each peer's kernel saw", Unit::Micros, longest)?.goal(Goal::Max(promised)),
            figure("the whole command", |restart| restart.command)?,
        ],
        counts: [
            ("false deaths", counted("peer is silent")),
            // The first start of the resource is none.
            ("takeovers", counted("acquiring group=").saturating_sub(1)),
            ("lives that ended", lives),
        ]
        .into(),
        load,
    })
}

fn restart(pair: &Pair, server: Server) -> Result<Restart> {
    pause(CALM);
    let began = Moment::now();
    pair.run_hb(server, &["restart"])?;
    let command = began.elapsed();
    let silence = pair.status(server)?.number("/restart/silence_us")?;
    Ok(Restart {
        silence: i64::try_from(silence)?,
        command: i64::try_from(command.as_micros())?,
    })
}
