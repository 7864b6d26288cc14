//! What a healed partition costs: hb and Heartbeat, on hosts of the same kind, with the same files, by what the
//! resource's own script stamped.

use std::{fmt, path::Path, time::Duration};

use anyhow::{Context, Result, anyhow};

use super::{
    heartbeat::Heartbeat,
    machine::Watch,
    report::{Figure, Report, Unit},
};
use crate::{
    clock::{DayClock, Moment, pause, poll},
    cluster::HB,
    host::Host,
    nodes::{
        Files,
        lan::{Lan, Station},
    },
    ownership::{Ownership, total},
    process::HostProcess,
    stamp::{self, Stamp, What},
};

/// How often each of them is healed unless asked otherwise.
pub const RUNS: usize = 3;

/// Timers that Heartbeat holds without false deaths. Its log has to be told where to go, hb takes the same line.
const HA_CF: &str = "\
logfile /var/log/ha-log
keepalive 200ms
deadtime 2
initdead 5
auto_failback on";
const RESOURCE: &str = "web";

/// How long the link is cut: two deadtimes.
const CUT: Duration = Duration::from_secs(4);
/// Calm before a cut: in its first 5 s Heartbeat advertises a deadtime that is 2 s longer.
const CALM: Duration = Duration::from_secs(6);
/// An owner is stable when no script was called for so long. Nothing that Heartbeat waits for, with an owner, is longer.
const STABLE: Duration = Duration::from_secs(10);
/// Longest that anything may take that is waited for.
const LIMIT: Duration = Duration::from_secs(90);
/// How often is looked whether the owner is stable.
const LOOK: Duration = Duration::from_millis(250);
/// How much of each log an error shows.
const LOG_LINES: usize = 60;

/// Who is measured.
#[derive(Clone, Copy, Debug)]
enum Contender<'a> {
    Hb(&'a Path),
    Heartbeat(&'a Heartbeat),
}

/// What one heal led to, in seconds after it.
struct Heal {
    two_owners: f64,
    no_owner: f64,
    settled: f64,
}

/// Measures both, one after the other.
pub fn measure(hb: &Path, runs: usize) -> Result<Vec<Report>> {
    let heartbeat = Heartbeat::find()?;
    let contenders = [Contender::Hb(hb), Contender::Heartbeat(&heartbeat)];
    contenders
        .into_iter()
        .map(|contender| Arena::start(contender)?.measure(runs))
        .collect()
}

/// Why it cannot be measured, if it cannot.
#[must_use]
pub fn obstacle() -> Option<anyhow::Error> {
    Heartbeat::find().err()
}

/// Two hosts with a contender on both.
struct Arena {
    _daemons: Vec<HostProcess>,
    title: String,
    clock: DayClock,
    lan: Lan,
}

impl Arena {
    /// Starts both daemons, and waits until the first node owns the resource.
    fn start(contender: Contender<'_>) -> Result<Self> {
        let lan = Lan::create(2)?;
        let clock = DayClock::start();
        for host in &lan.nodes {
            Files::of(2, HA_CF).install(host)?;
            stamp::install(host)?;
        }
        let daemons = lan.nodes.iter().map(|host| contender.start(host));
        let daemons = daemons.collect::<Result<Vec<_>>>()?;
        let arena = Self {
            _daemons: daemons.into_iter().flatten().collect(),
            title: contender.title(&lan.nodes[0])?,
            clock,
            lan,
        };
        arena.wait_until("the first node alone owns the resource", || {
            Ok(arena.owners()? == [true, false])
        })?;
        Ok(arena)
    }

    fn measure(&self, runs: usize) -> Result<Report> {
        let watch = Watch::start()?;
        let heals = (0..runs).map(|run| self.heal().with_context(|| format!("{}: heal {}", self.title, run + 1)));
        let heals = heals.collect::<Result<Vec<_>>>()?;
        let load = watch.stop()?;
        let figure =
            |name, value: fn(&Heal) -> f64| Figure::new(name, Unit::Seconds, heals.iter().map(value).collect());
        Ok(Report {
            title: format!(
                "HEAL: {}; keepalive 200 ms, deadtime 2 s, cut for {} s, times after the heal",
                self.title,
                CUT.as_secs()
            ),
            subject: None,
            figures: vec![
                figure("two owners", |heal| heal.two_owners)?,
                figure("no owner", |heal| heal.no_owner)?,
                figure("until one stable owner", |heal| heal.settled)?,
            ],
            counts: [("script calls that overlapped", self.ownership()?.clashes().len() as u64)].into(),
            load,
        })
    }

    /// One cut and heal.
    fn heal(&self) -> Result<Heal> {
        pause(CALM);
        self.lan.cut(&[Station::Node(0)], &[Station::Node(1)])?;
        let cut = Moment::now();
        self.wait_until("both own it", || Ok(self.owners()? == [true, true]))?;
        pause((cut + CUT) - Moment::now());
        self.lan.heal()?;
        let healed = Moment::now();

        self.wait_until("one owner is stable", || {
            // Watching must not be what it waits for.
            pause(LOOK);
            let last = last_call(&self.stamps()?, healed).unwrap_or(healed);
            Ok(last.elapsed() >= STABLE && self.owners()?.iter().filter(|owns| **owns).count() == 1)
        })?;
        Heal::of(&self.stamps()?, healed, Moment::now())
    }

    /// Whether the resource runs on each node.
    fn owners(&self) -> Result<Vec<bool>> {
        let hosts = self.lan.nodes.iter();
        hosts.map(|host| stamp::runs_on(host, RESOURCE)).collect()
    }

    fn stamps(&self) -> Result<Vec<Stamp>> {
        stamp::read(&self.lan.nodes, &self.clock)
    }

    fn ownership(&self) -> Result<Ownership> {
        Ok(Ownership::of(&self.stamps()?))
    }

    fn wait_until(&self, what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
        let held = poll(LIMIT, || Ok(condition()?.then_some(())));
        let held = held.and_then(|held| held.with_context(|| format!("not within {LIMIT:?}: {what}")));
        held.map_err(|error| anyhow!("{error:#}\n{}", Logs(self)))
    }
}

impl Heal {
    /// From the stamps of a heal and what followed, until `end`.
    fn of(stamps: &[Stamp], healed: Moment, end: Moment) -> Result<Self> {
        let ownership = Ownership::of(stamps);
        let settled = last_call(stamps, healed).context("no script was called after the heal")?;
        Ok(Self {
            two_owners: total(&ownership.overlaps(RESOURCE, healed, end)).as_secs_f64(),
            no_owner: total(&ownership.gaps(RESOURCE, healed, end)).as_secs_f64(),
            settled: (settled - healed).as_secs_f64(),
        })
    }
}

/// When a `start` or `stop` last ended after a moment.
fn last_call(stamps: &[Stamp], since: Moment) -> Option<Moment> {
    let is_end = |stamp: &&Stamp| matches!(stamp.what, What::StartEnd { .. } | What::StopEnd { .. });
    let last = stamps.iter().rfind(is_end).map(|stamp| stamp.at);
    last.filter(|at| *at > since)
}

impl Contender<'_> {
    fn start(self, host: &Host) -> Result<Option<HostProcess>> {
        match self {
            Self::Hb(binary) => {
                host.install_file(binary, HB, 0o755)?;
                Ok(Some(host.spawn(host.command(HB).arg("run"))?))
            }
            Self::Heartbeat(heartbeat) => {
                heartbeat.start(host)?;
                Ok(None)
            }
        }
    }

    fn title(self, host: &Host) -> Result<String> {
        match self {
            Self::Hb(_) => Ok(host.run_ok(HB, &["--version"])?.trim().to_owned()),
            Self::Heartbeat(heartbeat) => Ok(format!("Heartbeat {}", heartbeat.version(host)?)),
        }
    }
}

/// What the daemons wrote, and who owned what.
struct Logs<'a>(&'a Arena);

impl fmt::Display for Logs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for host in &self.0.lan.nodes {
            let log = host.log() + &host.read_file("/var/log/ha-log").unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            writeln!(f, "==== {}", host.name())?;
            let shown = lines.iter().skip(lines.len().saturating_sub(LOG_LINES));
            shown.into_iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        match self.0.ownership() {
            Ok(ownership) => ownership
                .intervals()
                .iter()
                .try_for_each(|interval| writeln!(f, "{interval}")),
            Err(error) => writeln!(f, "{error:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_clock(Duration::from_millis(millis))
    }

    fn stamps(calls: &[(u64, &str, What)]) -> Vec<Stamp> {
        let stamp = |(millis, host, what): &(u64, &str, What)| Stamp {
            at: at(*millis),
            host: (*host).to_owned(),
            resource: RESOURCE.to_owned(),
            pid: 1,
            what: *what,
        };
        calls.iter().map(stamp).collect()
    }

    const STARTED: What = What::StartEnd { ok: true };
    const STOPPED: What = What::StopEnd { ok: true };

    #[test]
    fn a_heal_is_told_by_its_stamps() -> Result<()> {
        let before = [
            (1000, "n1", What::StartBegin),
            (1010, "n1", STARTED),
            (5000, "n2", What::StartBegin),
            (5010, "n2", STARTED),
        ];
        // Both give it up, and one takes it again.
        let after = [
            (9500, "n1", What::StopBegin),
            (10_000, "n1", STOPPED),
            (10_500, "n2", STOPPED),
            (12_000, "n1", What::StartBegin),
            (12_250, "n1", STARTED),
            (12_300, "n1", What::Status),
        ];
        let heal = Heal::of(&stamps(&[&before[..], &after].concat()), at(9000), at(30_000))?;
        let found = [heal.two_owners, heal.no_owner, heal.settled].map(f64::to_bits);
        assert_eq!(found, [1.0, 1.5, 3.25].map(f64::to_bits));
        assert!(Heal::of(&stamps(&before), at(9000), at(30_000)).is_err());
        Ok(())
    }

    #[test]
    fn the_owner_that_starts_it_once_more_counts_as_settled_after_that() -> Result<()> {
        let calls = [
            (1000, "n1", What::StartBegin),
            (5000, "n2", What::StartBegin),
            (9250, "n2", STOPPED),
            (9260, "n1", What::StartBegin),
            (9500, "n1", STARTED),
        ];
        let heal = Heal::of(&stamps(&calls), at(9000), at(20_000))?;
        let found = [heal.two_owners, heal.no_owner, heal.settled].map(f64::to_bits);
        assert_eq!(found, [0.25, 0.0, 0.5].map(f64::to_bits));
        Ok(())
    }
}
