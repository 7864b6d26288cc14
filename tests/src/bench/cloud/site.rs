//! Where it happens: two servers in a provider's cloud, whose API is as far as it is wanted to be.

use std::{net::SocketAddrV4, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use hb_user::control::Takeover;

use super::{outcome::Seen, relay::Relay, script};
use crate::{
    bench::plan::Plan,
    clock::{Moment, pause, poll},
    cloud::{Provider, SECURE_API},
    cluster::{Cluster, Options},
    network::{CLOUD_IP, FLOATING_IP, Server},
    status::Status,
    tutorial::Files,
};

/// Where the API is for the servers: at a relay.
pub(super) const RELAY: SocketAddrV4 = SocketAddrV4::new(CLOUD_IP, 8443);

/// Short, as a death has to be waited for in each run. What is measured begins with the decision.
const TIMERS: &str = "keepalive 20ms\ndeadtime 150ms\ninitdead 5\nauto_failback off";

/// Longest that anything may take that is waited for.
const LIMIT: Duration = Duration::from_mins(1);
/// How often is looked. Looking costs.
const LOOK: Duration = Duration::from_millis(20);
/// Calm before each run, in which whoever has been hung up on notices.
const CALM: Duration = Duration::from_millis(250);

/// Who moves the address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mover {
    /// hb itself.
    Hb,
    /// A script that hb starts, as in the tutorial.
    Script,
}

impl Mover {
    /// As in `--contender`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hb => "hb",
            Self::Script => "script",
        }
    }
}

/// The cluster, its cloud, and the way between them. All of it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Site {
    relay: Relay,
    cluster: Cluster,
    mover: Mover,
    owner: Server,
}

impl Site {
    /// Starts all of it, and waits until the address is with primary.
    pub(super) fn start(plan: &Plan, provider: Provider, mover: Mover) -> Result<Self> {
        let files = Files::cloud(provider, "").ha_cf_line(TIMERS).api_port(RELAY.port());
        let files = match mover {
            Mover::Hb => files.haresources(&format!("primary {}::{FLOATING_IP}\n", provider.name())),
            Mover::Script => files.haresources("primary floatip\n").floatip(&script::floatip()),
        };
        let cluster = Cluster::start(&Options {
            hb: Some(plan.hb.clone()),
            files,
            client_interval: Duration::from_hours(1),
            ..Options::default()
        })?;
        let mut site = Self {
            relay: Relay::start(&cluster.network.cloud, RELAY, SECURE_API)?,
            cluster,
            mover,
            owner: Server::Primary,
        };
        for server in Server::ALL {
            site.cluster.start_hb(server)?;
        }
        site.settle()?;
        Ok(site)
    }

    /// How far the API is from now on, one way, and how long it takes to move an address.
    pub(super) fn set(&self, distance: Duration, action_time: Duration) {
        self.cluster.cloud.set_action_time(action_time);
        self.relay.set_delay(distance);
        // The connections that are there are of the former kind. A daemon opens its own when it looks at its owner, or starts.
        self.relay.hang_up();
    }

    /// The owner is lost, and the other takes the address over. Its connection to the API is there, or is closed before.
    pub(super) fn takeover(&mut self, is_cold: bool) -> Result<Seen> {
        self.settle()?;
        if is_cold {
            self.relay.hang_up();
        }
        pause(CALM);
        let before = self.cluster.cloud.calls();
        let connections = self.relay.connections();
        let earlier = self.cluster.cloud.moves().len();
        let lost = Moment::now();
        self.cluster.hb(self.owner)?.kill9()?;
        let taker = self.owner.other();
        let takeover = self.wait_for_takeover(taker, lost)?;
        let moved = self
            .cluster
            .cloud
            .wait_for_moves(earlier + 1, LIMIT)?
            .split_off(earlier);
        ensure!(moved.last().is_some_and(|last| last.is_to(taker)), "{moved:?}");
        let actions = moved.iter().filter(|_| self.waits());
        let actions = actions.filter_map(|one| Some((one.accepted, one.completed()?)));
        let step = takeover.steps.iter().rfind(|step| step.operation == "start");
        let step = step.with_context(|| format!("nothing was started: {takeover:?}"))?;
        let moment = |micros: i64| -> Result<Moment> {
            let micros = takeover.origin_monotonic_us.checked_add_signed(micros);
            Ok(Moment::from_clock(Duration::from_micros(micros.context("no time")?)))
        };
        let ended = moment(step.ended_us)?;
        let calls = self.cluster.cloud.calls().split_off(before.len());
        let seen = Seen {
            decided: moment(takeover.decided_us)?,
            accepted: step.accepted_us.map_or(Ok(ended), moment)?,
            done: step.verified_us.map_or(Ok(ended), moment)?,
            calls,
            actions: actions.collect(),
            connections,
        };
        self.cluster.start_hb(self.owner)?;
        self.owner = taker;
        Ok(seen)
    }

    /// Whether the end of the action is waited for: EC2 says at once that it is done, and the script asks nobody.
    fn waits(&self) -> bool {
        self.mover == Mover::Hb && self.cluster.cloud.provider() != Provider::Aws
    }

    fn wait_for_takeover(&self, taker: Server, since: Moment) -> Result<Takeover> {
        let found = poll(LIMIT, || {
            pause(LOOK);
            let status = self.cluster.status(taker)?;
            let takeover: Option<Takeover> = serde_json::from_value(status.json["last_takeover"].clone())?;
            let Some(takeover) = takeover else {
                return Ok(None);
            };
            let decided = takeover.origin_monotonic_us.checked_add_signed(takeover.decided_us);
            let is_new = decided.is_some_and(|decided| u128::from(decided) > since.since_zero().as_micros());
            ensure!(!is_new || takeover.result != "failed", "{takeover:?}");
            Ok(Some(takeover).filter(|takeover| is_new && takeover.result == "done"))
        });
        let found = found.and_then(|found| found.with_context(|| format!("nobody took over within {LIMIT:?}")));
        found.map_err(|error| self.cluster.explained(&error))
    }

    /// Waits until both are up, know who has the address, and are ready for the next takeover.
    fn settle(&self) -> Result<()> {
        let settled = poll(LIMIT, || {
            pause(LOOK);
            for server in Server::ALL {
                let ended = self.cluster.hb(server)?.exit_status()?;
                ensure!(ended.is_none(), "hb on {} ended: {ended:?}", server.name());
                // While it starts there is nobody to ask.
                let is_settled = self
                    .cluster
                    .status(server)
                    .is_ok_and(|status| self.is_settled(server, &status));
                if !is_settled {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        });
        let settled = settled.and_then(|settled| settled.with_context(|| format!("not settled within {LIMIT:?}")));
        settled.map_err(|error| self.cluster.explained(&anyhow!("{error:#}")))
    }

    fn is_settled(&self, server: Server, status: &Status) -> bool {
        let state = if server == self.owner { "running" } else { "released" };
        let is_ready = || {
            let ips = status.json["floating_ips"].as_array();
            ips.is_some_and(|ips| !ips.is_empty() && ips.iter().all(|ip| ip["ready"] == true))
        };
        status.sees_all_peers()
            && status.owner() == Some(self.owner.name())
            && status.groups.first().is_some_and(|group| group.state == state)
            && (self.mover == Mover::Script || is_ready())
    }
}
