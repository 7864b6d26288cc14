//! Two hosts on a switch, somebody who is measured on both, and an observer between them.
//!
//! All times that come out of here are the observer's (the kernel's time stamp of a packet at the switch), a started
//! script's own reading of the clock, or what a daemon's own status or log says where nothing else can tell.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use nix::{sys::signal::Signal, unistd::Pid};

use super::{
    contender::{ADDRESS, Contender, RESOURCE, Verdict},
    observer::{Observer, Sighting, packet::Packet},
    processes::{self, Process},
    trigger::{Shot, Trigger},
};
use crate::{
    clock::{DayClock, Moment, pause, poll},
    host::Host,
    network::INTERFACE,
    nodes::lan::{Lan, Station},
    stamp::{self, Stamp, What},
};

/// How many nodes there are.
pub const NODES: usize = 2;

/// Longest that anything may take that is waited for.
const LIMIT: Duration = Duration::from_secs(40);
/// Longest that killed processes may take to be gone.
const DYING: Duration = Duration::from_secs(10);
/// How often is looked. Looking costs, too.
const LOOK: Duration = Duration::from_millis(10);
/// How far the time of day may have moved to the monotonic clock.
const STEADY: Duration = Duration::from_micros(200);
/// How much of each log an error shows.
const LOG_LINES: usize = 40;

/// What a contender may look at to tell how its daemons are.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The nodes' hosts.
    pub hosts: &'a [Host],
    /// All that they sent.
    pub observer: &'a Observer,
    /// How the time of day lies to the monotonic clock.
    pub clock: &'a DayClock,
}

/// The hosts, the contender's daemons, and the observer. All of it ends when this is dropped.
#[derive(Debug)]
pub struct Arena {
    contender: Arc<dyn Contender>,
    trigger: Trigger,
    observer: Observer,
    clock: DayClock,
    lan: Lan,
}

impl Arena {
    /// Makes the hosts, starts the contender on both, and waits until they have settled.
    pub fn start(contender: Arc<dyn Contender>) -> Result<Self> {
        let lan = Lan::create(NODES)?;
        let clock = DayClock::start();
        let ports: Vec<_> = (0..NODES).map(|node| Station::Node(node).port()).collect();
        let arena = Self {
            observer: Observer::start(lan.switch(), &ports, clock)?,
            trigger: Trigger::start()?,
            contender,
            clock,
            lan,
        };
        for (node, host) in arena.hosts().iter().enumerate() {
            stamp::install(host)?;
            arena.contender.install(host, node)?;
        }
        for node in 0..NODES {
            arena.start_daemon(node)?;
        }
        arena.settle()?;
        Ok(arena)
    }

    /// Who is measured.
    #[must_use]
    pub fn contender(&self) -> &dyn Contender {
        &*self.contender
    }

    /// The network: the nodes' hosts, a gateway beside them, and the switch.
    #[must_use]
    pub fn lan(&self) -> &Lan {
        &self.lan
    }

    /// The observer.
    #[must_use]
    pub fn observer(&self) -> &Observer {
        &self.observer
    }

    /// What sends signals.
    #[must_use]
    pub fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// A node's host.
    #[must_use]
    pub fn host(&self, node: usize) -> &Host {
        &self.lan.nodes[node]
    }

    fn hosts(&self) -> &[Host] {
        &self.lan.nodes
    }

    fn view(&self) -> View<'_> {
        View {
            hosts: self.hosts(),
            observer: &self.observer,
            clock: &self.clock,
        }
    }

    /// The processes of a node's daemon.
    pub fn processes(&self, node: usize) -> Result<Vec<Process>> {
        processes::named(self.host(node), self.contender.processes())
    }

    /// Their ids.
    pub fn pids(&self, node: usize) -> Result<Vec<Pid>> {
        let pids: Vec<_> = self.processes(node)?.iter().map(|process| process.pid).collect();
        ensure!(
            !pids.is_empty(),
            "{}: no daemon on {}\n{}",
            self.contender.name(),
            self.host(node).name(),
            self.logs()
        );
        Ok(pids)
    }

    /// Starts a node's daemon.
    pub fn start_daemon(&self, node: usize) -> Result<()> {
        // A beat of its former life says nothing about how it is.
        self.observer.forget_before(Moment::now());
        self.contender.start(self.host(node), node)
    }

    /// Kills all processes of a node's daemon by SIGKILL, and says when.
    pub fn kill(&self, node: usize) -> Result<Moment> {
        self.signal(node, Signal::SIGKILL)
    }

    /// Sends a signal to all processes of a node's daemon, and says when.
    pub fn signal(&self, node: usize, signal: Signal) -> Result<Moment> {
        let shot = Shot {
            at: Moment::now(),
            signal,
            targets: self.pids(node)?,
        };
        let fired = self.trigger.fire(vec![shot])?;
        fired.first().copied().context("the trigger did not fire")
    }

    /// Asks a node's daemon to stop in good order, says when, and does not wait.
    pub fn stop(&self, node: usize) -> Result<Moment> {
        let asked = Moment::now();
        self.contender.stop(self.host(node))?;
        Ok(asked)
    }

    /// Waits until a node's daemon has ended.
    pub fn wait_gone(&self, node: usize, limit: Duration) -> Result<()> {
        let gone = poll(limit, || {
            let gone = self.processes(node)?.is_empty();
            if !gone {
                pause(LOOK);
            }
            Ok(gone.then_some(()))
        })?;
        let name = self.host(node).name();
        gone.with_context(|| format!("{} still runs on {name} after {limit:?}", self.contender.name()))
    }

    /// Brings a node whose daemon was killed back, as after a loss of power: it owns nothing.
    pub fn revive(&self, node: usize) -> Result<()> {
        self.wait_gone(node, DYING)?;
        let host = self.host(node);
        stamp::lose_all(host)?;
        // It is there or it is not.
        host.run("ip", &["address", "del", &format!("{ADDRESS}/24"), "dev", INTERFACE])?;
        self.start_daemon(node)
    }

    /// As [`settle`](Self::settle), but for who was left at odds with its peer: both daemons begin again then and, if that
    /// does not help, on other hosts.
    pub fn settle_somehow(&mut self) -> Result<usize> {
        let settled = self.settle().or_else(|_| self.restart_all());
        settled.or_else(|_| {
            *self = Self::start(Arc::clone(&self.contender))?;
            self.settle()
        })
    }

    /// Begins again with both daemons, whatever they are at.
    pub fn restart_all(&self) -> Result<usize> {
        for node in 0..NODES {
            let targets = self.processes(node)?.iter().map(|process| process.pid).collect();
            self.trigger.fire(vec![Shot {
                at: Moment::now(),
                signal: Signal::SIGKILL,
                targets,
            }])?;
        }
        for node in 0..NODES {
            self.revive(node)?;
        }
        self.settle()
    }

    /// Waits until both daemons have settled and exactly one node owns the resource: that one, or node 0 where the
    /// contender does not act.
    pub fn settle(&self) -> Result<usize> {
        let owner = poll(LIMIT, || {
            let owner = self.owner()?;
            if owner.is_some() && self.contender.is_settled(&self.view())? {
                return Ok(owner);
            }
            pause(LOOK);
            Ok(None)
        });
        let owner = owner.and_then(|owner| owner.with_context(|| format!("not settled within {LIMIT:?}")));
        owner.map_err(|error| self.explained(&error))
    }

    /// The only node that owns the resource, if exactly one does; node 0 where the contender does not act.
    pub fn owner(&self) -> Result<Option<usize>> {
        if !self.contender.acts() {
            return Ok(Some(0));
        }
        let owners = self.owners()?;
        let mut owning = owners.iter().enumerate().filter(|(_, owns)| **owns);
        let first = owning.next().map(|(node, _)| node);
        Ok(first.filter(|_| owning.next().is_none()))
    }

    /// Whether each node owns the resource, by what its script remembers.
    pub fn owners(&self) -> Result<Vec<bool>> {
        let hosts = self.hosts().iter();
        hosts.map(|host| stamp::runs_on(host, RESOURCE)).collect()
    }

    /// What the scripts stamped, in the order of their times.
    pub fn stamps(&self) -> Result<Vec<Stamp>> {
        self.ensure_steady()?;
        stamp::read(self.hosts(), &self.clock)
    }

    /// All verdicts since then, by either node on the other, in the order of their times.
    pub fn verdicts(&self, since: Moment) -> Result<Vec<Verdict>> {
        self.contender.verdicts(&self.view(), since)
    }

    /// When a node came to its first verdict since then.
    pub fn detected(&self, by: usize, since: Moment) -> Result<Option<Moment>> {
        self.contender.detected(&self.view(), by, since)
    }

    /// How often a node declared its peer dead, to be compared with what it was before.
    pub fn deaths(&self, by: usize, since: Moment) -> Result<u64> {
        self.contender.deaths(&self.view(), by, since)
    }

    /// The newest beat that a node sent.
    pub fn last_beat(&self, node: usize) -> Result<Option<Sighting>> {
        self.observer.newest(node, |packet| self.contender.is_beat(packet))
    }

    /// When a node first announced [`ADDRESS`] since then.
    pub fn announced(&self, node: usize, since: Moment) -> Result<Option<Moment>> {
        let seen = self.observer.since(since)?;
        let mut announcements = seen
            .iter()
            .filter(|seen| seen.sender == node && seen.packet == Packet::Announcement(ADDRESS));
        Ok(announcements.next().map(|seen| seen.at))
    }

    /// When a node's script was first called since then, and when with `start`.
    pub fn acted(&self, node: usize, since: Moment) -> Result<Acted> {
        let stamps = self.stamps()?;
        let name = self.host(node).name();
        let since = || stamps.iter().filter(|stamp| stamp.host == name && stamp.at >= since);
        Ok(Acted {
            first_script: since().map(|stamp| stamp.at).next(),
            start: since()
                .find(|stamp| stamp.what == What::StartBegin)
                .map(|stamp| stamp.at),
        })
    }

    /// Insists that the time of day, by which packets and scripts are timed, was not set meanwhile.
    pub fn ensure_steady(&self) -> Result<()> {
        let astray = self.clock.astray();
        ensure!(
            astray <= STEADY,
            "the time of day was set meanwhile, by {astray:?}: nothing that it timed is worth anything"
        );
        Ok(())
    }

    /// What the daemons wrote last, for an error.
    #[must_use]
    pub fn logs(&self) -> String {
        Logs(self).to_string()
    }

    /// An error, with what the daemons wrote.
    #[must_use]
    pub fn explained(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow!("{}: {error:#}\n{}", self.contender.name(), self.logs())
    }
}

/// When a node's script was called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Acted {
    /// For the first time, with whatever.
    pub first_script: Option<Moment>,
    /// For the first time with `start`.
    pub start: Option<Moment>,
}

/// The log files that a daemon may have on its host, beside what it writes to its stderr.
const LOGS: [&str; 2] = [super::contender::Heartbeat::LOG, super::contender::Bfdd::LOG];

/// What the daemons wrote.
struct Logs<'a>(&'a Arena);

impl fmt::Display for Logs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for host in self.0.hosts() {
            let files = LOGS.iter().map(|path| host.read_file(path).unwrap_or_default());
            let log = [host.log()].into_iter().chain(files).collect::<String>();
            let lines: Vec<_> = log.lines().collect();
            writeln!(f, "==== {}", host.name())?;
            let shown = &lines[lines.len().saturating_sub(LOG_LINES)..];
            shown.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        Ok(())
    }
}
