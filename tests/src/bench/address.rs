//! From the decision to take an address over to its first announcement on the wire, as a third host sees it: gratuitous ARP,
//! or an unsolicited neighbour advertisement.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{
    detect::{BESIDE, micros},
    journal::Show,
    machine::{Load, Watch},
    observer::{Observer, packet::Packet},
    plan::Plan,
    report::{Figure, Goal, Report, Subject, Unit},
};
use crate::{
    clock::{DayClock, Moment, pause, poll},
    cluster::HB,
    network::INTERFACE,
    nodes::{Files, Nodes, lan::Station},
};

/// The decision is the daemon's record, the announcement the third host's time stamp of it.
pub const ANNOUNCED: &str = "decision to the first announcement";

/// Without these no daemon starts anew; the address stays where it went.
const TIMERS: &str = "keepalive 10ms\ndeadtime 30ms\nauto_failback off";
/// The address that moves.
const V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 100);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);

/// Longest that anything may take that is waited for.
const LIMIT: Duration = Duration::from_secs(40);
/// How often is looked. Looking costs.
const LOOK: Duration = Duration::from_millis(10);
/// Calm before each move.
const CALM: Duration = Duration::from_millis(150);
/// How far the time of day, by which packets are stamped, may have moved to the monotonic clock.
const STEADY: Duration = Duration::from_micros(200);

/// The same address, again and again.
struct Series {
    event: &'static str,
    ip: IpAddr,
    haresources: &'static str,
    policy: &'static str,
    /// How often, for docs/BENCHMARKS.md and for a first impression.
    runs: (usize, usize),
}

const SERIES: [Series; 4] = [
    Series::v4("log", (30, 5)),
    Series::v6("log", (30, 5)),
    Series::v4("ignore", (15, 5)),
    Series::v6("ignore", (15, 5)),
];

impl Series {
    const fn v4(policy: &'static str, runs: (usize, usize)) -> Self {
        Self {
            event: "IPv4",
            ip: IpAddr::V4(V4),
            haresources: "n1 IPaddr2::198.51.100.100/24/eth0\n",
            policy,
            runs,
        }
    }

    const fn v6(policy: &'static str, runs: (usize, usize)) -> Self {
        Self {
            event: "IPv6",
            ip: IpAddr::V6(V6),
            haresources: "n1 IPv6addr::2001:db8::100/64/eth0\n",
            policy,
            runs,
        }
    }

    fn announcement(&self) -> Packet {
        match self.ip {
            IpAddr::V4(ip) => Packet::Announcement(ip),
            IpAddr::V6(ip) => Packet::Advertisement(ip),
        }
    }

    /// As in tables; the default policy is not named.
    fn timers(&self) -> String {
        match self.policy {
            "log" => BESIDE.to_string(),
            policy => format!("{BESIDE}, conflict {policy}"),
        }
    }
}

/// Measures all that is wanted, and shows each report.
pub fn measure(plan: &Plan, show: &mut Show<'_>) -> Result<()> {
    let names = ["IPv4", "IPv6"];
    plan.only_among(&names)?;
    for series in SERIES.iter().filter(|series| plan.wants(series.event, &names)) {
        let mut site = Site::start(plan, series)?;
        let watch = Watch::start()?;
        let (full, quick) = series.runs;
        let took: Vec<_> = (0..plan.runs(full, quick))
            .map(|run| site.r#move(series, run))
            .collect::<Result<_>>()?;
        let load = watch.stop()?;
        let astray = site.clock.astray();
        ensure!(
            astray <= STEADY,
            "the time of day was set meanwhile, by {astray:?}: nothing that it timed is worth anything"
        );
        show(report(series, took, site.observer.dropped(), load)?)?;
    }
    Ok(())
}

fn report(series: &Series, took: Vec<f64>, dropped: u64, load: Load) -> Result<Report> {
    let figure = Figure::new(ANNOUNCED, Unit::Millis, took)?;
    Ok(Report {
        title: format!(
            "ADDRESS: {}, [address] conflict {}: from the decision, by hb's record, to the announcement at a third host",
            series.event, series.policy
        ),
        subject: Some(Subject {
            contender: "hb".to_owned(),
            timers: series.timers(),
            event: series.event.to_owned(),
            step: "idle".to_owned(),
        }),
        figures: vec![figure.goal(Goal::Median(2.0))],
        counts: [("packets that the observer lost", dropped)].into(),
        load,
    })
}

/// Two nodes, and an observer on the host beside them.
struct Site {
    observer: Observer,
    clock: DayClock,
    nodes: Nodes,
    owner: usize,
}

impl Site {
    fn start(plan: &Plan, series: &Series) -> Result<Self> {
        let toml = format!("[address]\nconflict = {:?}\n", series.policy);
        let files = |_| Files::of(2, TIMERS).haresources(series.haresources).hb_toml(&toml);
        let mut nodes = Nodes::create(2, files)?;
        for node in 0..nodes.count() {
            nodes.host(node).install_file(&plan.hb, HB, 0o755)?;
        }
        nodes.start_all()?;
        nodes.wait_until_agreed(0)?;
        let clock = DayClock::start();
        Ok(Self {
            observer: Observer::start(&nodes.lan.gateway, &[INTERFACE.to_owned()], clock)?,
            clock,
            nodes,
            owner: 0,
        })
    }

    /// The owner is cut off from everybody, and loses its power before the cut heals. Gives how long it took, in
    /// milliseconds, from the decision until the third host heard where the address is.
    fn r#move(&mut self, series: &Series, run: usize) -> Result<f64> {
        self.nodes.wait_until_agreed(self.owner)?;
        pause(CALM + BESIDE.interval * u32::try_from(run % 7)? / 7);
        let (owner, taker) = (self.owner, 1 - self.owner);
        self.observer.forget_before(Moment::now());
        let cut = Moment::now();
        let others = [Station::Node(taker), Station::Gateway];
        self.nodes.lan.cut(&[Station::Node(owner)], &others)?;
        let decided = self.wait_for_decision(taker, cut)?;
        let seen = poll(LIMIT, || {
            let seen = self.observer.since(decided)?;
            Ok(seen.into_iter().find(|seen| seen.packet == series.announcement()))
        })?;
        let seen = seen.with_context(|| format!("{} was not announced within {LIMIT:?}", series.ip))?;

        self.nodes.power_off(owner)?;
        // It is there or, with the daemon stopped in time, it is not.
        let ip = series.ip.to_string();
        let prefix = if series.ip.is_ipv4() { 24 } else { 64 };
        let host = self.nodes.host(owner);
        host.run("ip", &["address", "del", &format!("{ip}/{prefix}"), "dev", INTERFACE])?;
        self.nodes.lan.heal()?;
        self.nodes.start(owner)?;
        self.owner = taker;
        Ok(micros(seen.at.micros_since(decided)) / 1000.0)
    }

    fn wait_for_decision(&self, taker: usize, since: Moment) -> Result<Moment> {
        let decided = poll(LIMIT, || {
            pause(LOOK);
            let takeover = self.nodes.status(taker)?.last_takeover;
            let decided = takeover.and_then(|takeover| takeover.moment(takeover.decided_us?));
            Ok(decided.filter(|at| *at >= since))
        });
        let decided = decided.and_then(|decided| decided.context("nobody took over"));
        decided.map_err(|error| self.nodes.explained(&error))
    }
}

#[cfg(test)]
mod tests;
