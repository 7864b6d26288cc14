//! How a takeover has to end.

use hb_tests::cloud::{Endpoint, Fault, Provider};

use crate::case::{Case, Often};

/// How a takeover ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The address was read back as ours.
    Moved,
    /// The token is no good.
    Unauthorised,
    /// What is asked for is impossible.
    Refused,
    /// A setting is at fault.
    Setting,
    /// A single call failed for a reason that passes: never an end of a takeover.
    Passing,
    /// The action failed, and so did the next ones.
    Action,
    /// It is done, and the address is not ours.
    NotOurs,
    /// The time was over.
    Deadline,
}

/// What has to come of a case.
pub fn expected(case: &Case) -> End {
    // The keys of the role, or the token for asking for them, have ended before their time: there are others.
    let can_renew = case.provider == Provider::Aws && case.step != Endpoint::Metadata;
    if can_renew && case.fault == Fault::Unauthorized && case.often == Often::Once {
        return End::Moved;
    }
    match case.step {
        // The API has said that it is ours: what the metadata service does not say is no reason to give it up.
        Endpoint::Active => End::Moved,
        Endpoint::Assign | Endpoint::Detach => moves(case),
        Endpoint::Metadata
        | Endpoint::Credentials
        | Endpoint::Find
        | Endpoint::Read
        | Endpoint::Verify
        | Endpoint::Pending
        | Endpoint::Action
        | Endpoint::Unknown => asks(case),
    }
}

fn moves(case: &Case) -> End {
    let is_vultrs = case.provider == Provider::Vultr;
    match (case.fault, case.often) {
        // There is no action that could tell that it came to nothing, only the owner, who does not change: it is asked for again.
        (Fault::ActionErrs, Often::Always) if is_vultrs => End::Deadline,
        (Fault::ActionErrs, Often::Always) => End::Action,
        // It was done, and the owner tells (Vultr's answer is empty, and so is its half), or is done the next time.
        (Fault::LostReply | Fault::Broken, _) | (Fault::ActionErrs, Often::Once) => End::Moved,
        (fault, often) => by_class(fault, often),
    }
}

fn asks(case: &Case) -> End {
    let has_list = matches!(case.provider, Provider::Hetzner | Provider::Vultr);
    match (case.step, case.fault) {
        // The instance has no role.
        (Endpoint::Credentials, Fault::NotFound) => End::Setting,
        (Endpoint::Pending, Fault::Unauthorized | Fault::Forbidden) => End::Unauthorised,
        // Nothing is known of the action, or of any: the owner tells.
        (Endpoint::Action, Fault::NotFound) | (Endpoint::Pending, _) => End::Moved,
        // The token may move the address, and not ask for all actions.
        (Endpoint::Action, Fault::Forbidden) if case.is_ipv6 => End::Moved,
        // It is looked for in the list, then, which has it.
        (Endpoint::Read | Endpoint::Verify, Fault::NotFound) if has_list => End::Moved,
        (_, fault) => by_class(fault, case.often),
    }
}

fn by_class(fault: Fault, often: Often) -> End {
    match fault {
        Fault::Unauthorized | Fault::Forbidden => End::Unauthorised,
        Fault::NotFound | Fault::Unprocessable => End::Refused,
        Fault::PendingEvent
        | Fault::TooManyRequests(_)
        | Fault::ServerError
        | Fault::Unavailable
        | Fault::Hang
        | Fault::Reset
        | Fault::LostReply
        | Fault::Broken
        | Fault::Blocked
        | Fault::ActionErrs
        | Fault::OtherHost => match often {
            Often::Once => End::Moved,
            Often::Always => End::Deadline,
        },
    }
}
