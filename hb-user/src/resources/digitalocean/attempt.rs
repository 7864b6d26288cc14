//! One assignment under way: sent, followed to its end, and read back.

use std::net::IpAddr;
use std::time::Duration;

use crate::clock::sleep;
use hb_ebpf::Nanos;
use serde::Deserialize;

use super::http::{self, Failed, Http};
use super::{Assigned, Error, Owner, Progress};
use crate::clock;

/// One assignment under way.
pub(super) struct Attempt<'a> {
    pub http: &'a Http,
    pub pacing: Pacing,
    pub address: Address,
    pub droplet: u64,
    pub begun: Nanos,
    pub within: Duration,
    pub progress: &'a mut dyn FnMut(&Progress<'_>),
}

impl Attempt<'_> {
    pub(super) async fn run(mut self) -> Result<Assigned, Error> {
        let mut pauses = Pauses::new(self.pacing.retry);
        loop {
            let failed = match self.post().await {
                Ok(action) => return self.follow(action).await,
                // The droplet's own address is refused like any impossible one: the owner tells them apart.
                Err(Failed::Final(refused @ Error::Refused { status: 422, .. })) => {
                    return if self.is_ours().await? {
                        Ok(self.already_ours())
                    } else {
                        Err(refused)
                    };
                }
                Err(Failed::Final(error)) => return Err(error),
                Err(failed) => failed,
            };
            // Unless the API said that it did nothing, this attempt or an earlier one may have done it.
            let look_first = !matches!(failed, Failed::Passing { wait: Some(_), .. });
            self.wait(failed, &mut pauses).await?;
            if look_first && self.is_ours().await? {
                return Ok(self.already_ours());
            }
        }
    }

    fn already_ours(&self) -> Assigned {
        Assigned {
            action: None,
            accepted: None,
            completed: None,
            verified: self.elapsed(),
        }
    }

    /// From an accepted action to the address that was read back.
    async fn follow(&mut self, action: Action) -> Result<Assigned, Error> {
        let number = action.id;
        let accepted = self.elapsed();
        (self.progress)(&Progress::Accepted {
            action: number,
            after: accepted,
        });
        let completed = self.completed(action).await?;
        if let Some(after) = completed {
            (self.progress)(&Progress::Completed { action: number, after });
        }
        self.verify(number, completed).await?;
        Ok(Assigned {
            action: Some(number),
            accepted: Some(accepted),
            completed,
            verified: self.elapsed(),
        })
    }

    /// Waits for the action's end; `None` when the API does not know the action, as for addresses brought by the user.
    async fn completed(&mut self, mut action: Action) -> Result<Option<Duration>, Error> {
        let path = format!("{}/actions/{}", self.address.path(), action.id);
        let mut pauses = Pauses::new(self.pacing.poll);
        loop {
            match action.status.as_str() {
                "completed" => return Ok(Some(self.elapsed())),
                "in-progress" => {}
                _ => {
                    return Err(Error::Action {
                        action: action.id,
                        status: http::readable(&action.status),
                    });
                }
            }
            self.pause(pauses.next(), || format!("action {} is in progress", action.id))
                .await?;
            action = match self.get::<ActionReply>(&path).await {
                Ok(reply) => reply.action,
                Err(Error::Refused { status: 404, .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
        }
    }

    /// Reads the address until it is ours: for a while after a completed action, to the end without one.
    async fn verify(&mut self, action: u64, completed: Option<Duration>) -> Result<(), Error> {
        let mut pauses = Pauses::new(self.pacing.poll);
        loop {
            let address = self.address().await?;
            let owner = address.owner();
            if owner == Some(self.droplet) {
                return Ok(());
            }
            if completed.is_some_and(|completed| self.elapsed() > completed + self.pacing.settle) {
                return Err(Error::NotOurs { action, owner });
            }
            self.pause(pauses.next(), || format!("the address belongs to {}", Owner(owner)))
                .await?;
        }
    }

    /// Whether the address is the droplet's, and no action is pending that could change that.
    async fn is_ours(&mut self) -> Result<bool, Error> {
        let address = self.address().await?;
        Ok(address.owner() == Some(self.droplet) && !address.locked)
    }

    async fn address(&mut self) -> Result<ReservedIp, Error> {
        let path = self.address.path();
        Ok(self.get::<AddressReply>(&path).await?.reserved_ip)
    }

    async fn post(&self) -> Result<Action, Failed> {
        let path = format!("{}/actions", self.address.path());
        let body = serde_json::json!({ "type": "assign", "droplet_id": self.droplet }).to_string();
        let reply: ActionReply = self.http.post(&path, body, self.call_limit()).await?;
        Ok(reply.action)
    }

    /// Reads, and tries again as long as the reason is a passing one.
    async fn get<T: serde::de::DeserializeOwned>(&mut self, path: &str) -> Result<T, Error> {
        let mut pauses = Pauses::new(self.pacing.retry);
        loop {
            match self.http.get(path, self.call_limit()).await {
                Ok(reply) => return Ok(reply),
                Err(failed) => self.wait(failed, &mut pauses).await?,
            }
        }
    }

    /// Waits as long as a passing failure wants; a final one is returned.
    async fn wait(&mut self, failed: Failed, pauses: &mut Pauses) -> Result<(), Error> {
        let (reason, pause) = match failed {
            Failed::Final(error) => return Err(error),
            Failed::Pending(message) => (message, pauses.next()),
            Failed::Passing { reason, wait } => (reason, wait.unwrap_or_else(|| pauses.next())),
        };
        if pause < self.left() {
            (self.progress)(&Progress::Retrying { reason: &reason, pause });
        }
        self.pause(pause, || reason).await
    }

    /// Sleeps, or fails at once when the time would be over after it.
    async fn pause(&self, pause: Duration, last: impl FnOnce() -> String) -> Result<(), Error> {
        if pause >= self.left() {
            return Err(Error::Deadline {
                within: self.within,
                last: last(),
            });
        }
        sleep(pause).await;
        Ok(())
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(clock::now().0.saturating_sub(self.begun.0))
    }

    fn call_limit(&self) -> Duration {
        self.pacing.call.min(self.left())
    }

    fn left(&self) -> Duration {
        self.within.saturating_sub(self.elapsed())
    }
}

/// The patience of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacing {
    /// For one call, connection included.
    pub call: Duration,
    /// Between two looks at an action: the first pause, doubled up to the last.
    pub poll: [Duration; 2],
    /// Between two attempts at a call that failed for a passing reason, likewise.
    pub retry: [Duration; 2],
    /// How long the API may go on showing the old owner after an action has completed.
    pub settle: Duration,
}

impl Pacing {
    /// At one look a second a token's limit of 250 requests a minute is far.
    pub(super) const USUAL: Self = Self {
        call: Duration::from_secs(10),
        poll: [Duration::from_millis(100), Duration::from_secs(1)],
        retry: [Duration::from_millis(200), Duration::from_secs(2)],
        settle: Duration::from_secs(5),
    };
}

/// Pauses that double up to a longest.
struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    fn new([next, longest]: [Duration; 2]) -> Self {
        Self { next, longest }
    }

    fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }
}

/// An address, and the API's names for its kind.
#[derive(Clone, Copy)]
pub(super) struct Address(pub IpAddr);

impl Address {
    fn path(self) -> String {
        match self.0 {
            IpAddr::V4(ip) => format!("/v2/reserved_ips/{ip}"),
            IpAddr::V6(ip) => format!("/v2/reserved_ipv6/{ip}"),
        }
    }
}

#[derive(Deserialize)]
struct ActionReply {
    action: Action,
}

#[derive(Deserialize)]
struct Action {
    id: u64,
    status: String,
}

#[derive(Deserialize)]
struct AddressReply {
    #[serde(alias = "reserved_ipv6")]
    reserved_ip: ReservedIp,
}

#[derive(Deserialize)]
struct ReservedIp {
    // No default: a reply without the field tells nothing about the owner.
    #[serde(deserialize_with = "Option::deserialize")]
    droplet: Option<Droplet>,
    /// An action on it is pending.
    #[serde(default)]
    locked: bool,
}

#[derive(Deserialize)]
struct Droplet {
    id: u64,
}

impl ReservedIp {
    fn owner(&self) -> Option<u64> {
        self.droplet.as_ref().map(|droplet| droplet.id)
    }
}
