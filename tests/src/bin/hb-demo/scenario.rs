//! What the demo does to the cluster.

use std::time::Duration;

use anyhow::{Context, Result};
use hb_tests::{
    clock::{Moment, poll},
    cloud::Provider,
    cluster::Cluster,
    network::{Cut, Server},
    status::{Status, Takeover},
    tutorial::Files,
};

use crate::report::{Pages, Timeline};

/// Longest that a step may take. Far more than any of them needs, and short enough to wait for.
const LIMIT: Duration = Duration::from_secs(8);

/// Something happens, and the page comes from another server.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What happens.
    pub story: &'static str,
    /// Who serves the page in the end.
    pub taker: Server,
    happen: fn(&mut Cluster) -> Result<()>,
    settle: fn(&mut Cluster) -> Result<()>,
}

/// Scenes with one cluster, in an order in which each starts where the one before ended. The short demo shows the first two.
pub struct Act {
    /// What moves the floating IP.
    pub moved_by: &'static str,
    /// The same, to be printed above its haresources.
    pub story: &'static str,
    /// The cluster's files.
    pub files: fn() -> Files,
    /// What is played.
    pub scenarios: &'static [Scenario],
}

/// All of them.
pub const ACTS: [Act; 2] = [
    Act {
        moved_by: "script",
        story: "THE TUTORIAL'S FILES: its script moves the floating IP, with `hb assign-ip`. haresources has",
        files: Files::default,
        scenarios: &[CRASH, RETURN],
    },
    Act {
        moved_by: "hb",
        story: "WITHOUT A SCRIPT: hb moves it through the provider's API, by TLS, and reads it back. haresources has",
        files: || Files::scriptless(Provider::DigitalOcean, ""),
        scenarios: &[CRASH, RETURN, STOP, RETURN, CUT, RECONNECTION],
    },
];

const CRASH: Scenario = Scenario {
    name: "crash",
    story: "primary dies (kill -9 of its daemon and its web server)",
    taker: Server::Secondary,
    happen: |cluster| cluster.power_off(Server::Primary),
    settle: |_| Ok(()),
};

const RETURN: Scenario = Scenario {
    name: "return",
    story: "primary comes back and takes its IP back",
    taker: Server::Primary,
    happen: |cluster| cluster.power_on(Server::Primary),
    settle: |cluster| cluster.wait_until_joined(LIMIT),
};

const STOP: Scenario = Scenario {
    name: "orderly stop",
    story: "hb is stopped on primary (SIGTERM)",
    taker: Server::Secondary,
    happen: |cluster| cluster.hb(Server::Primary)?.term(),
    settle: |cluster| cluster.hb(Server::Primary)?.wait_exit(LIMIT).map(|_| ()),
};

const CUT: Scenario = Scenario {
    name: "cut off",
    story: "primary's cable is pulled",
    taker: Server::Secondary,
    happen: |cluster| cluster.network.cut(Server::Primary, Cut::Unplugged),
    settle: |_| Ok(()),
};

const RECONNECTION: Scenario = Scenario {
    name: "reconnection",
    story: "primary's cable is plugged in again: it takes its IP back",
    taker: Server::Primary,
    happen: |cluster| cluster.network.heal(Server::Primary, Cut::Unplugged),
    settle: |cluster| cluster.wait_until_joined(LIMIT),
};

/// Starts both daemons and waits until the page comes from primary, and each is ready to take the floating IP over.
pub fn bring_up(cluster: &mut Cluster) -> Result<()> {
    let started = Moment::now();
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    cluster.wait_until_joined(LIMIT)?;
    cluster.wait_until("primary owns the floating IP", LIMIT, || {
        Ok(cluster.status(Server::Primary)?.owner() == Some(Server::Primary.name()))
    })?;
    let answer = cluster.wait_for_page(Server::Primary, Moment::now(), LIMIT)?;
    for server in Server::ALL {
        cluster.wait_for_status(server, "it is ready", |status| Ok(is_ready(status)))?;
    }
    println!(
        "Both daemons are up and agree after {} ms.",
        started.elapsed().as_millis()
    );
    println!("\n    {}\n", answer.page.unwrap_or_default());
    Ok(())
}

/// Whether nothing stands in the way of a takeover, as far as that is asked: of a script's address nobody knows.
fn is_ready(status: &Status) -> bool {
    let ips = status.json["floating_ips"].as_array();
    ips.into_iter().flatten().all(|ip| ip["ready"] == true)
}

impl Scenario {
    /// Lets it happen, and gives its timeline once everything is calm again.
    pub fn play(&self, cluster: &mut Cluster) -> Result<Timeline> {
        println!("{}: {}", self.name.to_uppercase(), self.story);
        self.try_play(cluster)
            .with_context(|| format!("{}: {}", self.name, self.story))
    }

    fn try_play(&self, cluster: &mut Cluster) -> Result<Timeline> {
        cluster.wait_for_page(self.taker.other(), Moment::now(), LIMIT)?;
        let earlier = cluster.cloud.moves().len();
        let happened = Moment::now();
        (self.happen)(cluster)?;
        let seen = cluster.wait_for_page(self.taker, happened, LIMIT)?;
        let moves = settle_moves(cluster, earlier + 1)?;
        let takeover = self.takeover(cluster)?;
        (self.settle)(cluster)?;
        let pages = Pages {
            gap: cluster.client.longest_gap(happened, seen.ended),
            first: seen,
        };
        let assignment = moves
            .iter()
            .rfind(|one| one.is_to(self.taker) && one.accepted >= happened);
        crate::report::narrate(&cluster.client.answers(), happened, self.taker);
        Ok(Timeline::new(self, happened, &takeover, assignment, &pages))
    }

    /// What the new owner says about its takeover, once its script has ended.
    fn takeover(&self, cluster: &Cluster) -> Result<Takeover> {
        let finished = || {
            let takeover = cluster.status(self.taker)?.last_takeover;
            Ok(takeover.filter(|takeover| takeover.start().is_some()))
        };
        let takeover = poll(LIMIT, finished).and_then(|takeover| {
            takeover.with_context(|| format!("{} reports no finished takeover", self.taker.name()))
        });
        takeover.map_err(|error| cluster.explained(&error))
    }
}

fn settle_moves(cluster: &Cluster, count: usize) -> Result<Vec<hb_tests::cloud::Move>> {
    cluster
        .cloud
        .wait_for_moves(count, LIMIT)
        .map_err(|error| cluster.explained(&error))
}
