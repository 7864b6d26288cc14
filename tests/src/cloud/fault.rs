//! What can be asked of a cloud, and what can go wrong with it.

use std::time::Duration;

/// The kinds of calls that can be made of the cloud.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Endpoint {
    /// Who am I? Everything of the metadata service that is none of the two below.
    Metadata,
    /// The metadata service's keys to the API.
    Credentials,
    /// The metadata service's word on whether the floating IP is active here.
    Active,
    /// Which id does this address have?
    Find,
    /// Where does the floating IP lead to?
    Read,
    /// The same, after a move has been accepted.
    Verify,
    /// Which actions are under way?
    Pending,
    /// Take it away from whoever has it.
    Detach,
    /// Give it to a server.
    Assign,
    /// How is an action getting on?
    Action,
    /// What this cloud does not offer.
    Unknown,
}

impl Endpoint {
    /// Whether a fault that was asked for here hits a call of that kind.
    pub(super) fn covers(self, call: Self) -> bool {
        self == call || (self == Self::Read && call == Self::Verify)
    }
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
    /// 422, or what the provider has in its place: the request is understood, and impossible.
    Unprocessable,
    /// The refusal as while an earlier action is under way.
    PendingEvent,
    /// Too many requests; with this many seconds in Retry-After, where the provider sends that.
    TooManyRequests(u32),
    /// 500.
    ServerError,
    /// 503.
    Unavailable,
    /// No answer, and the connection stays open.
    Hang,
    /// The connection is reset before anything was done.
    Reset,
    /// What was asked for is done, and the connection is reset before the answer.
    LostReply,
    /// What was asked for is done; the answer is cut off in the middle, or a proxy's page where it is none of JSON or XML.
    Broken,
    /// It does not get there: something on the way, a firewall or a load balancer, answers with a page of its own (403).
    Blocked,
    /// The move is accepted, and comes to nothing. Only for [`Endpoint::Assign`].
    ActionErrs,
    /// The metadata service takes who asks for the other server.
    OtherHost,
}

/// How a cloud that is gone shows that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gone {
    /// Every connection is reset, new and old.
    Reset,
    /// Connections are taken, and nothing ever comes through them.
    Silent,
}

/// Faults that were asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub endpoint: Endpoint,
    pub fault: Fault,
    /// Calls that go well before.
    pub spared: u32,
    /// Calls that then fail.
    pub times: u32,
}

/// A call that takes its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slowness {
    pub endpoint: Endpoint,
    pub time: Duration,
}
