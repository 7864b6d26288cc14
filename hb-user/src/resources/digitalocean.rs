//! Assigning a reserved (floating) IP through `DigitalOcean`'s API, and making sure that it was.
//!
//! The API answers 201 when it has accepted the action, seconds before the address has moved; an answer may be lost; a
//! refusal may mean that somebody else's action is under way. So an assignment ends in only two ways: the address has
//! been read back as ours, or an error says what is known.

mod attempt;
mod http;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use self::attempt::{Address, Attempt, Pacing};
use self::http::Http;
use crate::clock;
use crate::secret::Secret;

/// The API's public address.
pub const API_URL: &str = "https://api.digitalocean.com";

/// Access to the API.
#[derive(Debug)]
pub struct Client {
    http: Http,
    pacing: Pacing,
}

/// An assignment that was read back from the API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Assigned {
    /// The action that did it; `None` when the address was the droplet's already.
    pub action: Option<u64>,
    /// From the call to the API's acceptance of the action; `None` as above.
    pub accepted: Option<Duration>,
    /// From the call to the moment when the action was seen completed; `None` as above, or when the API does not tell
    /// of its actions.
    pub completed: Option<Duration>,
    /// From the call to the moment when the address was read back as the droplet's.
    pub verified: Duration,
}

/// What happens on the way.
#[derive(Debug)]
pub enum Progress<'a> {
    /// The API has accepted the action.
    Accepted {
        /// Its number.
        action: u64,
        /// Since the call.
        after: Duration,
    },
    /// The action has completed.
    Completed {
        /// Its number.
        action: u64,
        /// Since the call.
        after: Duration,
    },
    /// Something failed for a passing reason, and is tried again.
    Retrying {
        /// The reason.
        reason: &'a str,
        /// The pause before.
        pause: Duration,
    },
}

/// Why an address was not assigned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base URL is none, or the token has characters that no token has.
    #[error("{what}: {reason}")]
    Setting {
        /// What is wrong.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// 401 or 403.
    #[error(
        "the API refuses the token ({status}: {message}): check that it is complete and not revoked, and that it may \
         read and update reserved IPs (scopes reserved_ip:read and reserved_ip:update)"
    )]
    Token {
        /// The HTTP status.
        status: u16,
        /// The API's words.
        message: String,
    },
    /// 404, 422 and every other answer that trying again does not change.
    #[error("the API refuses ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The API's words.
        message: String,
    },
    /// The action was accepted and then failed.
    #[error("action {action} was accepted but ended with status {status:?}")]
    Action {
        /// Its number.
        action: u64,
        /// Its last status.
        status: String,
    },
    /// The action completed and the address is still not the droplet's: somebody else took it.
    #[error("action {action} has completed, but the address belongs to {}", Owner(*.owner))]
    NotOurs {
        /// Its number.
        action: u64,
        /// The droplet that has it.
        owner: Option<u64>,
    },
    /// The time is over.
    #[error("not assigned within {} s; last: {last}", .within.as_secs_f32())]
    Deadline {
        /// The time there was.
        within: Duration,
        /// The last thing that went wrong or was waited for.
        last: String,
    },
}

struct Owner(Option<u64>);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(droplet) => write!(f, "droplet {droplet}"),
            None => f.write_str("nobody"),
        }
    }
}

impl Client {
    /// A client for the API at `base` (without a path), usually [`API_URL`]. Nothing is sent yet.
    pub fn new(base: &str, token: &Secret) -> Result<Self, Error> {
        Ok(Self {
            http: Http::new(base, token)?,
            pacing: Pacing::USUAL,
        })
    }

    /// Assigns `ip` to a droplet, and returns when the API shows the droplet as its owner, or `within` has passed.
    ///
    /// The first thing sent is the assignment itself: on the way of a failover nothing is asked before. After a reply
    /// that may have been lost the owner is read before the assignment is sent again.
    ///
    /// Dropping the future leaves an accepted action under way.
    pub async fn assign(
        &self,
        ip: IpAddr,
        droplet: u64,
        within: Duration,
        progress: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<Assigned, Error> {
        let attempt = Attempt {
            http: &self.http,
            pacing: self.pacing,
            address: Address(ip),
            droplet,
            begun: clock::now(),
            within,
            progress,
        };
        attempt.run().await
    }
}

#[cfg(test)]
mod tests;
