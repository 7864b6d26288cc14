//! Two servers whose floating IP hb moves itself through their cloud's API, and what belongs to it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{
    clock::{DayClock, Moment},
    cloud::{Move, Provider},
    cluster::{Cluster, Options},
    expect::FLOATIP,
    network::Server::{self, Primary, Secondary},
    resource,
    status::Status,
    tutorial::Files,
};

/// Longer than any of it takes, even where the machine is busy.
pub const LIMIT: Duration = Duration::from_secs(90);

/// A silence after which a node is dead here.
pub const DEADTIME: Duration = Duration::from_millis(800);

/// Two servers, and the cloud that they are in.
#[derive(Debug)]
pub struct Provided {
    /// They and it.
    pub cluster: Cluster,
    clock: DayClock,
}

/// How the address came to a server, and what belongs to it.
#[derive(Debug)]
pub struct Arrival {
    /// The move that brought it.
    pub moved: Move,
    /// When the route was there.
    pub completed: Moment,
    /// When what belongs to it was started.
    pub started: Moment,
}

impl Provided {
    /// Both are up, and primary has the address and what belongs to it; `settings` are lines of the provider's table.
    pub fn settled(provider: Provider, settings: &str) -> Result<Self> {
        Self::settled_with(Files::cloud(provider, settings))
    }

    /// As [`settled`](Self::settled), with these files but for the timers.
    pub fn settled_with(files: Files) -> Result<Self> {
        let mut cluster = Cluster::start(&Options {
            files: files.timers(&format!("{}ms", DEADTIME.as_millis()), "10"),
            ..Options::default()
        })?;
        for server in Server::ALL {
            cluster.start_hb(server)?;
        }
        cluster.wait_until_joined(LIMIT)?;
        let site = Self {
            cluster,
            clock: DayClock::start(),
        };
        site.wait_until_with(Primary, Moment::now())?;
        Ok(site)
    }

    /// Waits until both daemons know whose the address is, and that nothing stands in the way of a takeover.
    pub fn wait_until_ready(&self) -> Result<()> {
        for server in Server::ALL {
            self.cluster.wait_for_status(server, "it is ready", |status| {
                let ip = &status.json["floating_ips"][0];
                Ok(ip["ready"] == true && ip["ours"] == (server == Primary))
            })?;
        }
        Ok(())
    }

    /// Ends primary as a loss of power would.
    pub fn lose_primary(&mut self) -> Result<Moment> {
        let lost = Moment::now();
        self.cluster.power_off(Primary)?;
        resource::lose(&self.cluster.network.primary, FLOATIP)?;
        Ok(lost)
    }

    /// Waits until secondary has the address and what belongs to it, and insists on the order.
    pub fn wait_until_moved(&self, lost: Moment) -> Result<Arrival> {
        self.wait_until_with(Secondary, lost)?;
        let accepted = self.cluster.cloud.moves();
        let moved = accepted
            .iter()
            .rfind(|one| one.completed().is_some())
            .context("no move")?
            .clone();
        ensure!(moved.is_to(Secondary) && moved.by == Secondary.address(), "{moved:?}");
        let arrival = Arrival {
            completed: moved.completed().context("not completed")?,
            started: self.last(Secondary, "start")?,
            moved,
        };
        let accepted = arrival.moved.accepted;
        println!(
            "lost, {:?} later accepted, {:?} later completed, {:?} later started",
            accepted - lost,
            arrival.completed - accepted,
            arrival.started - arrival.completed
        );
        // EC2 says that it is done before the route is there.
        let done = if self.cluster.cloud.provider() == Provider::Aws {
            accepted
        } else {
            arrival.completed
        };
        ensure!(
            arrival.started >= done,
            "started {:?} before the address was here",
            done - arrival.started
        );
        Ok(arrival)
    }

    /// When an operation of what belongs to the address was last called on a server.
    pub fn last(&self, server: Server, operation: &str) -> Result<Moment> {
        let calls = resource::calls(self.cluster.network.server(server))?;
        let call = calls.iter().rfind(|call| call.operation == operation);
        let call = call.with_context(|| format!("no {operation} on {}", server.name()))?;
        let at = self.clock.moment(Duration::from_nanos(call.at));
        self.clock.ensure_steady()?;
        Ok(at)
    }

    /// Waits until a server has the address, what belongs to it, and the page.
    pub fn wait_until_with(&self, server: Server, since: Moment) -> Result<()> {
        self.cluster
            .wait_until(&format!("all is with {}", server.name()), LIMIT, || {
                Ok(self.runs_only_on(server)? && self.cluster.cloud.owner() == Some(server))
            })?;
        self.cluster.wait_for_page(server, since, LIMIT)?;
        Ok(())
    }

    /// Waits until both daemons hear each other, and agree with each other and with what is that a server has it all.
    pub fn wait_until_agreed(&self, server: Server) -> Result<()> {
        let is_agreed =
            |status: &Status| status.sees_all_peers() && status.is_at_rest() && status.owner() == Some(server.name());
        self.cluster
            .wait_until(&format!("both agree that it is with {}", server.name()), LIMIT, || {
                let all = Server::ALL.map(|one| self.cluster.status(one).is_ok_and(|status| is_agreed(&status)));
                Ok(all == [true; 2] && self.runs_only_on(server)? && self.cluster.cloud.owner() == Some(server))
            })
    }

    /// How what belongs to the address was started and stopped on both servers. A status may be asked for at any time.
    pub fn touched(&self) -> Result<[Vec<String>; 2]> {
        let mut calls = self.cluster.all_calls()?;
        for called in &mut calls {
            called.retain(|call| !call.ends_with(" status"));
        }
        Ok(calls)
    }

    /// Insists that what belongs to the address is not touched while each daemon hears ten beats of the other.
    pub fn ensure_calm(&self) -> Result<()> {
        let before = self.touched()?;
        for server in Server::ALL {
            self.cluster.wait_for_beats(server, 10)?;
        }
        let after = self.touched()?;
        ensure!(before == after, "something moved: {before:?}, then {after:?}");
        Ok(())
    }

    /// Whether what belongs to the address runs on a server, and not on the other.
    pub fn runs_only_on(&self, server: Server) -> Result<bool> {
        let runs = |server| resource::runs_on(self.cluster.network.server(server), FLOATIP);
        Ok(runs(server)? && !runs(server.other())?)
    }
}
