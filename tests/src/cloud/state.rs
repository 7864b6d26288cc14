//! What the cloud knows.

use std::{net::IpAddr, time::Duration};

use super::{
    fault::{Endpoint, Fault, Gone, Plan, Slowness},
    instance::Instance,
    provider::{FLOATING_IPV6, Provider},
};
use crate::{
    clock::{Moment, utc_timestamp},
    network::{FLOATING_IP, Server},
};

/// A call that was made.
#[derive(Clone, Debug)]
pub struct Call {
    /// What was asked for.
    pub endpoint: Endpoint,
    /// The request's method and path.
    pub request: String,
    /// What follows the question mark.
    pub query: Option<String>,
    /// The request's headers, in lower case, as they came.
    pub headers: Vec<(String, String)>,
    /// The request's body.
    pub body: String,
    /// Who asked.
    pub from: IpAddr,
    /// The connection's number; connections of the metadata service are counted on their own.
    pub connection: u64,
    /// Whether it came by TLS.
    pub secure: bool,
    /// When it arrived.
    pub arrived: Moment,
    /// When it was answered, and the answer's status; `None` when no answer was sent.
    pub answered: Option<(Moment, u16)>,
}

impl Call {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| value.as_str())
    }
}

/// An accepted change of where a floating IP leads to.
#[derive(Clone, Debug)]
pub struct Move {
    /// The action's id.
    pub id: u64,
    /// Which address.
    pub ip: IpAddr,
    /// Where to; `None` unassigns it.
    pub to: Option<Instance>,
    /// Who asked for it.
    pub by: IpAddr,
    /// When it was accepted.
    pub accepted: Moment,
    /// How it ended.
    pub end: Option<End>,
    pub(super) started_at: String,
    /// The API's name for the address, where it has more than one.
    pub(super) kind: &'static str,
}

/// How a move ended.
#[derive(Clone, Debug)]
pub struct End {
    /// When.
    pub at: Moment,
    /// Whether the route moved.
    pub completed: bool,
    pub(super) completed_at: String,
}

impl Move {
    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.end.is_none()
    }

    /// Whether it gives the address to this server.
    #[must_use]
    pub fn is_to(&self, server: Server) -> bool {
        self.to == Some(server.into())
    }

    /// When the route moved.
    #[must_use]
    pub fn completed(&self) -> Option<Moment> {
        self.end.as_ref().filter(|end| end.completed).map(|end| end.at)
    }
}

/// A floating IP.
#[derive(Debug)]
pub(super) struct Held {
    pub ip: IpAddr,
    /// The truth.
    pub owner: Option<Instance>,
    /// What is shown in its place until some moment.
    stale: Option<(Option<Instance>, Moment)>,
}

impl Held {
    /// The owner as the API shows it.
    pub(super) fn shown_owner(&self) -> Option<Instance> {
        match self.stale {
            Some((before, until)) if Moment::now() < until => before,
            Some(_) | None => self.owner,
        }
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub provider: Provider,
    /// Who asks the metadata service, where that cannot be seen by the address.
    pub asker: Option<Server>,
    pub token: String,
    pub action_time: Duration,
    /// How long the API goes on showing an owner that was.
    pub stale_for: Duration,
    /// How long the keys that the metadata service gives out last.
    pub credentials_last: Duration,
    pub gone: Option<Gone>,
    /// Connections and requests that came while it was gone.
    pub missed: usize,
    pub held: [Held; 2],
    pub moves: Vec<Move>,
    pub calls: Vec<Call>,
    pub plans: Vec<Plan>,
    pub slow: Vec<Slowness>,
    /// Whether floating IPs have routes.
    pub routed: bool,
    /// Whether refusals repeat what the caller authorised itself with.
    pub indiscreet: bool,
}

impl State {
    pub(super) fn new(provider: Provider) -> Self {
        let held = |ip| Held {
            ip,
            owner: Some(Server::Primary.into()),
            stale: None,
        };
        Self {
            provider,
            asker: None,
            token: provider.token().to_owned(),
            action_time: Duration::from_millis(100),
            stale_for: Duration::ZERO,
            credentials_last: Duration::from_hours(6),
            gone: None,
            missed: 0,
            held: [held(FLOATING_IP.into()), held(FLOATING_IPV6.into())],
            moves: Vec::new(),
            calls: Vec::new(),
            plans: Vec::new(),
            slow: Vec::new(),
            routed: false,
            indiscreet: false,
        }
    }

    pub(super) fn held(&self, ip: IpAddr) -> Option<&Held> {
        self.held.iter().find(|held| held.ip == ip)
    }

    /// The floating IP that the provider calls so.
    pub(super) fn held_as(&self, id: &str) -> Option<&Held> {
        self.held(self.provider.address(id)?)
    }

    /// Whether a move of the address is under way.
    pub(super) fn is_moving(&self, ip: IpAddr) -> bool {
        self.moves.iter().any(|one| one.ip == ip && one.is_under_way())
    }

    /// The fault that is due for a call of this kind.
    pub(super) fn next_fault(&mut self, endpoint: Endpoint) -> Option<Fault> {
        self.plans.retain(|plan| plan.times > 0);
        let plan = self.plans.iter_mut().find(|plan| plan.endpoint.covers(endpoint))?;
        if plan.spared > 0 {
            plan.spared -= 1;
            return None;
        }
        plan.times -= 1;
        Some(plan.fault)
    }

    /// How long a call of this kind takes.
    pub(super) fn slowness(&self, endpoint: Endpoint) -> Duration {
        let slow = self.slow.iter().rev().find(|slow| slow.endpoint.covers(endpoint));
        slow.map_or(Duration::ZERO, |slow| slow.time)
    }

    pub(super) fn accept(&mut self, ip: IpAddr, to: Option<Instance>, by: IpAddr, kind: &'static str) -> Move {
        let id = 72_531_856 + self.moves.len() as u64;
        let accepted = Move {
            id,
            ip,
            to,
            by,
            accepted: Moment::now(),
            end: None,
            started_at: utc_timestamp(),
            kind,
        };
        self.moves.push(accepted.clone());
        accepted
    }

    /// Gives the address to whom a move was to give it.
    pub(super) fn take_effect(&mut self, id: u64) {
        let Some(one) = self.moves.iter().find(|one| one.id == id) else {
            return;
        };
        let (ip, to) = (one.ip, one.to);
        self.set_owner(ip, to);
    }

    /// Gives the address to a server; the API may show that later.
    pub(super) fn set_owner(&mut self, ip: IpAddr, to: Option<Instance>) {
        let stale_for = self.stale_for;
        if let Some(held) = self.held.iter_mut().find(|held| held.ip == ip) {
            held.stale = (!stale_for.is_zero()).then(|| (held.shown_owner(), Moment::now() + stale_for));
            held.owner = to;
        }
    }

    pub(super) fn end(&mut self, id: u64, completed: bool) {
        if let Some(one) = self.moves.iter_mut().find(|one| one.id == id) {
            one.end = Some(End {
                at: Moment::now(),
                completed,
                completed_at: utc_timestamp(),
            });
        }
    }
}
