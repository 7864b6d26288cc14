//! A cluster of any size on a [`Lan`]: `hb` on each node, and `stamp` for a resource, which records who owned what when.
//!
//! Nodes count from 0 in code; on the hosts they are `n1` and so on.

pub mod expect;
pub mod lan;
pub mod power;

use std::{fmt, fmt::Write as _, os::unix::process::ExitStatusExt as _, process::ExitStatus, thread, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};

use crate::{
    clock::{DayClock, poll},
    cluster::{HB, hb_binary},
    host::Host,
    ownership::Ownership,
    places::Place,
    process::HostProcess,
    stamp,
    status::Status,
    tutorial::AUTHKEYS,
};
use lan::{Lan, address, name};

/// Longest that an asked daemon may take to end.
const STOPPING: Duration = Duration::from_secs(20);

/// How much of a host's log a failure shows.
const LOG_LINES: usize = 60;

/// The files of one node.
#[derive(Clone, Debug)]
pub struct Files {
    /// /etc/ha.d/ha.cf.
    pub ha_cf: String,
    /// /etc/ha.d/authkeys.
    pub authkeys: String,
    /// /etc/ha.d/haresources.
    pub haresources: String,
    /// /etc/ha.d/hb.toml, if there is one.
    pub hb_toml: Option<String>,
}

impl Files {
    /// The files of every node in a cluster of so many, where the first node prefers `web`, with these lines before
    /// ha.cf's nodes.
    #[must_use]
    pub fn of(nodes: usize, ha_cf: &str) -> Self {
        let mut text = format!("{ha_cf}\n");
        for node in 0..nodes {
            // Writing to a string does not fail.
            let _ = writeln!(text, "node {}\nucast eth0 {}", name(node), address(node));
        }
        Self {
            ha_cf: text,
            authkeys: AUTHKEYS.to_owned(),
            haresources: format!("{} {}::web\n", name(0), stamp::NAME),
            hb_toml: None,
        }
    }

    /// Another haresources.
    #[must_use]
    pub fn haresources(mut self, contents: &str) -> Self {
        contents.clone_into(&mut self.haresources);
        self
    }

    /// An hb.toml.
    #[must_use]
    pub fn hb_toml(mut self, contents: &str) -> Self {
        self.hb_toml = Some(contents.to_owned());
        self
    }

    /// Writes the files on a host.
    pub fn install(&self, host: &Host) -> Result<()> {
        host.write_file("/etc/ha.d/ha.cf", 0o644, &self.ha_cf)?;
        host.write_file("/etc/ha.d/authkeys", 0o600, &self.authkeys)?;
        host.write_file("/etc/ha.d/haresources", 0o644, &self.haresources)?;
        match &self.hb_toml {
            Some(contents) => host.write_file("/etc/ha.d/hb.toml", 0o644, contents),
            None => Ok(()),
        }
    }
}

/// What a command wrote, and how it ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its stdout.
    pub out: String,
    /// Its stderr.
    pub err: String,
}

/// A cluster. Everything in it ends when it is dropped; a panicking test shows the hosts' logs then.
#[derive(Debug)]
pub struct Nodes {
    daemons: Vec<Option<HostProcess>>,
    clock: DayClock,
    /// The hosts and their network: cut and heal there.
    pub lan: Lan,
    // The last to go: until then the hosts need the machine.
    _place: Place,
}

impl Nodes {
    /// Makes the hosts, each with its files, `stamp` and hb; starts no daemon.
    pub fn create(nodes: usize, files: impl Fn(usize) -> Files) -> Result<Self> {
        let hb = hb_binary()?;
        let place = Place::take();
        let lan = Lan::create(nodes)?;
        let names: Vec<_> = (0..nodes)
            .map(|node| format!("{} {}", address(node), name(node)))
            .collect();
        let names = names.join("\n");
        for (node, host) in lan.nodes.iter().enumerate() {
            // Of three nodes or more the names have to tell which address is whose.
            host.write_file("/etc/hosts", 0o644, format!("127.0.0.1 localhost\n{names}\n"))?;
            files(node).install(host)?;
            stamp::install(host)?;
            host.install_file(&hb, HB, 0o755)?;
            power::install(host)?;
        }
        Ok(Self {
            daemons: (0..nodes).map(|_| None).collect(),
            clock: DayClock::start(),
            lan,
            _place: place,
        })
    }

    /// How many nodes there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lan.nodes.len()
    }

    /// A node's host.
    #[must_use]
    pub fn host(&self, node: usize) -> &Host {
        &self.lan.nodes[node]
    }

    /// Starts `hb run` on a node; its log goes to the host's.
    pub fn start(&mut self, node: usize) -> Result<()> {
        let host = self.host(node);
        let daemon = host.spawn(host.command(HB).arg("run"))?;
        self.daemons[node] = Some(daemon);
        Ok(())
    }

    /// Starts `hb run` on all nodes.
    pub fn start_all(&mut self) -> Result<()> {
        (0..self.count()).try_for_each(|node| self.start(node))
    }

    /// The daemon on a node, which must have been started.
    pub fn daemon(&self, node: usize) -> Result<&HostProcess> {
        let daemon = self.daemons[node].as_ref();
        daemon.with_context(|| format!("hb was not started on {}", name(node)))
    }

    /// Sends SIGTERM to a node's daemon, and does not wait.
    pub fn term(&self, node: usize) -> Result<()> {
        self.daemon(node)?.term()
    }

    /// Waits until a node's daemon has ended.
    pub fn wait_exit(&self, node: usize) -> Result<ExitStatus> {
        let ended = self.daemon(node)?.wait_exit(STOPPING);
        ended.map_err(|error| self.explained(&error))
    }

    /// Stops a node's daemon in good order and waits for its end, which must be a success.
    pub fn stop(&self, node: usize) -> Result<()> {
        self.term(node)?;
        let status = self.wait_exit(node)?;
        ensure!(
            status.success(),
            "{}",
            self.explained(&anyhow!("hb on {} ended with {status}", name(node)))
        );
        Ok(())
    }

    /// Ends a node's daemon by SIGKILL. Its resources, and a script that runs, stay: see [`power_off`](Self::power_off).
    pub fn kill9(&self, node: usize) -> Result<()> {
        self.daemon(node)?.kill9()
    }

    /// Ends all that runs on a node, as a loss of power does: its resources are lost, which is stamped.
    pub fn power_off(&mut self, node: usize) -> Result<()> {
        power::lose(self.host(node))?;
        self.daemons[node] = None;
        Ok(())
    }

    /// Freezes all that runs on a node, as a paused virtual machine is.
    pub fn freeze(&self, node: usize) -> Result<()> {
        power::signal_all(self.host(node), "STOP")
    }

    /// Lets it go on.
    pub fn thaw(&self, node: usize) -> Result<()> {
        power::signal_all(self.host(node), "CONT")
    }

    /// What a node's daemon says about the cluster.
    pub fn status(&self, node: usize) -> Result<Status> {
        Status::of_host(self.host(node))
    }

    /// Runs hb on a node, to its end.
    pub fn run(&self, node: usize, arguments: &[&str]) -> Result<Ran> {
        let output = self.host(node).run(HB, arguments)?;
        Ok(Ran {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// What a node's daemons wrote.
    #[must_use]
    pub fn log(&self, node: usize) -> String {
        self.host(node).log()
    }

    /// The nodes on which a resource runs, by what its script remembers.
    pub fn runs_on(&self, resource: &str) -> Result<Vec<usize>> {
        let mut nodes = Vec::new();
        for (node, host) in self.lan.nodes.iter().enumerate() {
            if stamp::runs_on(host, resource)? {
                nodes.push(node);
            }
        }
        Ok(nodes)
    }

    /// Every stamp of every node's so far, in the order of their times.
    pub fn stamps(&self) -> Result<Vec<stamp::Stamp>> {
        stamp::read(&self.lan.nodes, &self.clock)
    }

    /// Who has owned what so far.
    pub fn ownership(&self) -> Result<Ownership> {
        Ok(Ownership::of(&self.stamps()?))
    }

    /// Waits until a resource runs on one node and on no other, and that node's daemon, if there is one, knows.
    pub fn wait_for_owner(&self, resource: &str, node: usize, limit: Duration) -> Result<()> {
        self.wait_until(&format!("{resource} runs on {} alone", name(node)), limit, || {
            Ok(self.runs_on(resource)? == [node] && self.status(node).map_or(true, |status| status.is_at_rest()))
        })
    }

    /// Waits until a condition holds; when it does not within `limit`, the error shows the hosts' logs.
    pub fn wait_until(&self, what: &str, limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
        let held = poll(limit, || {
            self.ensure_alive()?;
            Ok(condition()?.then_some(()))
        });
        let held = held.and_then(|held| held.context("it does not"));
        held.map_err(|error| self.explained(&error.context(format!("waiting, for at most {limit:?}, until {what}"))))
    }

    /// An error with what the hosts' processes wrote.
    #[must_use]
    pub fn explained(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow!("{error:#}\n{}", Logs(self))
    }

    /// Insists that no daemon has ended of itself with a failure.
    fn ensure_alive(&self) -> Result<()> {
        for (node, daemon) in self.daemons.iter().enumerate() {
            let status = daemon.as_ref().map(HostProcess::exit_status).transpose()?.flatten();
            let is_fine = status.is_none_or(|status| status.success() || status.signal().is_some());
            ensure!(is_fine, "hb on {} ended with {status:?}", name(node));
        }
        Ok(())
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", Logs(self));
        }
    }
}

/// The ends of the nodes' logs, and who owned what.
struct Logs<'a>(&'a Nodes);

impl fmt::Display for Logs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (node, host) in self.0.lan.nodes.iter().enumerate() {
            let log = host.log();
            let lines: Vec<_> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES)..];
            let (count, all) = (shown.len(), lines.len());
            writeln!(f, "==== {}, its last {count} of {all} lines", name(node))?;
            shown.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        writeln!(f, "==== who owned what")?;
        match self.0.ownership() {
            Ok(ownership) => ownership
                .intervals()
                .iter()
                .try_for_each(|interval| writeln!(f, "{interval}")),
            Err(error) => writeln!(f, "{error:#}"),
        }
    }
}
