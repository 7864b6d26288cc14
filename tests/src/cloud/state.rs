//! What the cloud knows.

use std::{net::IpAddr, time::Duration};

use crate::{
    clock::{Moment, utc_timestamp},
    network::Server,
};

/// The kinds of calls that can be made of the cloud.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// Start an action: `POST .../actions`.
    Assign,
    /// Ask how an action is getting on: `GET .../actions/{id}`.
    Action,
    /// Ask where the floating IP leads to.
    Read,
    /// Anything of the metadata service.
    Metadata,
    /// What this cloud does not offer.
    Unknown,
}

/// What can be made to go wrong with a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// 401, whatever the token.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 422, as while an earlier action is under way.
    PendingEvent,
    /// 429, with this many seconds in Retry-After.
    TooManyRequests(u32),
    /// 500.
    ServerError,
    /// No answer, and the connection stays open.
    Hang,
    /// The action is accepted, and ends as `errored` without an effect. Only for [`Endpoint::Assign`].
    ActionErrs,
}

/// A call that was made.
#[derive(Clone, Debug)]
pub struct Call {
    /// What was asked for.
    pub endpoint: Endpoint,
    /// The request's method and path.
    pub request: String,
    /// Who asked.
    pub from: IpAddr,
    /// When it arrived.
    pub arrived: Moment,
    /// When it was answered, and the answer's status; `None` when it was left hanging.
    pub answered: Option<(Moment, u16)>,
}

/// An accepted change of where the floating IP leads to.
#[derive(Clone, Debug)]
pub struct Move {
    /// The action's id.
    pub id: u64,
    /// Where to; `None` unassigns it.
    pub to: Option<Server>,
    /// Who asked for it.
    pub by: IpAddr,
    /// When it was accepted.
    pub accepted: Moment,
    /// How it ended.
    pub end: Option<End>,
    pub(super) started_at: String,
    pub(super) ipv4: Name,
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

    /// When the route moved.
    #[must_use]
    pub fn completed(&self) -> Option<Moment> {
        self.end.as_ref().filter(|end| end.completed).map(|end| end.at)
    }
}

/// The two names under which the API knows a floating IP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Name {
    Reserved,
    Floating,
}

impl Name {
    /// As in `resource_type` and as the key of an answer.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Reserved => "reserved_ip",
            Self::Floating => "floating_ip",
        }
    }

    /// As in messages.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Reserved => "reserved IP",
            Self::Floating => "floating IP",
        }
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) token: String,
    pub(super) action_time: Duration,
    pub(super) owner: Option<Server>,
    pub(super) moves: Vec<Move>,
    pub(super) calls: Vec<Call>,
    pub(super) faults: Vec<(Endpoint, Fault, u32)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            token: super::TOKEN.to_owned(),
            action_time: Duration::from_millis(100),
            owner: Some(Server::Primary),
            moves: Vec::new(),
            calls: Vec::new(),
            faults: Vec::new(),
        }
    }
}

impl State {
    /// The fault that is due for a call of this kind.
    pub(super) fn next_fault(&mut self, endpoint: Endpoint) -> Option<Fault> {
        self.faults.retain(|(_, _, times)| *times > 0);
        let (_, fault, times) = self.faults.iter_mut().find(|(kind, _, _)| *kind == endpoint)?;
        *times -= 1;
        Some(*fault)
    }

    pub(super) fn accept(&mut self, to: Option<Server>, by: IpAddr, ipv4: Name) -> Move {
        let id = 72_531_856 + self.moves.len() as u64;
        let accepted = Move {
            id,
            to,
            by,
            accepted: Moment::now(),
            end: None,
            started_at: utc_timestamp(),
            ipv4,
        };
        self.moves.push(accepted.clone());
        accepted
    }

    pub(super) fn end(&mut self, id: u64, completed: bool) {
        let Some(one) = self.moves.iter_mut().find(|one| one.id == id) else {
            return;
        };
        one.end = Some(End {
            at: Moment::now(),
            completed,
            completed_at: utc_timestamp(),
        });
        if completed {
            self.owner = one.to;
        }
    }
}
