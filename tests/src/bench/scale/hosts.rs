//! Many nodes, each a host with hb, that beat a thousand times a second to each other.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};

use crate::{
    bench::{
        contender::Timers,
        journal::Show,
        machine::Watch,
        plan::Plan,
        processes,
        report::{Figure, Report, Subject, Unit},
    },
    clock::{Moment, pause, poll},
    cluster::HB,
    host::Host,
    nodes::{
        Files,
        lan::{Lan, address, name},
    },
    process::HostProcess,
    stamp,
    status::Status,
};

/// How many nodes there are, as long as the machine carries them.
const NODES: [usize; 7] = [2, 3, 4, 6, 8, 12, 16];
/// Those of a first impression.
const QUICK_NODES: usize = 4;

/// The interval of the goal, and those at which the most nodes are measured where the machine does not carry them at that.
const INTERVAL_MS: u64 = 1;
const LONGER_MS: [u64; 3] = [2, 4, 8];
/// The deadtime, in intervals.
const DEADTIME: u64 = 20;

/// Longest that it may take until all see all. A machine that is too small never gets there, and that is a result.
const SETTLING: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(100);

/// A value of a daemon's, from what it said before and after so many seconds.
type Value = fn(&Said, &Said, f64) -> f64;

/// Ever more nodes until the machine is full; and if it is before all are there, all of them at longer intervals until it
/// is not.
pub(super) fn measure_all(plan: &Plan, show: &mut Show<'_>) -> Result<()> {
    let sizes = NODES.into_iter().filter(|nodes| !plan.quick || *nodes <= QUICK_NODES);
    let mut full_at = None;
    for nodes in sizes {
        if !measure(plan, nodes, timers(INTERVAL_MS), show)? {
            full_at = Some(nodes);
            break;
        }
    }
    let Some(nodes) = full_at else {
        return Ok(());
    };
    let most = NODES[NODES.len() - 1];
    println!(
        "SCALE: the machine is full: {nodes} nodes that beat every {INTERVAL_MS} ms, {} beats a second, are more than it \
         carries. {most} nodes follow, at longer intervals.\n",
        nodes * (nodes - 1) * 1000
    );
    for interval in LONGER_MS {
        if measure(plan, most, timers(interval), show)? {
            break;
        }
    }
    Ok(())
}

/// Some seconds of a cluster of so many nodes: whether the machine carries it, so that all see all and say so.
fn measure(plan: &Plan, nodes: usize, timers: Timers, show: &mut Show<'_>) -> Result<bool> {
    let window = Duration::from_secs(if plan.quick { 2 } else { 5 });
    let cluster = Cluster::start(plan, nodes, timers)?;
    let sees_all = cluster.settle()?;
    let watch = Watch::start()?;
    let (began, before) = (Moment::now(), cluster.look()?);
    pause(window);
    let (seconds, after) = (began.elapsed().as_secs_f64(), cluster.look()?);
    let both = || before.iter().zip(&after);
    let used = both().map(|(before, after)| (after.ran - before.ran) * 100.0 / seconds);
    let mut figures = vec![Figure::new("CPU of a daemon", Unit::Percent, used.collect())?];
    let said = || both().filter_map(|(before, after)| Some((before.said.as_ref()?, after.said.as_ref()?)));
    let values: [(&str, Unit, Value); 4] = [
        ("beats heard", Unit::PerSecond, |before, after, seconds| {
            (after.accepted - before.accepted) / seconds
        }),
        ("beats lost", Unit::PerSecond, |before, after, seconds| {
            (after.lost - before.lost) / seconds
        }),
        ("worst lateness since its start", Unit::Micros, |_, after, _| {
            after.lateness
        }),
        (
            "longest gap between a peer's beats since then",
            Unit::Micros,
            |_, after, _| after.gap,
        ),
    ];
    if said().next().is_some() {
        for (name, unit, value) in values {
            let each = said().map(|(before, after)| value(before, after, seconds));
            figures.push(Figure::new(name, unit, each.collect())?);
        }
    }
    let deaths: u64 = both().map(|(before, after)| after.deaths - before.deaths).sum();
    let silent = nodes - said().count();
    show(Report {
        title: format!(
            "SCALE: {nodes} nodes, {timers}, all on this machine, for {} s: each value is a daemon's",
            window.as_secs()
        ),
        subject: Some(Subject {
            contender: "hb".into(),
            timers: timers.to_string(),
            event: format!("{nodes} nodes"),
            step: "idle".into(),
        }),
        figures,
        counts: [
            ("nodes that gave no status in time", silent as u64),
            ("nodes that saw all others before it", sees_all as u64),
            ("false deaths, told by all nodes together", deaths),
        ]
        .into(),
        load: watch.stop()?,
    })?;
    Ok(sees_all == nodes && silent == 0)
}

const fn timers(interval_ms: u64) -> Timers {
    Timers::millis(interval_ms, interval_ms * DEADTIME)
}

/// The daemons and their hosts.
struct Cluster {
    daemons: Vec<HostProcess>,
    lan: Lan,
}

/// How a daemon stands.
struct Look {
    ran: f64,
    deaths: u64,
    /// `None` on a machine that is too busy for an answer.
    said: Option<Said>,
}

/// What it says of itself.
struct Said {
    accepted: f64,
    lost: f64,
    lateness: f64,
    gap: f64,
}

impl Said {
    fn of(status: &Status) -> Self {
        let links = || {
            let peers = status.json["peers"].as_array().into_iter().flatten();
            peers.flat_map(|peer| peer["links"].as_array().into_iter().flatten())
        };
        let sum = |what: &str| links().filter_map(|link| link[what].as_f64()).sum();
        let gaps = links().filter_map(|link| link["gap_max_us"].as_f64());
        Self {
            accepted: sum("accepted"),
            lost: sum("lost"),
            lateness: status.json["pulse"]["worst_lateness_us"].as_f64().unwrap_or_default(),
            gap: gaps.fold(0.0, f64::max),
        }
    }
}

impl Cluster {
    fn start(plan: &Plan, nodes: usize, Timers { interval, deadtime }: Timers) -> Result<Self> {
        let lan = Lan::create(nodes)?;
        let names: Vec<_> = (0..nodes)
            .map(|node| format!("{} {}", address(node), name(node)))
            .collect();
        let hosts = format!("127.0.0.1 localhost\n{}\n", names.join("\n"));
        let ha_cf = format!(
            "keepalive {}ms\ndeadtime {}ms",
            interval.as_millis(),
            deadtime.as_millis()
        );
        let mut daemons = Vec::new();
        for host in &lan.nodes {
            host.write_file("/etc/hosts", 0o644, &hosts)?;
            Files::of(nodes, &ha_cf).install(host)?;
            stamp::install(host)?;
            host.install_file(&plan.hb, HB, 0o755)?;
        }
        for host in &lan.nodes {
            daemons.push(host.spawn(host.command(HB).arg("run"))?);
        }
        Ok(Self { daemons, lan })
    }

    /// Waits until all see all, or for as long as is waited; gives how many do.
    fn settle(&self) -> Result<usize> {
        let mut seeing = 0;
        let began = Moment::now();
        poll(SETTLING, || {
            pause(LOOK);
            let sees = |host: &&Host| Status::of_host(host).is_ok_and(|status| status.sees_all_peers());
            // On a machine that is too busy each answer takes long.
            let in_time = self.lan.nodes.iter().take_while(|_| began.elapsed() < SETTLING);
            seeing = in_time.filter(sees).count();
            Ok((seeing == self.lan.nodes.len()).then_some(()))
        })?;
        Ok(seeing)
    }

    fn look(&self) -> Result<Vec<Look>> {
        let running: BTreeMap<u32, f64> = self
            .lan
            .nodes
            .iter()
            .map(|host| processes::named(host, &["hb"]))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .filter_map(|process| Some((u32::try_from(process.pid.as_raw()).ok()?, process.ran.as_secs_f64())))
            .collect();
        let mut answers = true;
        let looks = self.lan.nodes.iter().zip(&self.daemons).map(|(host, daemon)| {
            // Where one gives none the others need not be waited for, each for as long.
            let said = if answers { Status::of_host(host).ok() } else { None };
            answers = said.is_some();
            Ok(Look {
                ran: *running.get(&daemon.pid()).context("a daemon has ended")?,
                deaths: host.log().matches("peer is silent").count() as u64,
                said: said.map(|status| Said::of(&status)),
            })
        });
        looks.collect()
    }
}
