//! The tutorial's cluster: hosts, cloud, sites, client, and `hb` on the two servers.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sys::signal::Signal;

use crate::{
    client::{Answer, Client},
    clock::{Moment, poll},
    cloud::Cloud,
    network::{Network, Server},
    places::Place,
    process::HostProcess,
    site::Site,
    status::Status,
    tutorial::Files,
};

/// Where `hb` is on a server.
pub const HB: &str = "/usr/local/sbin/hb";

/// Longest that an asked daemon may take to end.
const STOPPING: Duration = Duration::from_secs(20);

/// How much of a host's log a failure shows.
const LOG_LINES: usize = 60;

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary; by default [`hb_binary`] finds it.
    pub hb: Option<PathBuf>,
    /// The files of both servers.
    pub files: Files,
    /// How often the client asks for the page.
    pub client_interval: Duration,
    /// How long the cloud takes to move the floating IP.
    pub action_time: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hb: None,
            files: Files::default(),
            client_interval: Duration::from_millis(5),
            action_time: Duration::from_millis(100),
        }
    }
}

/// The tutorial's cluster. Everything in it ends when it is dropped; a panicking test shows the hosts' logs then.
#[derive(Debug)]
pub struct Cluster {
    daemons: [Option<HostProcess>; 2],
    sites: [Option<Site>; 2],
    /// The client, which asks all the time.
    pub client: Client,
    /// The cloud.
    pub cloud: Cloud,
    /// The hosts and their links.
    pub network: Network,
    // The last to go: until then the hosts need the machine.
    _place: Place,
}

impl Cluster {
    /// Makes everything except the daemons: see [`start_hb`](Self::start_hb).
    pub fn start(options: &Options) -> Result<Self> {
        let hb = options.hb.clone().map_or_else(hb_binary, Ok)?;
        let cluster = Self::start_without_hb(options)?;
        for server in Server::ALL {
            cluster.network.server(server).install_file(&hb, HB, 0o755)?;
        }
        Ok(cluster)
    }

    /// As [`start`](Self::start), for tests that need no daemon.
    pub fn start_without_hb(options: &Options) -> Result<Self> {
        let place = Place::take();
        let network = Network::create()?;
        let cloud = Cloud::start_as(&network.cloud, options.files.provider())?;
        cloud.set_action_time(options.action_time);
        let mut sites = [None, None];
        for server in Server::ALL {
            options.files.install(network.server(server))?;
            options.files.introduce(network.server(server), &cloud)?;
            sites[server as usize] = Some(Site::start(network.server(server), server)?);
        }
        let client = Client::start(&network.client, options.client_interval)?;
        Ok(Self {
            daemons: [None, None],
            sites,
            client,
            cloud,
            network,
            _place: place,
        })
    }

    /// What serves the pages.
    #[must_use]
    pub fn served_by(&self) -> &'static str {
        self.sites.iter().flatten().next().map_or("nothing", Site::served_by)
    }

    /// Starts `hb run` on a server; its log goes to the host's.
    pub fn start_hb(&mut self, server: Server) -> Result<()> {
        self.start_hb_with(server, &[])
    }

    /// As [`start_hb`](Self::start_hb), with more variables in its environment.
    pub fn start_hb_with(&mut self, server: Server, variables: &[(&str, &str)]) -> Result<()> {
        let host = self.network.server(server);
        let mut command = host.command(HB);
        command.arg("run").envs(variables.iter().copied());
        self.daemons[server as usize] = Some(host.spawn(&mut command)?);
        Ok(())
    }

    /// The daemon on a server, which must have been started.
    pub fn hb(&self, server: Server) -> Result<&HostProcess> {
        self.daemons[server as usize]
            .as_ref()
            .with_context(|| format!("hb was not started on {}", server.name()))
    }

    /// Stops the daemon in good order and waits for its end, which must be a success.
    pub fn stop_hb(&self, server: Server) -> Result<()> {
        self.hb(server)?.term()?;
        let status = self
            .hb(server)?
            .wait_exit(STOPPING)
            .map_err(|error| self.explained(&error))?;
        ensure!(
            status.success(),
            "{}",
            self.explained(&anyhow!("hb on {} ended with {status}", server.name()))
        );
        Ok(())
    }

    /// Ends the daemon and the site of a server in one blow, as a loss of power would.
    pub fn power_off(&mut self, server: Server) -> Result<()> {
        self.hb(server)?.signal(Signal::SIGKILL)?;
        self.sites[server as usize] = None;
        self.hb(server)?.kill9()
    }

    /// Starts the site and the daemon of a server again.
    pub fn power_on(&mut self, server: Server) -> Result<()> {
        if self.sites[server as usize].is_none() {
            self.sites[server as usize] = Some(Site::start(self.network.server(server), server)?);
        }
        self.start_hb(server)
    }

    /// What a server's daemon says about the cluster: what `hb status --json` prints, without a process for each look.
    pub fn status(&self, server: Server) -> Result<Status> {
        Status::of_host(self.network.server(server))
    }

    /// Waits until both daemons see each other; an error at once when one of them has ended.
    pub fn wait_until_joined(&self, limit: Duration) -> Result<()> {
        self.wait_until("both daemons see each other", limit, || {
            for server in Server::ALL {
                if let Some(status) = self.hb(server)?.exit_status()? {
                    bail!("hb on {} ended with {status}", server.name());
                }
            }
            Ok(Server::ALL
                .iter()
                .all(|server| self.status(*server).is_ok_and(|status| status.sees_all_peers())))
        })
    }

    /// Waits for a server's page to a request sent at `since` or later.
    pub fn wait_for_page(&self, server: Server, since: Moment, limit: Duration) -> Result<Answer> {
        self.client
            .wait_since(since, server.name(), limit)
            .map_err(|error| self.explained(&error))
    }

    /// Waits until a condition holds; when it does not within `limit`, the error shows the hosts' logs.
    pub fn wait_until(&self, what: &str, limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
        let held = poll(limit, || Ok(condition()?.then_some(()))).and_then(|held| held.context("it does not"));
        held.map_err(|error| self.explained(&error.context(format!("waiting, for at most {limit:?}, until {what}"))))
    }

    /// An error with what the hosts' processes wrote.
    #[must_use]
    pub fn explained(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow!("{error:#}\n{}", Logs(self))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", Logs(self));
        }
    }
}

/// The ends of the servers' logs, and what the cloud was asked.
struct Logs<'a>(&'a Cluster);

impl fmt::Display for Logs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for server in Server::ALL {
            let log = self.0.network.server(server).log();
            let lines: Vec<_> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES)..];
            writeln!(
                f,
                "==== {}, its last {} of {} lines",
                server.name(),
                shown.len(),
                lines.len()
            )?;
            shown.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        writeln!(f, "==== calls of the cloud")?;
        for call in self.0.cloud.calls() {
            let status = call
                .answered
                .map_or_else(|| "hangs".to_owned(), |(_, status)| status.to_string());
            writeln!(f, "{} {} {}: {status}", call.arrived, call.from, call.request)?;
        }
        Ok(())
    }
}

/// The binary under test: `HB_BIN`, or the one that was built into the same directory as this program.
pub fn hb_binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os("HB_BIN") {
        return Ok(path.into());
    }
    let here = env::current_exe()?;
    // Tests are in target/PROFILE/deps, programs in target/PROFILE.
    let candidates = here.ancestors().skip(1).take(2).map(|directory| directory.join("hb"));
    candidates
        .into_iter()
        .find(|path| Path::is_file(path))
        .with_context(|| {
            format!(
                "there is no hb beside {}: build it (cargo build -p hb-user), or name one in HB_BIN",
                here.display()
            )
        })
}
