//! Hetzner Cloud's floating IPs: <https://docs.hetzner.cloud/>.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::json;

use super::account::{self, Account};
use super::http::{Http, Refusal, Reply};
use super::network::Network;
use super::provider::{ActionId, ActionState, Answer, Assignment, Failure, InstanceId, Owner, Provider};

const HINT: &str = "check that the token is complete and not revoked, of this project, and may read and write";
/// Where the metadata service says who this host is.
const ID: &str = "/hetzner/v1/metadata/instance-id";
/// A list is read in pages of the longest kind, and so many of them.
const PAGES: u32 = 20;
/// What failures call the reading of the list.
const LIST: &str = "GET /v1/floating_ips";

/// One floating IP.
#[derive(Debug)]
pub(super) struct Hetzner {
    account: Arc<Account>,
    ip: IpAddr,
    /// The API's number of it, once it is known.
    id: Mutex<Option<u64>>,
}

impl Hetzner {
    pub(super) fn new(account: Arc<Account>, ip: IpAddr) -> Self {
        Self {
            account,
            ip,
            id: Mutex::default(),
        }
    }

    fn known(&self) -> Option<u64> {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn know(&self, id: Option<u64>) {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    async fn id(&self) -> Result<u64, Failure> {
        match self.known() {
            Some(id) => Ok(id),
            None => Ok(self.find().await?.id),
        }
    }

    /// Looks the address up in the project's list: the API finds it by its number or name only.
    async fn find(&self) -> Result<FloatingIp, Failure> {
        let mut page = 1;
        loop {
            let path = format!("/v1/floating_ips?page={page}&per_page=50");
            let reply = json_of::<ListReply>(self.account.api.get(&path).await?)?;
            let found = reply.floating_ips.into_iter().find(|found| found.is(self.ip));
            if let Some(found) = found {
                self.know(Some(found.id));
                return Ok(found);
            }
            match reply.meta.map(|meta| meta.pagination.next_page) {
                Some(None) => {
                    return Err(Failure::Refused {
                        call: LIST.to_owned(),
                        status: 404,
                        message: format!("no floating IP of the token's project has the address {}", self.ip),
                    });
                }
                Some(Some(next)) if next == page + 1 && next <= PAGES => page = next,
                // Of the address nothing is known, and not that it is not there.
                Some(Some(_)) | None => {
                    return Err(Failure::Passing {
                        call: LIST.to_owned(),
                        reason: "the list cannot be read to its end".to_owned(),
                    });
                }
            }
        }
    }

    async fn read(&self) -> Result<FloatingIp, Failure> {
        let Some(id) = self.known() else {
            return self.find().await;
        };
        let reply = self.account.api.get(&format!("/v1/floating_ips/{id}")).await?;
        match json_of::<FloatingIpReply>(reply) {
            Ok(reply) if reply.floating_ip.is(self.ip) => Ok(reply.floating_ip),
            // It was made anew with another number.
            Ok(_) | Err(Failure::Refused { status: 404, .. }) => {
                self.know(None);
                self.find().await
            }
            Err(failure) => Err(failure),
        }
    }
}

impl Provider for Hetzner {
    fn api(&self) -> Option<&Http> {
        Some(&self.account.api)
    }

    fn identity(&self) -> Answer<'_, InstanceId> {
        Box::pin(self.account.identity(ID))
    }

    fn named(&self) -> Answer<'_, Option<InstanceId>> {
        Box::pin(self.account.named(ID))
    }

    fn owner(&self) -> Answer<'_, Owner> {
        Box::pin(async move {
            let address = self.read().await?;
            Ok(Owner {
                instance: address.server.and_then(|server| InstanceId::new(&server.to_string())),
                is_changing: false,
            })
        })
    }

    fn assign<'a>(&'a self, to: &'a InstanceId, _from: &'a Owner) -> Answer<'a, Assignment> {
        Box::pin(async move {
            let body = json!({ "server": account::number(to)? });
            let path = format!("/v1/floating_ips/{}/actions/assign", self.id().await?);
            let reply = self.account.api.post(&path, &body).await?;
            let action = json_of::<ActionReply>(reply)?.action;
            Ok(Assignment::Accepted(ActionId::from(action.id)))
        })
    }

    fn progress<'a>(&'a self, action: &'a ActionId) -> Answer<'a, ActionState> {
        Box::pin(async move {
            let reply = self.account.api.get(&format!("/v1/actions/{action}")).await?;
            let action = match json_of::<ActionReply>(reply) {
                Err(Failure::Refused { status: 404, .. }) => return Ok(ActionState::Untold),
                reply => reply?.action,
            };
            Ok(match action.status.as_str() {
                "running" => ActionState::Running,
                "success" => ActionState::Completed,
                status => ActionState::Errored(match action.error {
                    Some(error) => self.account.api.readable(&format!("{}: {}", error.code, error.message)),
                    None => self.account.api.readable(status),
                }),
            })
        })
    }

    fn pending(&self) -> Answer<'_, Option<ActionId>> {
        Box::pin(async move {
            let path = format!("/v1/floating_ips/{}/actions?status=running", self.id().await?);
            let actions = json_of::<ActionsReply>(self.account.api.get(&path).await?)?.actions;
            let running = actions.iter().find(|action| action.status == "running");
            Ok(running.map(|action| ActionId::from(action.id)))
        })
    }
}

fn json_of<T: serde::de::DeserializeOwned>(reply: Reply) -> Result<T, Failure> {
    reply.json(classify, words)
}

fn classify(refusal: Refusal) -> Failure {
    match refusal.code.as_str() {
        "locked" | "conflict" => refusal.pending(),
        "rate_limit_exceeded" => refusal.throttled(),
        "unauthorized" | "forbidden" | "token_readonly" => refusal.unauthorised(HINT),
        // 403, but not for want of a right.
        "protected" => refusal.refused(),
        "resource_unavailable" | "service_error" | "server_error" | "maintenance" | "unavailable" | "timeout" => {
            refusal.passing()
        }
        _ => refusal.by_status(HINT),
    }
}

fn words(body: &[u8]) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Words {
        error: Error,
    }
    let Words { error } = serde_json::from_slice(body).ok()?;
    let message = format!("{} ({})", error.message, error.code);
    Some((error.code, message))
}

#[derive(Deserialize)]
struct ActionReply {
    action: Action,
}

#[derive(Deserialize)]
struct ActionsReply {
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct Action {
    id: u64,
    status: String,
    #[serde(default)]
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Error {
    code: String,
    message: String,
}

#[derive(Deserialize)]
struct FloatingIpReply {
    floating_ip: FloatingIp,
}

#[derive(Deserialize)]
struct FloatingIp {
    id: u64,
    /// An IPv4 address, or the IPv6 network that is moved as a whole: `2001:db8::/64`.
    ip: String,
    // No default: a reply without the field tells nothing about the owner.
    #[serde(deserialize_with = "Option::deserialize")]
    server: Option<u64>,
}

impl FloatingIp {
    fn is(&self, ip: IpAddr) -> bool {
        Network::parse(&self.ip).is_some_and(|network| network.contains(ip))
    }
}

#[derive(Deserialize)]
struct ListReply {
    floating_ips: Vec<FloatingIp>,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    pagination: Pagination,
}

#[derive(Deserialize)]
struct Pagination {
    // No default: a reply without the field does not say that this was the last page.
    #[serde(deserialize_with = "Option::deserialize")]
    next_page: Option<u32>,
}

#[cfg(test)]
mod tests;
