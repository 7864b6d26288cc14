//! What a quiet cluster costs.

use std::{fs, path::Path, time::Duration};

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

/// How many times it is measured for [`WINDOW`] unless asked otherwise.
pub const RUNS: usize = 6;
/// How long each time.
pub const WINDOW: Duration = Duration::from_secs(5);

/// What nobody watches: start, joining, the first scripts.
const WARM_UP: Duration = Duration::from_secs(3);

/// Watches both daemons do nothing but beat.
pub fn measure(hb: &Path, runs: usize) -> Result<Report> {
    let pair = Pair::start(hb, "keepalive 100ms")?;
    pause(WARM_UP);
    let watch = Watch::start()?;
    let mut windows = Vec::new();
    let mut before = usages(&pair)?;
    for _ in 0..runs {
        let began = Moment::now();
        pause(WINDOW);
        let after = usages(&pair)?;
        let seconds = began.elapsed().as_secs_f64();
        windows.extend(
            before
                .iter()
                .zip(&after)
                .map(|(before, after)| (seconds, before.clone(), after.clone())),
        );
        before = after;
    }
    let load = watch.stop()?;

    let figure = |name, unit, value: fn(f64, &Usage, &Usage) -> f64| {
        let values = windows
            .iter()
            .map(|(seconds, before, after)| value(*seconds, before, after));
        Figure::new(name, unit, values.collect())
    };
    Ok(Report {
        title: format!(
            "IDLE: keepalive 100 ms, two hosts, both daemons, each for {runs} x {} s (Heartbeat: 1.25 %, 40 MB)",
            WINDOW.as_secs()
        ),
        subject: None,
        figures: vec![
            figure(
                "CPU of a daemon (schedstat)",
                Unit::Percent,
                |seconds, before, after| (after.runtime - before.runtime) / seconds * 100.0,
            )?
            .goal(Goal::Max(0.3)),
            figure(
                "CPU of a daemon (utime + stime)",
                Unit::Percent,
                |seconds, before, after| (after.ticks - before.ticks) / seconds * 100.0,
            )?,
            figure("times it was scheduled", Unit::PerSecond, |seconds, before, after| {
                (after.timeslices - before.timeslices) / seconds
            })?,
            figure("RSS", Unit::Megabytes, |_, _, after| after.rss)?.goal(Goal::Max(30.0)),
            figure("PSS", Unit::Megabytes, |_, _, after| after.pss)?,
        ],
        counts: [(
            "threads of a daemon",
            before.iter().map(|usage| usage.threads).max().unwrap_or(0),
        )]
        .into(),
        load,
    })
}

fn usages(pair: &Pair) -> Result<Vec<Usage>> {
    let of = |server: &Server| Usage::of(pair.hb(*server)?.pid());
    Server::ALL.iter().map(of).collect()
}

/// What a process has used so far.
#[derive(Clone, Debug)]
struct Usage {
    /// Seconds on a CPU, from the scheduler's nanoseconds.
    runtime: f64,
    /// How often it got one.
    timeslices: f64,
    /// Seconds on a CPU, from the ticks.
    ticks: f64,
    /// Megabytes in memory.
    rss: f64,
    /// The same, with what it shares counted in parts.
    pss: f64,
    threads: u64,
}

impl Usage {
    fn of(pid: u32) -> Result<Self> {
        let read = |path: String| fs::read_to_string(&path).with_context(|| format!("cannot read {path}"));
        let (mut runtime, mut timeslices, mut threads) = (0.0, 0.0, 0);
        // The process's own schedstat is that of its first thread.
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let schedstat = read(format!("{}/schedstat", task?.path().display()))?;
            let (ran, times) = parse_schedstat(&schedstat).context("schedstat is not as the kernel documents it")?;
            runtime += ran;
            timeslices += times;
            threads += 1;
        }
        let stat = read(format!("/proc/{pid}/stat"))?;
        let memory = read(format!("/proc/{pid}/smaps_rollup"))?;
        let megabytes = |name| parse_kilobytes(&memory, name).with_context(|| format!("smaps_rollup has no {name}"));
        Ok(Self {
            runtime,
            timeslices,
            ticks: parse_ticks(&stat).context("stat is not as proc(5) says")?,
            rss: megabytes("Rss:")?,
            pss: megabytes("Pss:")?,
            threads,
        })
    }
}

/// Seconds on a CPU, and how often: `runtime waiting timeslices` (Documentation/scheduler/sched-stats.rst).
fn parse_schedstat(schedstat: &str) -> Option<(f64, f64)> {
    let mut words = schedstat.split_whitespace();
    let nanos: f64 = words.next()?.parse().ok()?;
    let timeslices = words.nth(1)?.parse().ok()?;
    Some((nanos / 1e9, timeslices))
}

/// Seconds of utime and stime, fields 14 and 15, which Linux always shows in hundredths (`USER_HZ`).
fn parse_ticks(stat: &str) -> Option<f64> {
    // The name, field 2, may contain anything, blanks and parentheses included.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let (utime, stime): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((utime + stime) / 100.0)
}

/// A line of smaps in megabytes; its kB are 1024 bytes.
fn parse_kilobytes(smaps: &str, name: &str) -> Option<f64> {
    let line = smaps.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_of_a_process_is_read() {
        assert_eq!(parse_schedstat("1500000000 77 12\n"), Some((1.5, 12.0)));
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 4 0 100 0 0";
        assert_eq!(parse_ticks(stat), Some(2.0));
        assert_eq!(parse_kilobytes("Rss:      125000 kB\nPss: 1 kB\n", "Rss:"), Some(128.0));
        assert_eq!(parse_kilobytes("Rss: 1 kB\n", "Pss:"), None);
    }
}
