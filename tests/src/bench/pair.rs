//! Two hosts with `hb` and a resource of no weight: no cloud, no site and no client that would run beside them.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, anyhow, bail};

use crate::{
    clock::{Moment, poll},
    network::{Network, Server},
    process::HostProcess,
    status::{Status, Takeover},
    tutorial::Files,
};

/// Where `hb` is on a host.
const HB: &str = "/usr/local/sbin/hb";

/// Longest that anything may take that is waited for.
const LIMIT: Duration = Duration::from_secs(20);

/// Where the resource notes when its script ran.
const NOTES: &str = "/run/marker.notes";

/// The resource: a file. Its script notes the time of day and the operation as the first thing that it does.
const MARKER: &str = r#"#!/bin/bash
echo "$EPOCHREALTIME $1" >>/run/marker.notes
case "$1" in
start) : >/run/marker ;;
stop) rm -f /run/marker ;;
status) if [ -e /run/marker ]; then echo running; else echo stopped; fi ;;
esac
"#;

/// The hosts and their daemons.
pub(super) struct Pair {
    daemons: [Option<HostProcess>; 2],
    network: Network,
}

impl Pair {
    /// Starts both, with these lines before the tutorial's ha.cf, and waits until primary owns the resource.
    pub(super) fn start(hb: &Path, timers: &str) -> Result<Self> {
        let network = Network::create()?;
        let files = Files::default().ha_cf_line(timers).haresources("primary marker\n");
        for server in Server::ALL {
            let host = network.server(server);
            files.install(host)?;
            host.write_file("/etc/ha.d/resource.d/marker", 0o755, MARKER)?;
            host.install_file(hb, HB, 0o755)?;
        }
        let mut pair = Self {
            daemons: [None, None],
            network,
        };
        for server in Server::ALL {
            pair.start_hb(server)?;
        }
        pair.settle()?;
        Ok(pair)
    }

    /// Starts the daemon of a host.
    pub(super) fn start_hb(&mut self, server: Server) -> Result<()> {
        let host = self.network.server(server);
        self.daemons[server as usize] = Some(host.spawn(host.command(HB).arg("run"))?);
        Ok(())
    }

    /// The daemon of a host.
    pub(super) fn hb(&self, server: Server) -> Result<&HostProcess> {
        self.daemons[server as usize].as_ref().context("no daemon")
    }

    /// Waits until both daemons see each other and agree that primary owns the resource.
    pub(super) fn settle(&self) -> Result<()> {
        let settled = poll(LIMIT, || {
            for server in Server::ALL {
                if let Some(status) = self.hb(server)?.exit_status()? {
                    bail!("hb on {} ended with {status}", server.name());
                }
            }
            let is_settled = |status: &Status| {
                let state = status.groups.first().map(|group| group.state.as_str());
                let is_calm = state
                    == Some(if status.node == "primary" {
                        "running"
                    } else {
                        "released"
                    });
                status.sees_all_peers() && status.owner() == Some("primary") && is_calm
            };
            let settled = |server: &Server| self.status(*server).is_ok_and(|status| is_settled(&status));
            Ok(Server::ALL.iter().all(settled).then_some(()))
        });
        let settled = settled.and_then(|settled| settled.context("the daemons do not settle"));
        settled.map_err(|error| self.explained(&error))
    }

    /// Waits until secondary has taken over, which it decided at `since` or later.
    pub(super) fn takeover(&self, since: Moment) -> Result<Takeover> {
        let takeover = poll(LIMIT, || {
            let takeover = self.status(Server::Secondary)?.last_takeover;
            Ok(takeover.filter(|takeover| {
                let decided = takeover.decided_us.and_then(|decided| takeover.moment(decided));
                decided.is_some_and(|decided| decided >= since) && takeover.start().is_some()
            }))
        });
        let takeover = takeover.and_then(|takeover| takeover.context("secondary does not take over"));
        takeover.map_err(|error| self.explained(&error))
    }

    /// When the script of secondary's resource began to run for the first time at `since` or later.
    pub(super) fn script_ran(&self, since: Moment) -> Result<Moment> {
        let notes = self.network.secondary.read_file(NOTES)?;
        let times = notes.lines().filter_map(|line| {
            let (seconds, micros) = line.split_whitespace().next()?.split_once('.')?;
            let time = Duration::from_secs(seconds.parse().ok()?) + Duration::from_micros(micros.parse().ok()?);
            Some(Moment::from_time_of_day(time))
        });
        let mut later = times.filter(|time| *time >= since);
        later.next().context("the script has noted nothing")
    }

    /// How often a host's daemons logged something that contains this.
    pub(super) fn logged(&self, server: Server, what: &str) -> u64 {
        self.network.server(server).log().matches(what).count() as u64
    }

    /// Runs hb on a host, which must succeed.
    pub(super) fn run_hb(&self, server: Server, arguments: &[&str]) -> Result<String> {
        self.network.server(server).run_ok(HB, arguments)
    }

    /// What a host's daemon says.
    pub(super) fn status(&self, server: Server) -> Result<Status> {
        Status::parse(&self.network.server(server).run_ok(HB, &["status", "--json"])?)
    }

    fn explained(&self, error: &anyhow::Error) -> anyhow::Error {
        let [primary, secondary] = Server::ALL.map(|server| self.network.server(server).log());
        anyhow!("{error:#}\n==== primary\n{primary}==== secondary\n{secondary}")
    }
}
