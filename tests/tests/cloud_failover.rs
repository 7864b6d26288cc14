//! A failover of hosts whose floating IP hb moves itself, through each provider's API by TLS: in order, with the API slow,
//! failing, and gone meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hb_tests::{
    clock::{DayClock, Moment},
    cloud::{Cloud, Endpoint, Fault, Gone, Move, Provider},
    cluster::{Cluster, Options},
    expect::FLOATIP,
    network::Server::{self, Primary, Secondary},
    resource,
    tutorial::Files,
};

/// Longer than any of it takes, even where the machine is busy.
const LIMIT: Duration = Duration::from_secs(90);
/// What an action takes in the provider's own example.
const SLOW: Duration = Duration::from_secs(11);

#[test]
fn digitalocean() -> Result<()> {
    fails_over(Provider::DigitalOcean)
}

#[test]
fn hetzner() -> Result<()> {
    fails_over(Provider::Hetzner)
}

#[test]
fn vultr() -> Result<()> {
    fails_over(Provider::Vultr)
}

#[test]
fn aws() -> Result<()> {
    fails_over(Provider::Aws)
}

#[test]
fn an_action_of_eleven_seconds_is_waited_for() -> Result<()> {
    let mut site = Site::settled(Provider::DigitalOcean, "")?;
    site.cluster.cloud.set_action_time(SLOW);
    let lost = site.lose_primary()?;
    let moved = site.wait_until_moved(lost)?;
    let took = moved.completed().context("not completed")? - moved.accepted;
    ensure!(took >= SLOW, "{took:?}");
    let polls = site.cluster.cloud.count(Endpoint::Action);
    ensure!(polls < 60, "the action was looked at {polls} times in {took:?}");
    Ok(())
}

#[test]
fn an_api_that_fails_in_every_way_is_got_over() -> Result<()> {
    let mut site = Site::settled(Provider::DigitalOcean, "timeout = \"2s\"")?;
    let cloud = &site.cluster.cloud;
    cloud.fail(Endpoint::Read, Fault::Unavailable, 2);
    for fault in [
        Fault::ServerError,
        Fault::Reset,
        Fault::PendingEvent,
        Fault::ActionErrs,
        Fault::LostReply,
    ] {
        cloud.fail(Endpoint::Assign, fault, 1);
    }
    for fault in [Fault::Broken, Fault::TooManyRequests(1), Fault::Hang] {
        cloud.fail(Endpoint::Action, fault, 1);
    }
    cloud.set_stale_for(Duration::from_secs(1));
    let lost = site.lose_primary()?;
    site.wait_until_moved(lost)?;
    ensure!(!site.cluster.cloud.has_faults_left(), "not everything went wrong");
    let moves = site.cluster.cloud.moves();
    ensure!(moves.len() == 2, "one that came to nothing, and one: {moves:?}");
    Ok(())
}

#[test]
fn an_api_that_is_gone_meanwhile_is_waited_for() -> Result<()> {
    for gone in [Gone::Reset, Gone::Silent] {
        let mut site = Site::settled(Provider::Hetzner, "timeout = \"1s\"\nconnect_timeout = \"1s\"")?;
        site.cluster.cloud.set_gone(Some(gone));
        let before = site.cluster.cloud.missed();
        let lost = site.lose_primary()?;
        let tried = |cloud: &Cloud| cloud.missed() >= before + 3;
        site.cluster
            .wait_until("secondary tries", LIMIT, || Ok(tried(&site.cluster.cloud)))?;
        ensure!(
            !resource::runs_on(&site.cluster.network.secondary, FLOATIP)?,
            "started without the address"
        );
        site.cluster.cloud.recover();
        site.wait_until_moved(lost)?;
    }
    Ok(())
}

/// A lost primary, and its return, after which the address is where haresources prefers it.
fn fails_over(provider: Provider) -> Result<()> {
    let mut site = Site::settled(provider, "")?;
    ensure!(
        site.cluster.cloud.moves().is_empty(),
        "it was primary's from the beginning"
    );
    let lost = site.lose_primary()?;
    site.wait_until_moved(lost)?;
    let calls = site.cluster.cloud.calls();
    let mut of_api = calls.iter().filter(|call| !is_of_metadata(call.endpoint));
    ensure!(of_api.all(|call| call.secure), "something was not sent by TLS");

    let back = Moment::now();
    site.cluster.power_on(Primary)?;
    site.wait_until_with(Primary, back)?;
    site.cluster.ensure_handed_over(Secondary, Primary)
}

fn is_of_metadata(endpoint: Endpoint) -> bool {
    matches!(endpoint, Endpoint::Metadata | Endpoint::Credentials | Endpoint::Active)
}

/// Two servers, and the cloud that they are in.
struct Site {
    cluster: Cluster,
    clock: DayClock,
}

impl Site {
    /// Both are up, and primary has its address and what belongs to it.
    fn settled(provider: Provider, settings: &str) -> Result<Self> {
        let mut cluster = Cluster::start(&Options {
            files: Files::cloud(provider, settings).timers("800ms", "10"),
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

    /// Ends primary as a loss of power would.
    fn lose_primary(&mut self) -> Result<Moment> {
        let lost = Moment::now();
        self.cluster.power_off(Primary)?;
        resource::lose(&self.cluster.network.primary, FLOATIP)?;
        Ok(lost)
    }

    /// Waits until secondary has the address and what belongs to it, and insists on the order; gives the move.
    fn wait_until_moved(&self, lost: Moment) -> Result<Move> {
        self.wait_until_with(Secondary, lost)?;
        let accepted = self.cluster.cloud.moves();
        let moved = accepted
            .iter()
            .rfind(|one| one.completed().is_some())
            .context("no move")?
            .clone();
        ensure!(
            moved.to == Some(Secondary) && moved.by == Secondary.address(),
            "{moved:?}"
        );
        let calls = resource::calls(&self.cluster.network.secondary)?;
        let start = calls
            .iter()
            .rfind(|call| call.operation == "start")
            .context("not started")?;
        let (started, decided) = (self.clock.moment(Duration::from_nanos(start.at)), moved.accepted);
        self.clock.ensure_steady()?;
        let completed = moved.completed().context("not completed")?;
        println!(
            "lost, {:?} later accepted, {:?} later completed, {:?} later started",
            decided - lost,
            completed - decided,
            started - completed
        );
        // EC2 says that it is done before the route is there.
        let done = if self.cluster.cloud.provider() == Provider::Aws {
            decided
        } else {
            completed
        };
        ensure!(
            started >= done,
            "started {:?} before the address was here",
            done - started
        );
        Ok(moved)
    }

    /// Waits until a server has the address, what belongs to it, and the page.
    fn wait_until_with(&self, server: Server, since: Moment) -> Result<()> {
        let host = |server| self.cluster.network.server(server);
        self.cluster
            .wait_until(&format!("all is with {}", server.name()), LIMIT, || {
                Ok(resource::runs_on(host(server), FLOATIP)?
                    && !resource::runs_on(host(server.other()), FLOATIP)?
                    && self.cluster.cloud.owner() == Some(server))
            })?;
        self.cluster.wait_for_page(server, since, LIMIT)?;
        Ok(())
    }
}
